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
  /** Milliseconds of all pauses that were ever begun. */
  readonly begun: number[] = [];
  #now = 0;

  now(): number {
    return this.#now;
  }

  wait(milliseconds: number, signal: AbortSignal): Promise<void> {
    this.begun.push(milliseconds);
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const pause = { milliseconds, end: () => (this.pauses.delete(pause), resolve()) };
      this.pauses.add(pause);
      signal.addEventListener("abort", pause.end, { once: true });
    });
  }

  /** Lets time go by without ending a pause. */
  advance(milliseconds: number): void {
    this.#now += milliseconds;
  }

  /** Waits until something waits, and ends that pause; gives its milliseconds. */
  async endPause(): Promise<number> {
    await until(() => this.pauses.size > 0);
    const [pause] = this.pauses;
    this.#now += pause!.milliseconds;
    pause!.end();
    return pause!.milliseconds;
  }
}
