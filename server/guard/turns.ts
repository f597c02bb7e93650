import { setImmediate } from "node:timers";
import { SocketLooks } from "../../protocol/mod.ts";
import { FairQueue } from "./fair_queue.ts";
import { nextTurn } from "../next_turn.ts";
import type { Source } from "./client_network.ts";

/** Commands in one turn of the event loop, so that those that come meanwhile are not served after all that waited before. */
const commandsPerTurn = 128;
/** Milliseconds of work after which the sockets are looked at. */
const busyTime = 5;

/**
 * Reading does not go back to the event loop as long as data waits in a socket: a peer that floods would be
 * served alone, and one with many connections have as many turns.
 */
export class Turns implements AsyncDisposable {
  readonly #waiting = new FairQueue<() => void>();
  #unscheduled = 0;
  #scheduled = 0;
  #polling: Promise<void> | null = null;
  #polled = performance.now();
  /** Since when nobody has come; `null`: somebody has, or is served. */
  #restsSince: number | null = null;
  #isResting = false;
  readonly #looks = new SocketLooks();

  next(source: Source): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(source, resolve);
      this.#unscheduled++;
      this.#schedule();
    });
  }

  /** Whether one more command that is little work may be executed without a turn of its own. */
  hasTime(): boolean {
    return this.#polling === null && !this.#isBusy();
  }

  /** Resolves when nothing is under way but the turns of those who wait. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#polling;
  }

  #isBusy(): boolean {
    const now = performance.now();
    // Whoever has something to do after so long a rest was found by a look at the sockets.
    if (this.#restsSince !== null && now - this.#restsSince > busyTime) this.#polled = now;
    this.#restsSince = null;
    return now - this.#polled > busyTime;
  }

  /** What was begun in this turn may go on in it: the rest begins when that is done. */
  #rest(): void {
    if (this.#isResting || this.#scheduled > 0 || this.#unscheduled > 0) return;
    this.#isResting = true;
    setImmediate(() => {
      this.#isResting = false;
      if (this.#scheduled === 0 && this.#unscheduled === 0) this.#restsSince = performance.now();
    });
  }

  /** A callback for each command: what one does at once is done before the next one begins, which takes less time. */
  #schedule(): void {
    while (this.#polling === null && this.#unscheduled > 0 && this.#scheduled < commandsPerTurn) {
      this.#unscheduled--;
      this.#scheduled++;
      setImmediate(() => this.#serve());
    }
  }

  #serve(): void {
    this.#scheduled--;
    if (this.#polling !== null) {
      this.#unscheduled++;
      return;
    }
    if (this.#isBusy()) this.#polling = this.#poll();
    this.#waiting.take()?.();
    this.#schedule();
    this.#rest();
  }

  async #poll(): Promise<void> {
    await nextTurn();
    await this.#looks.next();
    this.#polling = null;
    this.#polled = performance.now();
    this.#schedule();
  }
}
