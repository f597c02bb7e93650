/** Where the bytes of a stream come from that this side sends. */
import { deferred, largestChunk } from "../../protocol/mod.ts";
import { Buffers } from "./buffers.ts";
import { StreamError } from "./error.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Bytes of a stream from an offset on. */
export interface SourcePart {
  /** Not empty unless it is the end; until the next call of a method, as its memory is used again. */
  readonly data: Bytes;
  /** Whether nothing follows. */
  readonly isEnd: boolean;
}

/** What a stream is read from, at any offset that is not released. */
export interface StreamSource {
  /**
   * Reading begins at an offset, and what was begun before is over. `changed` is called when more is available. Throws
   * {@linkcode StreamError}: `LOST`, `CHANGED`.
   */
  begin(offset: number, changed: () => void): Promise<void>;
  /** Bytes that can be read from an offset on without waiting. */
  available(offset: number): number;
  /** At most `most` bytes from an offset on; none, and not the end, when another one has begun. Throws {@linkcode StreamError}. */
  read(offset: number, most: number): Promise<SourcePart>;
  /** What is before an offset is not read again. */
  release(offset: number): void;
  /** Nothing is read any more: what waits for it fails with `error`, or is done. */
  close(error: StreamError | null): Promise<void>;
}

/** Bytes of a `Blob` that are read at a time, at least: each read of one takes a browser long. */
const blockLength = 1024 * 1024;

/** A `Blob`, which can be read anywhere as long as the program runs. */
export class BlobSource implements StreamSource {
  readonly #blob: Blob;
  /** What was read last. */
  #block: { readonly start: number; readonly bytes: Bytes } = { start: 0, bytes: new Uint8Array(0) };

  /** What is read last, which a run that was stopped may not wait for. */
  #reading: Promise<unknown> = Promise.resolve();

  /** Reads nothing yet. */
  constructor(blob: Blob) {
    this.#blob = blob;
  }

  /** It can begin anywhere. */
  async begin(): Promise<void> {
    await this.#reading;
  }

  /** All of it. */
  available(): number {
    return Infinity;
  }

  /** A part of it. */
  async read(offset: number, most: number): Promise<SourcePart> {
    const { start, bytes } = this.#block;
    if (offset < start || offset >= start + bytes.length) {
      const reading = this.#readBlock(offset, most);
      this.#reading = reading.catch(() => {});
      await reading;
    }
    const at = offset - this.#block.start;
    const data = this.#block.bytes.subarray(at, at + most);
    return { data, isEnd: offset + data.length >= this.#blob.size };
  }

  /** Nothing. */
  release(): void {}

  /** Forgets what was read. */
  close(): Promise<void> {
    this.#block = { start: 0, bytes: new Uint8Array(0) };
    return Promise.resolve();
  }

  /** Reads as many parts of `most` bytes as make a block. */
  async #readBlock(start: number, most: number): Promise<void> {
    const end = start + Math.ceil(blockLength / most) * most;
    try {
      this.#block = { start, bytes: new Uint8Array(await this.#blob.slice(start, end).arrayBuffer()) };
    } catch (cause) {
      throw new StreamError("CHANGED", "The file cannot be read any more", { cause });
    }
  }
}

/** Bytes of an array that keeps what is written: as many as chunks of the largest blocks, which are then not copied again. */
const partLength = largestChunk(65_536);

/** Arrays that are kept to be used again: a window of them comes back at a time. */
const mostFree = 32;

/** Bytes that are written and not read; more than that make the writer wait. */
const mostUnread = partLength;

/** What a program writes: kept from what the receiver has on, so that it can be read again from there. */
export class WrittenSource implements StreamSource {
  /** Written and not released, in order: arrays of one length, of which the last one may not be full. */
  readonly #kept: Bytes[] = [];
  readonly #buffers = new Buffers(partLength, mostFree);
  /** Where what is read at a time is put that is in two of them. */
  #joined: Bytes = new Uint8Array(0);
  /** The offset of the first byte that is kept, at which an array begins, and of the one after the last. */
  #start = 0;
  #end = 0;
  /** The greatest offset up to which it was read. */
  #readUpTo = 0;
  #isEnded = false;
  /** How often reading has begun. */
  #begun = 0;
  #changed: () => void = () => {};
  #error: StreamError | null = null;
  /** Who waits for bytes, or for room. */
  #reader: (() => void) | null = null;
  #writer: (() => void) | null = null;
  readonly #closed = deferred<void>();

