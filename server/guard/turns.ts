import { setImmediate } from "node:timers";
import { FairQueue } from "./fair_queue.ts";
import type { Source } from "./client_network.ts";

/** Commands in one turn of the event loop, so that those that come meanwhile are not served after all that waited before. */
const commandsPerTurn = 128;

/**
 * Reading does not go back to the event loop as long as data waits in a socket: a peer that floods would be
 * served alone, and one with many connections have as many turns.
 */
export class Turns {
  readonly #waiting = new FairQueue<() => void>();
  #unscheduled = 0;
  #scheduled = 0;

  next(source: Source): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(source, resolve);
      this.#unscheduled++;
      this.#schedule();
    });
  }

  /** A callback for each command: what one does at once is done before the next one begins, which takes less time. */
  #schedule(): void {
    while (this.#unscheduled > 0 && this.#scheduled < commandsPerTurn) {
      this.#unscheduled--;
      this.#scheduled++;
      setImmediate(() => this.#serve());
    }
  }

  #serve(): void {
    this.#scheduled--;
    this.#waiting.take()?.();
    this.#schedule();
  }
}
