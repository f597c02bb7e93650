import { nextTurn } from "../next_turn.ts";
import { type ByteStream, writeAll } from "./byte_stream.ts";
import { frameError, LinkError } from "./error.ts";
import { type OwnerMessage, type SessionMessage, writeMessage } from "./messages.ts";
import {
  FrameReader,
  FrameWriter,
  getUint32,
  getUint48,
  longestFrame,
  putUint32,
  putUint48,
} from "./wire.ts";

/** Length of what follows the head, number of the batch, number of the last batch that was read. */
const headSize = 4 + 6 + 6;
/** Bytes from which on a batch takes no further frame. */
const fullBatch = 65_536;
const longestBatch = fullBatch + longestFrame + 4;
const readSize = 65_536;
/** Buffers that are kept to be written into again. */
const spareBuffers = 2;
/** Batches that may be read before the peer is told so. */
const unacknowledgedBatches = 64;
/** Milliseconds in which a peer's end is seen after a failed write. */
const restTime = 1_000;

/** What a link is made with. */
export interface LinkParts<Incoming> {
  /** Reads the next message, `null` behind the last one. */
  readonly decode: (reader: FrameReader) => Incoming | null;
  /** Is given each message, in order; what it throws ends the link. */
  readonly receive: (message: Incoming) => void;
  /** Nothing more is read until it resolves, where there is something to wait for. */
  readonly ready?: () => Promise<void> | null;
  /** There is room again, after `hasRoom` was false. */
  readonly drained?: () => void;
  /** The peer has read the batches up to this one. */
  readonly acknowledged?: (batch: number) => void;
  /** Bytes that may wait to be written. @default 1 MiB */
  readonly mostWaiting?: number;
}

/**
 * Messages both ways between two processes over one stream of bytes. All that is sent in one turn is one batch and one
 * write; batches are numbered, and each tells the last one that was read, so that the peer can forget what it has sent.
 */
export class Link<Incoming> implements AsyncDisposable {
  readonly #stream: ByteStream;
  readonly #parts: LinkParts<Incoming>;
  readonly #mostWaiting: number;
  readonly #ended = Promise.withResolvers<LinkError>();
  readonly #work: Promise<unknown>;
  #error: LinkError | null = null;
  #open: FrameWriter = new FrameWriter(headSize);
  readonly #sealed: FrameWriter[] = [];
  readonly #spare: FrameWriter[] = [];
  #sealedBytes = 0;
  #wasFull = false;
  #wakeWriter: (() => void) | null = null;
  /** The batch that is open. */
  #batch = 1;
  #written = 0;
  #read = 0;
  #toldRead = 0;

  constructor(stream: ByteStream, parts: LinkParts<Incoming>) {
    this.#stream = stream;
    this.#parts = parts;
    this.#mostWaiting = parts.mostWaiting ?? 1_048_576;
    this.#work = Promise.all([this.#readLoop(), this.#writeLoop()]);
  }

  /** Resolves to why the link has ended. */
  get ended(): Promise<LinkError> {
    return this.#ended.promise;
  }

  get isOpen(): boolean {
    return this.#error === null;
  }

  /** The last batch of which something may have been written: what was sent in later ones never was. */
  get written(): number {
    return this.#written;
  }

  /** Bytes that wait to be written. */
  get waiting(): number {
    return this.#sealedBytes + this.#open.length;
  }

  /** Whether more should be sent; `drained` is called when there is room again. */
  get hasRoom(): boolean {
    return this.waiting < this.#mostWaiting;
  }

