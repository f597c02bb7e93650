import { DelayedRun } from "./delayed_run.ts";

/** Longest delay, milliseconds. */
export const slowestRetry = 30_000;

/** Whether something works, and with exponential backoff when to retry it. */
export class Retry {
  readonly #shortest: number;
  readonly #timer: DelayedRun;
  #isHealthy = true;
  #delay = 0;
  #isDue = false;

  /** `shortest` is the first delay, milliseconds; `onDue` is called when it is time. */
  constructor(shortest: number, onDue: () => void) {
    this.#shortest = Math.max(1, shortest);
    this.#timer = new DelayedRun(() => {
      this.#isDue = true;
      onDue();
    });
  }

  get healthy(): boolean {
    return this.#isHealthy;
  }

  get isDue(): boolean {
    return this.#isDue;
  }

  begin(): void {
    this.#isDue = false;
  }

  succeeded(): void {
    this.#isHealthy = true;
    this.#delay = 0;
  }

  failed(): void {
    this.#isHealthy = false;
    this.later();
  }

  later(): void {
    if (!this.#timer.canStart) return;
    this.#delay = Math.min(this.#delay * 2 || this.#shortest, slowestRetry);
    this.#timer.start(this.#delay);
  }

  close(): void {
    this.#timer.close();
  }
}
