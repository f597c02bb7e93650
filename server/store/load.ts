import { StoreError } from "./error.ts";
import { type Line, readLines } from "./read_lines.ts";

/** A line that cannot be read. */
export interface StoreProblem {
  readonly file: string;
  readonly line: number;
  /** What is wrong with it. */
  readonly what: string;
}

/** What was found in a file. */
export interface Loaded {
  /** Lines that were read. */
  readonly lines: number;
  /** Whether the last line was not whole, as after a crash, and was left out. */
  readonly isTorn: boolean;
  readonly problems: readonly StoreProblem[];
}

/**
 * Reads all records of a file; `apply` says what is wrong with a line, or `null`.
 * A torn last line that `apply` does not take is no problem: nobody was told that it is written. Throws {@linkcode StoreError} (`IO`).
 */
export async function loadRecords(
  file: string,
  apply: (line: Line) => string | null,
): Promise<Loaded> {
  const problems: StoreProblem[] = [];
  let lines = 0, isTorn = false;
  for await (const batch of readLines(file)) {
    for (const line of batch) {
      lines++;
      const what = line.text === "" ? null : apply(line);
      if (what === null) continue;
      if (line.isTorn) isTorn = true;
      else problems.push(problem(file, line, what));
    }
  }
  return { lines, isTorn, problems };
}

function problem(file: string, { number }: Line, what: string): StoreProblem {
  return { file, line: number, what };
}

const named = 10;

/** The error for lines that cannot be read. */
export function corruptError(problems: readonly StoreProblem[]): StoreError {
  const { file, what } = problems[0]!;
  const numbers = problems.slice(0, named).map(({ line }) => line).join(", ");
  const more = problems.length > named ? ` and ${problems.length - named} more` : "";
  return new StoreError(
    "CORRUPT",
    `Cannot read ${file}: line ${numbers}${more} is damaged (line ${problems[0]!.line}: ${what}); ` +
      "restore a backup, or start with --repair to keep a copy of the file and go on without these lines",
  );
}
