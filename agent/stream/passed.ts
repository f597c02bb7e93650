/**
 * Which chunks cannot come any more, as each way brings those that are sent by it in order: known once each way has brought
 * a later one. Before a lost connection none of them counts, as only a server that has lost it all loses any.
 */
export class Passed {
  /** The greatest number that each way has brought. */
  readonly #last: number[];
  #isBroken = false;

  /** None has come yet by so many ways. */
  constructor(ways: number) {
    this.#last = Array.from({ length: ways }, () => 0);
  }

  /** The connection of a way was lost, and there is another one. */
  broken(): void {
    this.#isBroken = true;
  }

  /** A chunk has come by a way, for the first time or again. */
  came(way: number, number: number): void {
    this.#last[way] = Math.max(this.#last[way]!, number);
  }

  /** Whether a chunk that has not come is lost. */
  isLost(number: number): boolean {
    return this.#isBroken && this.#last.every((last) => last > number);
  }
}
