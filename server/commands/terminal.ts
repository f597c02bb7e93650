/** What a command prints to and asks. */
export interface Terminal {
  /** Prints a line for the user. */
  print(line: string): void;
  /** Prints a warning. */
  warn(line: string): void;
  /** Asks a question; `null` when nobody is there to answer. */
  ask(question: string): boolean | null;
}

/** A failure that is told in one line and ends the program. */
export class Fatal extends Error {
  override readonly name = "Fatal";
  /** 1: it could not be done; 2: it was asked for in a wrong way. */
  readonly exitCode: 1 | 2;

  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
