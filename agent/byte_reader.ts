const firstRoom = 65_536;

/** Reads bytes in pieces of the lengths that are asked for; holds no more than the piece and the last chunk. */
export class ByteReader implements AsyncDisposable {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array();

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** The next `length` bytes; fewer at the end. */
  async read(length: number): Promise<Uint8Array<ArrayBuffer>> {
    // The length may be a lie: room is made as bytes come.
    let bytes = new Uint8Array(Math.min(length, firstRoom));
    let at = 0;
    while (at < length) {
      if (this.#chunk.length === 0) {
        const { done, value } = await this.#chunks.next();
        if (done) return bytes.slice(0, at);
        this.#chunk = value;
        continue;
      }
      const part = this.#chunk.subarray(0, length - at);
      if (at + part.length > bytes.length) {
        const larger = new Uint8Array(Math.min(length, Math.max(2 * bytes.length, at + part.length)));
        larger.set(bytes.subarray(0, at));
        bytes = larger;
      }
      bytes.set(part, at);
      at += part.length;
      this.#chunk = this.#chunk.subarray(part.length);
    }
    return bytes;
  }

  /** Lets go of the source. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chunks.return?.();
  }
}
