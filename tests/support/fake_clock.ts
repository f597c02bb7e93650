import type { Clock } from "../../agent/clock.ts";
import { until } from "./wait.ts";

/** A pause that is waited. */
interface Pause {
  readonly milliseconds: number;
  readonly end: () => void;
}

/** Time that goes on when a test says so. */
export class FakeClock implements Clock {
  /** The pauses that are waited now. */
  readonly pauses: Set<Pause> = new Set();
  /** Those of minutes, after which is looked whether a connection is still needed. */
  readonly looks: Set<Pause> = new Set();
  /** Milliseconds of all other pauses that were ever begun. */
  readonly begun: number[] = [];
  #now = 0;

  now(): number {
    return this.#now;
  }

  wait(milliseconds: number, signal: AbortSignal): Promise<void> {
    const pauses = milliseconds >= 60_000 ? this.looks : this.pauses;
    if (pauses === this.pauses) this.begun.push(milliseconds);
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const pause = { milliseconds, end: () => (pauses.delete(pause), resolve()) };
      pauses.add(pause);
      signal.addEventListener("abort", pause.end, { once: true });
    });
  }

  /** Lets time go by without ending a pause. */
  advance(milliseconds: number): void {
    this.#now += milliseconds;
  }

  /** Waits until something waits, and ends that pause; gives its milliseconds. */
  async endPause(pauses: Set<Pause> = this.pauses): Promise<number> {
    await until(() => pauses.size > 0);
    const [pause] = pauses;
    this.#now += pause!.milliseconds;
    pause!.end();
    return pause!.milliseconds;
  }
}
