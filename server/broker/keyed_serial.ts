/** Runs the tasks of one key one after the other, in the order of the calls; tasks of different keys overlap. */
export class KeyedSerial {
  readonly #tails = new Map<string, Promise<void>>();
  readonly #onIdle: (key: string) => void;

  /** `onIdle` is called when the last task of a key has ended. */
  constructor(onIdle: (key: string) => void = noop) {
    this.#onIdle = onIdle;
  }

  /** Runs `task` after all earlier ones of `key` and gives what it gives. It starts at once when there are none. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const previous = this.#tails.get(key);
    const result = previous === undefined ? task() : previous.then(task);
    const tail: Promise<void> = result.then(noop, noop).then(() => {
      if (this.#tails.get(key) !== tail) return;
      this.#tails.delete(key);
      this.#onIdle(key);
    });
    this.#tails.set(key, tail);
    return result;
  }
}

function noop(): void {}
