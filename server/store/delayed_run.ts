/** Runs something once, some time after it was first asked to. */
export class DelayedRun {
  readonly #run: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(run: () => void) {
    this.#run = run;
  }

  get canStart(): boolean {
    return this.#timer === undefined && !this.#isClosed;
  }

  start(delay: number): void {
    if (!this.canStart) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#run();
    }, delay);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }
}
