import { StoreError } from "./error.ts";
import { type Line, readLines } from "./read_lines.ts";

export interface StoreProblem {
  readonly file: string;
  readonly line: number;
  readonly what: string;
}

export interface Loaded {
  readonly lines: number;
  readonly isTorn: boolean;
  /** What is appended would become a part of the last line. */
  readonly lacksEnd: boolean;
  readonly problems: readonly StoreProblem[];
  readonly recovered: readonly number[];
}

export interface RecordFormat {
  readonly shapes: readonly (readonly string[])[];
  /** Gives what is wrong with the record, and has changed nothing then. */
  readonly apply: (line: Line) => string | null;
}

export interface LoadOptions {
  readonly recover?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Is waited for after each piece of the file. */
  readonly drain?: () => Promise<void>;
}

/** A torn last line is no problem if it may begin a record: nobody was told that it is written. */
export async function loadRecords(
  file: string,
  format: RecordFormat,
  { recover = false, signal, drain }: LoadOptions = {},
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
    await drain?.();
  }
  return { lines, isTorn, lacksEnd, problems, recovered };
}

/** A file system may have put NULs where the rest was. */
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

/** Only if there is nothing else between the records, as nobody knows then what the line has said. */
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
