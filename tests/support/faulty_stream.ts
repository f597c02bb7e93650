import type { ByteStream } from "../../server/link/byte_stream.ts";

/** A stream that a test can make fail in every way. */
export class FaultyStream implements ByteStream {
  /** Bytes that are still read before the stream is cut. */
  readsLeft = Infinity;
  /** Bytes that are still written before the stream is cut. */
  writesLeft = Infinity;
  /** What is written is lost, as if the peer never read it. */
  losesWrites = false;
  /** Most bytes of one read. */
  mostRead = Infinity;
  readonly #stream: ByteStream;
  #held: PromiseWithResolvers<void> | null = null;
  #isClosed = false;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  /** Lets no bytes through in the direction of this side until `release`. */
  hold(): void {
    this.#held ??= Promise.withResolvers();
  }

  release(): void {
    this.#held?.resolve();
    this.#held = null;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    const most = Math.min(buffer.length, this.mostRead, this.readsLeft);
    if (most === 0) return this.#cut();
    const count = await this.#stream.read(buffer.subarray(0, most));
    while (this.#held !== null) await this.#held.promise;
    if (this.#isClosed) return this.#cut();
    if (count === null) return null;
    this.readsLeft -= count;
    return count;
  }

  async write(bytes: Uint8Array): Promise<number> {
    if (this.losesWrites) return bytes.length;
    const most = Math.min(bytes.length, this.writesLeft);
    if (most === 0) return this.#cut();
    const count = await this.#stream.write(bytes.subarray(0, most));
    this.writesLeft -= count;
    return count;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.release();
    this.#stream.close();
  }

  #cut(): never {
    this.close();
    throw new Error("the stream was cut");
  }
}
