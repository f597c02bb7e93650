import {
  largestChunk,
  randomBytes,
  runKeyOf,
  sealChunk,
  streamIdLength,
  type StreamRun,
} from "../../protocol/mod.ts";
import { StreamError } from "./error.ts";
import type { Lane } from "./lane.ts";
import type { StreamSource } from "./source.ts";

/** Packets on their way behind which small chunks wait for more to join them. */
const mostSmall = 2;

/** What a run is made of. */
export interface RunParts {
  readonly source: StreamSource;
  readonly streamKey: Uint8Array<ArrayBuffer>;
  /** Bytes of all of the stream; `null`: not known. */
  readonly size: number | null;
  /** The first byte. */
  readonly offset: number;
  /** Chunks that may be sent and not taken. */
  readonly window: number;
  readonly lanes: readonly Lane[];
  /** Whether nothing more is to be sent for now. */
  isPaused(): boolean;
}

/** Sends a stream from a byte on: at most a window of chunks that the receiver's application has not taken. */
export class SendingRun {
  /** What the receiver is told of it. */
  readonly run: Uint8Array<ArrayBuffer> = randomBytes(streamIdLength);
  /** Bytes that a chunk has room for. */
  readonly chunkSize: number;
  readonly #parts: RunParts;
  #keys: StreamRun | null = null;
  /** Where the chunks end that were sent and not taken, the first of them first. */
  readonly #ends: number[] = [];
  /** The number of the last chunk that was sent, and of the last one that was taken. */
  #sent = 0;
  #taken = 0;
  #takenUpTo: number;
  #end: number | null = null;
  #isStopped = false;
  #wake: (() => void) | null = null;

  /** Sends nothing yet. */
  constructor(parts: RunParts) {
    this.#parts = parts;
    this.#takenUpTo = parts.offset;
    this.chunkSize = Math.min(...parts.lanes.map(({ blockSize }) => largestChunk(blockSize)));
  }

  /** What chunks and credit are encrypted with; `null` before it begins. */
  get keys(): StreamRun | null {
    return this.#keys;
  }

  /** The byte up to which the receiver's application has taken all. */
  get takenUpTo(): number {
    return this.#takenUpTo;
  }

  /** Bytes of all of the stream, when the last chunk was sent; `null` before. */
  get end(): number | null {
    return this.#end;
  }

  /** Something has changed that it may wait for. */
  changed(): void {
    this.#wake?.();
  }

  /** Reading begins, and the keys are made. Throws {@linkcode StreamError}. */
  async begin(): Promise<void> {
    const { source, streamKey, offset } = this.#parts;
    await source.begin(offset, () => this.changed());
    this.#keys = { run: this.run, key: await runKeyOf(streamKey, this.run), chunkSize: this.chunkSize };
  }

  /** Sends all; resolves when the last chunk is given to its lane, or it is stopped. Throws {@linkcode StreamError}. */
  async send(): Promise<void> {
    const { source, size, lanes } = this.#parts;
    const keys = this.#keys!;
    for (let offset = this.#parts.offset; !this.#isStopped;) {
      await this.#room(offset);
      if (this.#isStopped) return;
      const { data, isEnd } = await source.read(offset, this.chunkSize);
      if (this.#isStopped) return;
      offset += data.length;
      if (size !== null && (offset > size || isEnd && offset < size)) {
        throw new StreamError(
          "SIZE",
          `The stream was said to have ${size} bytes, and has another number of them`,
        );
      }
      const number = ++this.#sent;
      this.#ends.push(offset);
      const isLast = isEnd || offset === size;
      if (isLast) this.#end = offset;
      const lane = lanes[number % lanes.length]!;
      const { blockSize } = lane;
      lane.send(number, await sealChunk(data, keys, { number, isLast, blockSize, packet: lane.packet() }));
      if (isLast) return;
    }
  }

  /** The receiver's application has taken all up to a number; `false`: not so many were sent. */
  credit(number: number): boolean {
    if (number > this.#sent) return false;
    while (this.#taken < number) {
      this.#taken++;
      this.#takenUpTo = this.#ends.shift()!;
    }
    this.#parts.source.release(this.#takenUpTo);
    this.changed();
    return true;
  }

  /** Sends nothing more; resolves when nothing is on its way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.changed();
    await Promise.all(this.#parts.lanes.map((lane) => lane.close()));
  }

  /** Waits until a chunk may be sent that is worth it. */
  async #room(offset: number): Promise<void> {
    const { window, lanes, source, isPaused } = this.#parts;
    const isFull = () => this.#sent - this.#taken >= window;
    const isSmall = () =>
      lanes.reduce((sum, lane) => sum + lane.unanswered, 0) > mostSmall &&
      source.available(offset) < this.chunkSize;
    while (!this.#isStopped && (isPaused() || isFull() || isSmall())) {
      await new Promise<void>((resolve) => this.#wake = resolve);
      this.#wake = null;
    }
  }
}
