import { type ClusterClock, steadyClock } from "./clock.ts";

/** Bytes with which a batch waits for nothing more. */
const enough = 131_072;
/** Pause for each millisecond that the batch before took. */
const share = 2;
/** Milliseconds. */
const longest = 40;
/** Milliseconds that no timer is worth. */
const shortest = 1;

/**
 * The pause between two batches of a log. NATS does nearly the same work for each batch, whatever is in it: where several
 * commands came during the one before, the next one waits for those that its answers bring about.
 */
export class Gathering {
  readonly #clock: ClusterClock;
  #pause: AbortController | null = null;
  #isOver = false;

  constructor(clock: ClusterClock = steadyClock) {
    this.#clock = clock;
  }

  /** By which `took` is measured. */
  now(): number {
    return this.#clock.now();
  }

  /** Waits in proportion to what the last batch took, until enough bytes wait. */
  async pause(took: number, waiting: number): Promise<void> {
    const time = Math.min(longest, share * took);
    if (this.#isOver || waiting >= enough || time < shortest) return;
    this.#pause = new AbortController();
    await this.#clock.wait(time, this.#pause.signal);
    this.#pause = null;
  }

  /** So many bytes wait now. */
  grown(waiting: number): void {
    if (waiting >= enough) this.#pause?.abort();
  }

  /** Nothing is waited for any more. */
  end(): void {
    this.#isOver = true;
    this.#pause?.abort();
  }
}
