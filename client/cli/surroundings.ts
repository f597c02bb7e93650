import type { Print } from "./print.ts";

/** Where a command prints and reads a body, and how it is told to stop. */
export interface Surroundings {
  readonly print: Print;
  /** Reads all of the standard input. */
  readonly readInput: (signal: AbortSignal) => Promise<Uint8Array<ArrayBuffer>>;
  /** Aborts when the user wants the command to end. */
  readonly signal: AbortSignal;
}
