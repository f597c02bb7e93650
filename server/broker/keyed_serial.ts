/** Serializes tasks by key; those of different keys overlap. */
export class KeyedSerial {
  readonly #tails = new Map<string, Promise<void>>();
  readonly #onIdle: (key: string) => void;

  constructor(onIdle: (key: string) => void = noop) {
    this.#onIdle = onIdle;
  }

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