  /** Nothing is written yet. */
  constructor() {
    this.#closed.promise.catch(() => {});
  }

  /** Writes bytes, which are copied; resolves when more may be written. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      if (this.#error !== null) throw this.#error;
      const room = mostUnread - (this.#end - this.#readUpTo);
      if (room <= 0) {
        await new Promise<void>((resolve) => this.#writer = resolve);
        continue;
      }
      const filled = this.#end % partLength;
      if (filled === 0) this.#kept.push(this.#buffers.take());
      const part = bytes.subarray(at, at + Math.min(room, partLength - filled));
      this.#kept.at(-1)!.set(part, filled);
      this.#end += part.length;
      at += part.length;
      this.#wakeReader();
    }
    if (this.#error !== null) throw this.#error;
  }

  /** Nothing more is written; resolves when the receiver has all. */
  async end(): Promise<void> {
    this.#isEnded = true;
    this.#wakeReader();
    await this.#closed.promise;
  }

  /** How many bytes were written. */
  get length(): number {
    return this.#end;
  }

  /** Throws `LOST` for an offset that was released. */
  begin(offset: number, changed: () => void): Promise<void> {
    this.#begun++;
    this.#changed = changed;
    const wake = this.#reader;
    this.#reader = null;
    wake?.();
    return offset >= this.#start && offset <= this.#end ? Promise.resolve() : Promise.reject(lost());
  }

  /** Waits until bytes are there. */
  async read(offset: number, most: number): Promise<SourcePart> {
    const begun = this.#begun;
    while (offset === this.#end && !this.#isEnded && this.#error === null && begun === this.#begun) {
      await new Promise<void>((resolve) => this.#reader = resolve);
    }
    if (this.#error !== null) throw this.#error;
    if (begun !== this.#begun) return { data: new Uint8Array(0), isEnd: false };
    if (offset < this.#start || offset > this.#end) throw lost();
    const length = Math.min(most, this.#end - offset);
    const data = length === 0 ? new Uint8Array(0) : this.#range(offset, length);
    this.#readUpTo = Math.max(this.#readUpTo, offset + data.length);
    this.#writer?.();
    return { data, isEnd: this.#isEnded && offset + data.length === this.#end };
  }

  /** Bytes that can be read from an offset on without waiting; everything when all is written. */
  available(offset: number): number {
    return this.#isEnded ? Infinity : this.#end - offset;
  }

  /** Forgets what is before an offset. */
  release(offset: number): void {
    while (this.#kept.length > 0 && this.#start + partLength <= offset) {
      this.#buffers.give(this.#kept.shift()!);
      this.#start += partLength;
    }
  }

  /** Ends the writer. */
  close(error: StreamError | null): Promise<void> {
    this.#error ??= error;
    this.#kept.length = 0;
    this.#start = this.#end = 0;
    if (error === null) this.#closed.resolve();
    else this.#closed.reject(error);
    this.#writer?.();
    this.#wakeReader();
    return Promise.resolve();
  }

  /** Bytes that are kept; the same memory where one array has them, else as long as nothing more is read. */
  #range(offset: number, length: number): Bytes {
    let at = Math.floor((offset - this.#start) / partLength);
    const from = (offset - this.#start) % partLength;
    const first = this.#kept[at]!.subarray(from, from + length);
    if (first.length === length) return first;
    if (this.#joined.length < length) this.#joined = new Uint8Array(length);
    const bytes = this.#joined.subarray(0, length);
    bytes.set(first);
    for (let filled = first.length; filled < length;) {
      const part = this.#kept[++at]!.subarray(0, length - filled);
      bytes.set(part, filled);
      filled += part.length;
    }
    return bytes;
  }

  #wakeReader(): void {
    const wake = this.#reader;
    this.#reader = null;
    wake?.();
    this.#changed();
  }
}

function lost(): StreamError {
  return new StreamError("LOST", "The stream cannot be sent again from where it is to go on");
}
