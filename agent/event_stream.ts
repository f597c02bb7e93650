/** Events on their way to one reader, with a bound for those that can wait elsewhere. */
export class EventStream<T> {
  readonly #room: number;
  #events: T[] = [];
  #wakeReader: (() => void) | null = null;
  #waiting: (() => void)[] = [];
  #isClosed = false;

  /** Keeps about `room` events that were not read. */
  constructor(room: number) {
    this.#room = room;
  }

  /** Adds an event. */
  put(event: T): void {
    if (this.#isClosed) return;
    this.#events.push(event);
    this.#wakeReader?.();
  }

  /** Resolves when there is room for one more, or the stream is closed. */
  async room(): Promise<void> {
    while (!this.#isClosed && this.#events.length >= this.#room) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** The events, for one reader at a time; ends when the stream is closed. */
  async *read(): AsyncGenerator<T, void, void> {
    for (;;) {
      const event = this.#events.shift();
      if (event !== undefined) {
        this.#waiting.shift()?.();
        yield event;
      } else if (this.#isClosed) {
        return;
      } else {
        await new Promise<void>((resolve) => this.#wakeReader = resolve);
        this.#wakeReader = null;
      }
    }
  }

  /** Ends the reader when it has read what there is. */
  close(): void {
    this.#isClosed = true;
    this.#wakeReader?.();
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
