/** A map from numbers that is read in their order, whatever the order in which they came. */
export class OrderedMap<T> {
  readonly #values = new Map<number, T>();
  /** Ascending. */
  readonly #keys: number[] = [];

  /** How many there are. */
  get size(): number {
    return this.#values.size;
  }

  /** The value of a key. */
  get(key: number): T | undefined {
    return this.#values.get(key);
  }

  /** Adds a value, or replaces the one that is there. */
  set(key: number, value: T): void {
    if (!this.#values.has(key)) this.#keys.splice(this.#countBelow(key), 0, key);
    this.#values.set(key, value);
  }

  /** Removes a value, if it is there. */
  delete(key: number): void {
    if (this.#values.delete(key)) this.#keys.splice(this.#countBelow(key), 1);
  }

  /** All values in order. */
  values(): T[] {
    return this.#keys.map((key) => this.#values.get(key)!);
  }

  /** The first values whose keys are greater than `key`, at most `limit`. */
  after(key: number, limit: number): T[] {
    const start = this.#countBelow(key) + Number(this.#values.has(key));
    return this.#slice(start, Math.min(start + limit, this.#keys.length));
  }

  /** The last values whose keys are less than `key`, at most `limit`, in order. */
  before(key: number, limit: number): T[] {
    const end = this.#countBelow(key);
    return this.#slice(Math.max(0, end - limit), end);
  }

  #slice(start: number, end: number): T[] {
    return this.#keys.slice(start, end).map((key) => this.#values.get(key)!);
  }

  #countBelow(key: number): number {
    let [low, high] = [0, this.#keys.length];
    // Most come in order.
    if (high > 0 && this.#keys[high - 1]! < key) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
