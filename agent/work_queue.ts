/** Does work in the order in which it comes, at most so much at a time. */
export class WorkQueue implements AsyncDisposable {
  readonly #limit: number;
  #waiting: (() => Promise<void>)[] = [];
  /** Of the first in `#waiting` that was not begun: taking it out would move all others. */
  #next = 0;
  readonly #running = new Set<Promise<void>>();

  /** Takes any amount of work and does at most `limit` at a time. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Does `work`, which must not reject, as soon as it is its turn. */
  add(work: () => Promise<void>): void {
    this.#waiting.push(work);
    this.#begin();
  }

  /** Drops what was not begun; resolves when nothing is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#clear();
    await Promise.all(this.#running);
  }

  #begin(): void {
    while (this.#running.size < this.#limit && this.#next < this.#waiting.length) {
      const work = this.#waiting[this.#next++]!;
      if (this.#next === this.#waiting.length) this.#clear();
      const done = work().finally(() => {
        this.#running.delete(done);
        this.#begin();
      });
      this.#running.add(done);
    }
  }

  #clear(): void {
    this.#waiting = [];
    this.#next = 0;
  }
}
