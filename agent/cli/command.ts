import type { KeySource } from "../key_pool.ts";
import type { Print } from "./print.ts";

/** Where a command reads and writes, and how it is told to end. */
export interface Surroundings {
  /** Writes all of the bytes to the standard output; rejects when nobody reads it any more. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** Prints a line on the standard output. */
  readonly print: Print;
  /** Prints a line that is not data, on the standard error. */
  readonly tell: (line: string) => void;
  /** Whether the standard output is a terminal, and whether the standard input is one. */
  readonly isTerminal: boolean;
  readonly isInputTerminal: boolean;
  /** The terminal of the standard error; `null` where it is none. */
  readonly terminal: Terminal | null;
  /** Reads what there is of the standard input; `null` at its end. */
  readonly readSome: (into: Uint8Array) => Promise<number | null>;
  /** Reads the standard input to its end, or `isLine` to the end of a line; at most `most` bytes. */
  readonly readInput: (most: number, isLine?: boolean) => Promise<Uint8Array<ArrayBuffer>>;
  /** Asks a question; `null` when nobody is there to answer. */
  readonly ask: (question: string) => Promise<boolean | null>;
  /** Asks for something that is not shown as it is typed; `null` when nobody is there to answer. */
  readonly askSecret: (question: string) => Promise<string | null>;
  /** Aborts at SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** Where the keys of new queues come from. @default they are made */
  readonly keys?: KeySource;
}

/** A terminal, on which lines are written again and again. */
export interface Terminal {
  /** Writes text as it is. */
  readonly show: (text: string) => void;
  /** How wide it is now, in characters. */
  readonly columns: () => number;
}

/** One command of `agent/main.ts`. */
export interface Command {
  /** What it does, in a few words. */
  readonly summary: string;
  /** The arguments after its name. */
  readonly usage: string;
  /** The rest of its help. */
  readonly help: string;
  /**
   * Does it. Throws `UsageError` for arguments that cannot be, {@linkcode Interrupted}, and anything else for what could
   * not be done.
   */
  run(args: readonly string[], surroundings: Surroundings): Promise<void>;
}

/** The user has ended a command before it was done; `message` says what is left. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** The time of `--timeout` is over before a command was done. */
export class Late extends Error {
  override readonly name = "Late";
}
