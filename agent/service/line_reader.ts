import { asciiText } from "../../protocol/mod.ts";

const newline = 0x0a;

/** What ends a session: the peer does not speak the protocol. */
export class LineError extends Error {
  /** The class name. */
  override readonly name = "LineError";
}

/** Reads lines, which end with LF or CRLF, and bodies from a stream of bytes, of which it keeps no more than it needs. */
export class LineReader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #longest: number;
  #bytes: Uint8Array = new Uint8Array(0);

  /** Reads from `source`; lines may have `longest` bytes. */
  constructor(source: AsyncIterable<Uint8Array>, longest: number) {
    this.#source = source[Symbol.asyncIterator]();
    this.#longest = longest;
  }

  /** A line without its end, bytes as Latin-1 characters; `null` at the end. Throws {@linkcode LineError} when it is too long. */
  async line(): Promise<string | null> {
    for (let searched = 0;;) {
      const end = this.#bytes.indexOf(newline, searched);
      if (end >= 0) {
        const line = asciiText(this.#bytes, 0, end);
        this.#bytes = this.#bytes.subarray(end + 1);
        return line.endsWith("\r") ? line.slice(0, -1) : line;
      }
      searched = this.#bytes.length;
      if (searched > this.#longest) throw new LineError("a line is longer than any command");
      if (!await this.#more()) return null;
    }
  }

  /** `size` bytes; `null` when the end comes before. */
  async body(size: number): Promise<Uint8Array<ArrayBuffer> | null> {
    const body = new Uint8Array(size);
    let filled = 0;
    await this.#take(size, (part) => {
      body.set(part, filled);
      filled += part.length;
    });
    return filled < size ? null : body;
  }

  /** Passes over `size` bytes. */
  skip(size: number): Promise<void> {
    return this.#take(size, () => {});
  }

  async #take(size: number, use: (part: Uint8Array) => void): Promise<void> {
    for (let left = size; left > 0;) {
      if (this.#bytes.length === 0 && !await this.#more()) return;
      const part = this.#bytes.subarray(0, left);
      use(part);
      this.#bytes = this.#bytes.subarray(part.length);
      left -= part.length;
    }
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#source.next();
    if (done) return false;
    if (this.#bytes.length === 0) {
      this.#bytes = value;
      return true;
    }
    const joined = new Uint8Array(this.#bytes.length + value.length);
    joined.set(this.#bytes);
    joined.set(value, this.#bytes.length);
    this.#bytes = joined;
    return true;
  }
}
