import type { LimitSource } from "../config/limits.ts";

export interface StallWatchParts {
  readonly limits: LimitSource;
  readonly log: (text: string) => void;
  /** Milliseconds. @default `performance.now` */
  readonly now?: () => number;
}

/**
 * Notices that this process did not run for a time: who waited for it has given up, and what waits in its sockets must
 * not be done any more.
 */
export class StallWatch {
  readonly #parts: StallWatchParts;
  readonly #now: () => number;
  readonly #listeners: (() => void)[] = [];
  /** When this process was seen to run. */
  #ran: number;
  #hasEnded = false;

  constructor(parts: StallWatchParts) {
    this.#parts = parts;
    this.#now = parts.now ?? (() => performance.now());
    this.#ran = this.#now();
  }

  /** `listener` is called each time that this process has not run for a time. */
  listen(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Is called again and again while nothing happens, and before anything is done that has come from outside. */
  look(): void {
    const now = this.#now(), stall = now - this.#ran, { stallTimeout } = this.#parts.limits();
    this.#ran = now;
    if (this.#hasEnded || stallTimeout === 0 || stall <= stallTimeout) return;
    this.#parts.log(`The server did not run for ${Math.round(stall / 1000)} s: its connections are closed`);
    for (const listener of this.#listeners) listener();
  }

  /** Nothing is noticed any more: a server that stops does not look while nothing happens. */
  end(): void {
    this.#hasEnded = true;
  }
}
