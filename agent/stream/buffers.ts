/** Arrays that are used again: so many of them would wait for the garbage collector else that they took most of the memory. */
export class Buffers {
  readonly #length: number;
  readonly #most: number;
  readonly #free: Uint8Array<ArrayBuffer>[] = [];

  /** Arrays of `length` bytes, of which at most `most` wait to be used again. */
  constructor(length: number, most: number) {
    this.#length = length;
    this.#most = most;
  }

  /** One with any content. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#free.pop() ?? new Uint8Array(this.#length);
  }

  /** It is not used any more. */
  give(buffer: Uint8Array<ArrayBuffer>): void {
    if (this.#free.length < this.#most) this.#free.push(buffer);
  }
}
