import type { FileHandle } from "node:fs/promises";
import type { StreamFile } from "../store/store.ts";
import { fileModules } from "./builtin.ts";
import { StreamError } from "./error.ts";
import type { SourcePart, StreamSource } from "./source.ts";

/** A file, as it was when it was offered: in size and time. */
export class FileSource implements StreamSource {
  readonly #file: StreamFile;
  #handle: FileHandle | null = null;
  #opening: Promise<FileHandle> | null = null;
  #isClosed = false;
  #buffer = new Uint8Array(0);
  /** What is read last, which a run that was stopped may not wait for. */
  #reading: Promise<unknown> = Promise.resolve();

  /** Opens nothing yet. */
  constructor(file: StreamFile) {
    this.#file = file;
  }

  /** Opens it. Throws `LOST` when it is not there, `CHANGED` when it is another one. */
  async begin(): Promise<void> {
    await this.#reading;
    await this.#check(await this.#open());
  }

  /** All of it. */
  available(): number {
    return Infinity;
  }

  /** A part of it. Throws `CHANGED`. */
  read(offset: number, most: number): Promise<SourcePart> {
    const reading = this.#read(offset, most);
    this.#reading = reading.catch(() => {});
    return reading;
  }

  /** Nothing. */
  release(): void {}

  /** Closes it. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#opening?.catch(() => {});
    await this.#handle?.close().catch(() => {});
    this.#handle = null;
  }

  async #read(offset: number, most: number): Promise<SourcePart> {
    const handle = await this.#open();
    const length = Math.min(most, this.#file.size - offset);
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(length);
    const data = this.#buffer.subarray(0, length);
    try {
      for (let filled = 0; filled < length;) {
        const { bytesRead } = await handle.read(data, filled, length - filled, offset + filled);
        if (bytesRead === 0) throw changed();
        filled += bytesRead;
      }
    } catch (cause) {
      if (cause instanceof StreamError) throw cause;
      throw new StreamError("FAILED", "The file cannot be read", { cause });
    }
    const isEnd = offset + length >= this.#file.size;
    if (isEnd) await this.#check(handle);
    return { data, isEnd };
  }

  #open(): Promise<FileHandle> {
    return this.#opening ??= this.#openNow().catch((error) => {
      this.#opening = null;
      throw error;
    });
  }

  async #openNow(): Promise<FileHandle> {
    if (this.#isClosed) throw new StreamError("CLOSED", "The stream has ended");
    const { files } = fileModules();
    // Whatever is there by now: a named pipe would make who opens it wait for a writer.
    const { O_RDONLY, O_NONBLOCK = 0 } = files.constants;
    try {
      return this.#handle = await files.open(this.#file.path, O_RDONLY | O_NONBLOCK);
    } catch (cause) {
      throw new StreamError("LOST", "The file cannot be opened any more", { cause });
    }
  }

  async #check(handle: FileHandle): Promise<void> {
    const stat = await handle.stat(), { size, mtimeMs } = stat;
    if (!stat.isFile() || size !== this.#file.size || mtimeMs !== this.#file.modifiedAt) throw changed();
  }
}

function changed(): StreamError {
  return new StreamError("CHANGED", "The file has changed since it was offered");
}
