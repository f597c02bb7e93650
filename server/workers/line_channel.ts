import { ControlError } from "../../cli/json.ts";

export interface LineChannelOptions {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<Uint8Array<ArrayBuffer>>;
  /** Bytes of a line. @default 4 MiB */
  readonly longest?: number;
  /** Bytes that wait until the other end reads. @default 32 MiB */
  readonly mostWaiting?: number;
}

/** One JSON object a line in both directions, each end trusting nothing of what the other one writes. */
export class LineChannel implements AsyncDisposable {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  readonly #longest: number;
  readonly #mostWaiting: number;
  #waiting: string[] = [];
  #size = 0;
  #writing: Promise<void> | null = null;
  #isClosed = false;

  constructor({ readable, writable, longest = 2 ** 22, mostWaiting = 2 ** 25 }: LineChannelOptions) {
    this.#reader = readable.getReader();
    this.#writer = writable.getWriter();
    this.#longest = longest;
    this.#mostWaiting = mostWaiting;
  }

  /** Written with all that is sent in the same turn. Throws `ControlError` when the other end does not read. */
  send(message: object): void {
    if (this.#isClosed) return;
    const line = JSON.stringify(message) + "\n";
    if (this.#size + line.length > this.#mostWaiting) throw new ControlError("the other end does not read");
    this.#waiting.push(line);
    this.#size += line.length;
    this.#writing ??= this.#write();
  }

  /** Resolves when all that was sent is written, or cannot be. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  /** Ends where the other end does. Throws `ControlError` for what is no line of JSON. */
  async *lines(): AsyncGenerator<unknown, void> {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    let parts: Uint8Array[] = [], length = 0;
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) return;
      let rest: Uint8Array = value;
      for (let end = rest.indexOf(0x0a); end !== -1; end = rest.indexOf(0x0a)) {
        parts.push(rest.subarray(0, end));
        this.#check(length + end);
        yield parse(decoder, parts);
        [parts, length, rest] = [[], 0, rest.subarray(end + 1)];
      }
      if (rest.length === 0) continue;
      parts.push(rest);
      this.#check(length += rest.length);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled([this.#reader.cancel(), this.#writer.abort(), this.#writing]);
  }

  #check(length: number): void {
    if (length > this.#longest) throw new ControlError(`a line is longer than ${this.#longest} bytes`);
  }

  async #write(): Promise<void> {
    const encoder = new TextEncoder();
    try {
      // Whatever else this turn sends goes with it.
      await Promise.resolve();
      while (this.#waiting.length > 0) {
        const [lines, size] = [this.#waiting, this.#size];
        this.#waiting = [];
        await this.#writer.write(encoder.encode(lines.join("")));
        this.#size -= size;
      }
    } catch {
      // The other end is gone, which reading tells.
      this.#isClosed = true;
      this.#waiting = [];
    } finally {
      this.#writing = null;
    }
  }
}

function parse(decoder: TextDecoder, parts: readonly Uint8Array[]): unknown {
  try {
    const texts = parts.map((part) => decoder.decode(part, { stream: true }));
    return JSON.parse(texts.join("") + decoder.decode());
  } catch {
    throw new ControlError("a line is no JSON");
  }
}
