/** Of whom a command on a queue is; those that are of neither side wait for all before them. */
export type Side = "sender" | "recipient";

/** The place of a task among those of its key. */
export interface Place {
  /** Whether the task before it, of the other side, is still in work. */
  readonly isBeside: boolean;
  /** Resolves when all tasks before it have ended. */
  alone(): Promise<void>;
  /**
   * Calls `append`, and lets the next task begin meanwhile if it is of the other side. Settles as `append` does, when all
   * tasks before this one have ended.
   */
  store<T>(append: () => Promise<T>): Promise<T>;
}

interface Task {
  readonly side: Side | null;
  /** Resolves when a task of the other side may begin. */
  readonly opened: Promise<void>;
  readonly ended: Promise<void>;
}

/** The place of a task that is the only one of its key in work. */
export const onlyPlace: Place = {
  isBeside: false,
  alone: () => Promise.resolve(),
  store: (append) => append(),
};

/**
 * Serializes tasks by key, as `KeyedSerial` does, but for two that are in work at a time: while one is being stored, the
 * next one may begin when it is of the other side. What it does after it was stored waits for the end of the first.
 */
export class PairedSerial {
  readonly #last = new Map<string, Task>();
  readonly #onIdle: (key: string) => void;

  constructor(onIdle: (key: string) => void = noop) {
    this.#onIdle = onIdle;
  }

  /** What comes after it is done, also when `work` rejects. */
  run(key: string, work: (place: Place) => Promise<void>, side: Side | null = null): void {
    const previous = this.#last.get(key);
    const { promise: opened, resolve: open } = Promise.withResolvers<void>();
    const isPair = side !== null && previous !== undefined && previous.side !== null &&
      previous.side !== side;
    const place = new TaskPlace(isPair ? previous.ended : null, open);
    const done = previous === undefined
      ? work(place)
      : (isPair ? previous.opened : previous.ended).then(() => work(place));
    const alone = () => place.alone();
    const ended = done.then(alone, alone).then(() => {
      if (this.#last.get(key) !== task) return;
      this.#last.delete(key);
      this.#onIdle(key);
    });
    const task: Task = { side, opened, ended };
    this.#last.set(key, task);
    void ended.then(open);
  }
}

class TaskPlace implements Place {
  #before: Promise<void> | null;
  readonly #open: () => void;

  constructor(before: Promise<void> | null, open: () => void) {
    this.#open = open;
    this.#before = before;
    void before?.then(() => this.#before = null);
  }

  get isBeside(): boolean {
    return this.#before !== null;
  }

  async alone(): Promise<void> {
    await this.#before;
  }

  async store<T>(append: () => Promise<T>): Promise<T> {
    const stored = append();
    // No more than two are in work.
    if (this.#before === null) this.#open();
    else void this.#before.then(this.#open);
    try {
      return await stored;
    } finally {
      if (this.#before !== null) await this.#before;
    }
  }
}

function noop(): void {}
