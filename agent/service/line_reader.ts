import { asciiText } from "../../protocol/mod.ts";

const newline = 0x0a;

/** A line is longer than it may be. */
export class LineError extends Error {
  /** The class name. */
  override readonly name = "LineError";
  /** How the line begins, bytes as Latin-1 characters. */
  readonly start: string;

  /** Takes how the line begins. */
  constructor(start: string) {
    super("a line is longer than any command");
    this.start = start;
  }
}

/** Reads lines, which end with LF or CRLF, and bodies from a stream of bytes, of which it keeps no more than it needs. */
export class LineReader {
  readonly #source: AsyncIterator<Uint8Array>;
  /** Bytes that a line may have. */
  longest: number;
  #buffer: Uint8Array = new Uint8Array(0);
  /** What was not read yet is between these in the buffer. */
  #start = 0;
  #end = 0;
  /** Whether the buffer is the reader's own, and not a part of the stream. */
  #isOwn = false;

  /** Reads from `source`; lines may have `longest` bytes. */
  constructor(source: AsyncIterable<Uint8Array>, longest: number) {
    this.#source = source[Symbol.asyncIterator]();
    this.longest = longest;
  }

  /** A line without its end, bytes as Latin-1 characters; `null` at the end. Throws {@linkcode LineError} when it is too long. */
  async line(): Promise<string | null> {
    for (let searched = 0;;) {
      const found = this.#buffer.subarray(this.#start, this.#end).indexOf(newline, searched);
      searched = found < 0 ? this.#end - this.#start : found;
      if (searched > this.longest) {
        throw new LineError(asciiText(this.#buffer, this.#start, this.#start + this.longest));
      }
      if (found >= 0) {
        const line = asciiText(this.#buffer, this.#start, this.#start + found);
        this.#start += found + 1;
        return line.endsWith("\r") ? line.slice(0, -1) : line;
      }
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

  /** Passes over `size` bytes, or what there is until the end. */
  skip(size: number): Promise<void> {
    return this.#take(size, () => {});
  }

  async #take(size: number, use: (part: Uint8Array) => void): Promise<void> {
    for (let left = size; left > 0;) {
      if (this.#start === this.#end && !await this.#more()) return;
      const part = this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + left));
      use(part);
      this.#start += part.length;
      left -= part.length;
    }
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#source.next();
    if (done) return false;
    const size = this.#end - this.#start;
    if (size === 0) {
      [this.#buffer, this.#start, this.#end, this.#isOwn] = [value, 0, value.length, false];
      return true;
    }
    if (!this.#isOwn || this.#end + value.length > this.#buffer.length) {
      // Twice as much as there is: bytes that come one by one are copied a few times, however many they are.
      const larger = new Uint8Array(2 * (size + value.length));
      larger.set(this.#buffer.subarray(this.#start, this.#end));
      [this.#buffer, this.#start, this.#end, this.#isOwn] = [larger, 0, size, true];
    }
    this.#buffer.set(value, this.#end);
    this.#end += value.length;
    return true;
  }
}
