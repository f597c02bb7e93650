import { largestData } from "./stream_command.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** The data of a stream as it is said: of one that has a size so much at a time that its numbers say where it is. */
export class DataReader {
  readonly #reader: ReadableStreamDefaultReader<Bytes>;
  /** Bytes that are to come; `null`: not known. */
  #left: number | null;
  #rest: Bytes = new Uint8Array(0);

  /** `left`: bytes that are to come; `null`: not known. */
  constructor(readable: ReadableStream<Bytes>, left: number | null) {
    this.#reader = readable.getReader();
    this.#left = left;
  }

  /** What comes next; `null` at the end, which is not asked for before all else was used. */
  async next(): Promise<Bytes | null> {
    if (this.#left === null || this.#left === 0) {
      if (!await this.#more()) return null;
      return this.#take(largestData);
    }
    const data = new Uint8Array(Math.min(largestData, this.#left));
    for (let filled = 0; filled < data.length;) {
      if (!await this.#more()) return null;
      const part = this.#take(data.length - filled);
      data.set(part, filled);
      filled += part.length;
    }
    this.#left -= data.length;
    return data;
  }

  async #more(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#reader.read();
      if (done) return false;
      this.#rest = value;
    }
    return true;
  }

  #take(most: number): Bytes {
    const part = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(part.length);
    return part;
  }
}
