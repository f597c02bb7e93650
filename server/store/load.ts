import { StoreError } from "./error.ts";
import { type Line, readLines } from "./read_lines.ts";

export interface StoreProblem {
  readonly file: string;
  readonly line: number;
  readonly what: string;
}

export interface Loaded {
  /** Lines that were read. */
  readonly lines: number;
  /** Whether the last line was not whole, as after a crash, and was left out. */
  readonly isTorn: boolean;
  /** Whether the last line has no LF, whole or not: what is appended would become a part of it. */
  readonly lacksEnd: boolean;
  readonly problems: readonly StoreProblem[];
  /** Numbers of damaged lines whose whole records were taken, when that was asked for. */
  readonly recovered: readonly number[];
}

export interface RecordFormat {
  /** What the fields of each kind of record begin with; fields stand between single spaces. */
  readonly shapes: readonly (readonly string[])[];
  /** Applies a record; gives what is wrong with it, and has changed nothing then. */
  readonly apply: (line: Line) => string | null;
}

export interface LoadOptions {
  /** Takes the whole records of damaged lines. @default false */
  readonly recover?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads all records of a file. A last line without its end that `apply` does not take is no problem if it may be the
 * beginning of a record: nobody was told that it is written. With `recover`, the whole records of lines in which
 * several stand one behind the other are applied. Throws {@linkcode StoreError} (`IO`), or the reason of `signal`.
 */
export async function loadRecords(
  file: string,
  format: RecordFormat,
  { recover = false, signal }: LoadOptions = {},
): Promise<Loaded> {
  const problems: StoreProblem[] = [], recovered: number[] = [];
  let lines = 0, isTorn = false, lacksEnd = false;
  for await (const batch of readLines(file)) {
    signal?.throwIfAborted();
    for (const line of batch) {
      lines++;
      if (line.end !== "LF") lacksEnd = true;
      const what = line.text === "" ? null : format.apply(line);
      if (what === null) continue;
      if (line.end === "none" && isTornRecord(line.text, format)) isTorn = true;
      else {
        problems.push({ file, line: line.number, what });
        if (recover && recoverRecords(line, format)) recovered.push(line.number);
      }
    }
  }
  return { lines, isTorn, lacksEnd, problems, recovered };
}

/** Whether a text is what is left of a record that was cut anywhere; a file system may have put NULs where the rest was. */
function isTornRecord(text: string, { shapes }: RecordFormat): boolean {
  const fields = text.replace(/\r?\0+$/, "").split(" ");
  const last = fields.length - 1;
  return shapes.some((shape) =>
    fields.length <= shape.length && fields.every((field, i) => {
      const start = shape[i]!;
      if (i === last && start.startsWith(field)) return true;
      return field.startsWith(start) && (i === 0 ? field === start : isFieldText(field.slice(start.length)));
    })
  );
}

function isFieldText(text: string): boolean {
  return /^[\w+/:.-]*={0,2}$/.test(text);
}

/**
 * Applies what is whole in a line in which records have lost the ends of their lines. Does nothing when there is
 * anything else between them, as nobody knows then what the line has said.
 */
function recoverRecords({ number, text, end }: Line, format: RecordFormat): boolean {
  const starts = format.shapes.map(([word, second]) => `${word} ${second}`).join("|");
  const parts = text.split(new RegExp(`(?=${starts})`));
  const last = parts.pop()!;
  if (!parts.every((part) => isTornRecord(part, format))) return false;
  // A part that is followed by another one is as doubtful as a last line without its end.
  const applied = parts.map((part, i) => format.apply({ number: number + i, text: part, end: "none" }));
  applied.push(format.apply({ number: number + parts.length, text: last, end }));
  return applied.includes(null);
}

const named = 10;

/** Names the lines of problems, not all if there are many. */
export function nameLines(problems: readonly { readonly line: number }[]): string {
  const numbers = problems.slice(0, named).map(({ line }) => line);
  const more = problems.length - numbers.length;
  const listed = more > 0 ? `${numbers.join(", ")} and ${more} more` : listNumbers(numbers);
  return `${problems.length === 1 ? "line" : "lines"} ${listed}`;
}

function listNumbers(numbers: readonly number[]): string {
  const last = numbers.at(-1);
  return numbers.length < 2 ? `${last}` : `${numbers.slice(0, -1).join(", ")} and ${last}`;
}

export function corruptError(problems: readonly StoreProblem[]): StoreError {
  const { file, line, what } = problems[0]!;
  const lines = problems.filter((problem) => problem.file === file);
  const [damaged, these] = lines.length === 1
    ? [`is damaged: ${what}`, "this line"]
    : [`are damaged (line ${line}: ${what})`, "these lines"];
  return new StoreError(
    "CORRUPT",
    `Cannot read ${file}: ${nameLines(lines)} ${damaged}; ` +
      `restore a backup, or start with --repair to keep a copy of the file and go on without ${these}`,
  );
}
