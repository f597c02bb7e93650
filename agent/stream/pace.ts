/** Packets that are on their way at first, and at most. */
const firstOnWay = 4, mostOnWay = 64;

/** As many may always be that are answered in time: they keep everybody busy who passes them on. */
const few = 8;

/** Milliseconds for which packets may wait, beyond twice the shortest time of an answer: what comes later waits behind them. */
const waitingTime = 5;

/**
 * How many packets may be on their way to a server: as many as a slow connection carries in time, and as keep a fast one
 * busy. More of them would wait somewhere, take memory there, and keep messages waiting.
 */
export class Pace {
  readonly #answerTime: number;
  #most = firstOnWay;
  /** The shortest time of an answer. */
  #least = Infinity;

  /** `answerTime`: milliseconds in which a packet should be answered, as it may be given up some time after. */
  constructor(answerTime: number) {
    this.#answerTime = answerTime;
  }

  /** Packets that may be on their way. */
  get most(): number {
    return this.#most;
  }

  /** Of so many on their way one was answered in so many milliseconds. */
  answered(onWay: number, time: number): void {
    this.#least = Math.min(this.#least, time);
    const quick = 2 * this.#least + waitingTime;
    const next = Math.min(mostOnWay, this.#most + 1);
    const within = (limit: number) => Math.floor(onWay * limit / time);
    if (time > this.#answerTime) this.#most = Math.max(1, Math.min(next, within(this.#answerTime)));
    else if (time > quick) this.#most = Math.min(next, Math.max(few, within(quick)));
    else this.#most = next;
  }

  /** A connection was lost: nothing is known of the next one. */
  lost(): void {
    this.#most = 1;
    this.#least = Infinity;
  }
}