  /** Sends a message with all others of this turn; the number of its batch. It is dropped when the link has ended. */
  send(message: SessionMessage | OwnerMessage): number {
    const batch = this.#batch;
    if (this.#error !== null) return batch;
    try {
      writeMessage(this.#open, message);
    } catch (error) {
      this.#open.cancel();
      throw error;
    }
    if (this.#open.length >= fullBatch) this.#seal();
    if (!this.hasRoom) this.#wasFull = true;
    this.#wake();
    return batch;
  }

  /** Ends the link at once. */
  end(error: LinkError): void {
    if (this.#error !== null) return;
    this.#error = error;
    this.#wake();
    try {
      this.#stream.close();
    } catch {
      // It has ended already.
    }
    this.#ended.resolve(error);
  }

  /** Resolves when the stream is not used any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.end(new LinkError("CLOSED", "Cannot use the link: this side has closed it"));
    await this.#work;
  }

  async #writeLoop(): Promise<void> {
    try {
      while (this.#error === null) {
        if (this.#sealed.length === 0 && this.#open.isEmpty && !this.#owesAcknowledgement()) {
          await new Promise<void>((resolve) => this.#wakeWriter = resolve);
          // What else is sent in this turn goes out in the same write.
          await nextTurn();
          continue;
        }
        if (this.#sealed.length === 0) this.#seal();
        await this.#write(this.#sealed.shift()!);
      }
    } catch (error) {
      await this.#readRest();
      this.end(networkError("write", error));
    }
  }

  /** A peer that has died may have written answers before, which nobody can give again. */
  async #readRest(): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, restTime);
    await Promise.race([late, this.#ended.promise]);
    clearTimeout(timer);
  }

  async #write(batch: FrameWriter): Promise<void> {
    const { bytes } = batch;
    this.#written++;
    putUint32(bytes, 0, bytes.length - headSize);
    putUint48(bytes, 4, this.#written);
    putUint48(bytes, 10, this.#read);
    this.#toldRead = this.#read;
    await writeAll(this.#stream, bytes);
    this.#sealedBytes -= bytes.length;
    batch.reset();
    if (this.#spare.length < spareBuffers) this.#spare.push(batch);
    if (this.#wasFull && this.hasRoom && this.#error === null) {
      this.#wasFull = false;
      this.#parts.drained?.();
    }
  }

  #seal(): void {
    this.#sealed.push(this.#open);
    this.#sealedBytes += this.#open.length;
    this.#open = this.#spare.pop() ?? new FrameWriter(headSize);
    this.#batch++;
  }

  #owesAcknowledgement(): boolean {
    return this.#read - this.#toldRead >= unacknowledgedBatches;
  }

  #wake(): void {
    this.#wakeWriter?.();
    this.#wakeWriter = null;
  }

  async #readLoop(): Promise<void> {
    let buffer = new Uint8Array(readSize);
    let from = 0, to = 0;
    try {
      while (this.#error === null) {
        const needed = this.#lengthOf(buffer.subarray(from, to));
        if (needed <= to - from) {
          this.#receive(buffer.subarray(from, from + needed));
          from += needed;
          const waits = this.#parts.ready?.();
          if (waits) await waits;
          continue;
        }
        if (from === to) from = to = 0;
        if (buffer.length - from < needed) {
          const larger = needed > buffer.length ? new Uint8Array(needed) : buffer;
          larger.set(buffer.subarray(from, to));
          buffer = larger;
          [from, to] = [0, to - from];
        }
        const count = await this.#stream.read(to === 0 ? buffer : buffer.subarray(to));
        if (count === null) {
          const where = from === to ? "the peer has ended it" : "the peer has ended it inside a batch";
          return this.end(new LinkError("ENDED", `Cannot read from the link: ${where}`));
        }
        to += count;
      }
    } catch (error) {
      this.end(error instanceof LinkError ? error : networkError("read", error));
    }
  }

  /** Bytes of the batch that `bytes` begin with. */
  #lengthOf(bytes: Uint8Array): number {
    if (bytes.length < headSize) return headSize;
    const length = getUint32(bytes, 0);
    if (length > longestBatch) throw frameError(`a batch of ${length} bytes is too long`);
    return headSize + length;
  }

  #receive(bytes: Uint8Array<ArrayBuffer>): void {
    const [number, acknowledged] = [getUint48(bytes, 4), getUint48(bytes, 10)];
    if (number !== this.#read + 1) {
      throw new LinkError("GAP", `Cannot read a batch: number ${this.#read + 1} is expected, not ${number}`);
    }
    if (acknowledged > this.#written) throw frameError(`batch ${acknowledged} was never sent`);
    this.#read = number;
    this.#parts.acknowledged?.(acknowledged);
    const reader = new FrameReader(bytes.subarray(headSize));
    for (;;) {
      const message = this.#parts.decode(reader);
      if (message === null) break;
      this.#parts.receive(message);
      if (this.#error !== null) return;
    }
    if (this.#owesAcknowledgement()) this.#wake();
  }
}

function networkError(action: string, cause: unknown): LinkError {
  if (cause instanceof LinkError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LinkError("NETWORK", `Cannot ${action}: ${reason}`, { cause });
}
