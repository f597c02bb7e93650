import type { Random } from "../agent/model/random.ts";

/** A fault that was brought about. */
export interface Injected {
  /** What was done, for the report. */
  readonly what: string;
  /** Whether what owned a queue was hit, by its recipient ID. */
  hits(recipientId: string): boolean;
}

/** Servers that things can be done to: what is checked must not depend on what they are made of. */
export interface Target extends AsyncDisposable {
  /** Where clients connect, full addresses. */
  addresses(): readonly string[];
  /** Names of what can be done to it. */
  readonly faults: readonly string[];
  /** Whether suspended queues may be gone after a start, as the files of one process have it (docs/files.md). */
  readonly forgetsSuspended: boolean;
  /** What it has found wrong itself so far, each as a sentence. */
  readonly failures?: readonly string[];
  /** Brings a fault about, and undoes what does not end by itself. */
  inject(fault: string, random: Random): Promise<Injected>;
  /** Resolves when everything that was hit serves again. */
  recovered(): Promise<void>;
}
