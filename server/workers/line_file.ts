import { ioError } from "../store/error.ts";
import { type LogFile, type LogIo, writeAll } from "../store/log_io.ts";

const chunkLength = 1 << 16;

/** A new file that is written line by line, and whose lines wait in memory until there are enough of them. */
export class LineFile implements AsyncDisposable {
  readonly #path: string;
  readonly #file: LogFile;
  #lines: string[] = [];
  #length = 0;
  #isClosed = false;

  private constructor(path: string, file: LogFile) {
    this.#path = path;
    this.#file = file;
  }

  /** Replaces what is there. */
  static async open(io: LogIo, path: string): Promise<LineFile> {
    try {
      return new LineFile(path, await io.open(path, true));
    } catch (error) {
      throw ioError("write", path, error);
    }
  }

  /** To be followed by `drain` as often as lines may be many. */
  add(line: string): void {
    this.#lines.push(line + "\n");
    this.#length += line.length + 1;
  }

  /** Writes what waits, if that is enough to be worth it. */
  async drain(least = chunkLength): Promise<void> {
    if (this.#length < least) return;
    const text = this.#lines.join("");
    [this.#lines, this.#length] = [[], 0];
    try {
      await writeAll(this.#file, new TextEncoder().encode(text));
    } catch (error) {
      throw ioError("write", this.#path, error);
    }
  }

  /** Resolves when all would survive a power cut, but for the name of the file. */
  async finish(): Promise<void> {
    await this.drain(1);
    try {
      await this.#file.sync();
    } catch (error) {
      throw ioError("write", this.#path, error);
    }
    this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    return Promise.resolve();
  }

  #close(): void {
    if (!this.#isClosed) this.#file.close();
    this.#isClosed = true;
  }
}
