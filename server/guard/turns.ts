import { setImmediate } from "node:timers";
import { FairQueue } from "./fair_queue.ts";
import type { Source } from "./client_network.ts";

/** Commands in one turn of the event loop, so that those that come meanwhile are not served after all that waited before. */
const commandsPerTurn = 32;

/**
 * Reading does not go back to the event loop as long as data waits in a socket: a peer that floods would be
 * served alone, and one with many connections have as many turns.
 */
export class Turns {
  readonly #waiting = new FairQueue<() => void>();
  #isScheduled = false;

  next(source: Source): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(source, resolve);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#serve());
  }

  #serve(): void {
    this.#isScheduled = false;
    for (let i = 0; i < commandsPerTurn; i++) this.#waiting.take()?.();
    if (!this.#waiting.isEmpty) this.#schedule();
  }
}
