import { Pause } from "../backoff.ts";

/**
 * Does work that takes long one after the other, and rests after each for as long as it took: however many peers have
 * chosen keys that are costly to use, all others keep half of the processor.
 */
export class SlowLane {
  #last: Promise<unknown> = Promise.resolve();
  readonly #pause = new Pause();
  #isClosed = false;

  /** Does work when it is its turn; gives what it gives. Rejects with an `AbortError` when the lane is closed before. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(async () => {
      if (this.#isClosed) throw new DOMException("The agent was closed", "AbortError");
      const began = performance.now();
      const result = await work();
      return { result, took: performance.now() - began };
    });
    this.#last = done.then(({ took }) => this.#isClosed ? undefined : this.#pause.wait(took), () => {});
    return done.then(({ result }) => result);
  }

  /** Begins nothing any more, and does not rest. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#pause.end();
  }
}
