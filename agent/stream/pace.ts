/** Packets that are on their way at first, and at most. */
const firstOnWay = 4, mostOnWay = 64;

/** As many may always be that are answered in time: they keep everybody busy who passes them on. */
const few = 8;

/** Milliseconds for which packets may wait, beyond twice the shortest time of an answer: what comes later waits behind them. */
const waitingTime = 5;

/** Milliseconds after which the shortest time of an answer is measured anew, and how many times that time they are at least. */
const leastAge = 10_000, leastAgeTimes = 100;

/** Few packets are on their way, so that their answers tell how far the server is now. */
interface Measurement {
  /** The shortest time of those that have come. */
  least: number;
  /** How many are to come. */
  left: number;
}

/**
 * How many packets may be on their way to a server: as many as a slow connection carries in time, and as keep a fast one
 * busy. More of them would wait somewhere, take memory there, and keep messages waiting.
 */
export class Pace {
  readonly #answerTime: number;
  readonly #now: () => number;
  #most = firstOnWay;
  /** The shortest time of an answer. */
  #least = Infinity;
  /** When it was measured. */
  #leastAt = 0;
  #measurement: Measurement | null = null;

  /**
   * `answerTime`: milliseconds in which a packet should be answered, as it may be given up some time after. `now` gives
   * milliseconds that do not go back.
   */
  constructor(answerTime: number, now: () => number = () => performance.now()) {
    this.#answerTime = answerTime;
    this.#now = now;
  }

  /** Packets that may be on their way. */
  get most(): number {
    return this.#measurement === null ? this.#most : Math.min(this.#most, firstOnWay);
  }

  /** Of so many on their way one was answered in so many milliseconds. */
  answered(onWay: number, time: number): void {
    // That few are answered quickly does not say that there may be more than were on their way before.
    const more = this.#measurement === null ? 1 : 0;
    this.#measure(onWay, time);
    const quick = 2 * this.#least + waitingTime;
    const next = Math.min(mostOnWay, this.#most + more);
    const within = (limit: number) => Math.floor(onWay * limit / time);
    if (time > this.#answerTime) this.#most = Math.max(1, Math.min(next, within(this.#answerTime)));
    else if (time > quick) this.#most = Math.min(next, Math.max(few, within(quick)));
    else this.#most = next;
  }

  /** A connection was lost: nothing is known of the next one. */
  lost(): void {
    this.#most = 1;
    this.#least = Infinity;
    this.#measurement = null;
  }

  /** Packets wait for one another, and the way may have changed: now and then a few alone show how long it is. */
  #measure(onWay: number, time: number): void {
    const now = this.#now();
    if (this.#least === Infinity) this.#leastAt = now;
    this.#least = Math.min(this.#least, time);
    if (now - this.#leastAt > Math.max(leastAge, leastAgeTimes * this.#least)) {
      this.#measurement ??= { least: Infinity, left: firstOnWay };
    }
    // Others were sent before.
    if (this.#measurement === null || onWay > firstOnWay) return;
    this.#measurement.least = Math.min(this.#measurement.least, time);
    if (--this.#measurement.left > 0) return;
    this.#least = this.#measurement.least;
    this.#leastAt = now;
    this.#measurement = null;
  }
}
