import type { ByteStream } from "../link/byte_stream.ts";

/** Bytes that may be on their way before the peer has said that it has read some. */
export const streamWindow = 1_048_576;
/** Bytes of one message at most. */
const largestData = 131_072;
/** Looks in a row without a sign of the peer after which it is gone: two seconds. */
const mostSilent = 4;

/** Milliseconds between two looks. */
export const lookInterval = 500;

/** What a stream tells the other node. */
export interface NodeStreamEnds {
  /** Sends bytes under the number of what was sent before. */
  readonly send: (number: number, data: Uint8Array) => void;
  /** Tells how many bytes were read in all. */
  readonly tellRead: (bytes: number) => void;
  /** Tells the number of what was sent last, and how many bytes were read in all: either may have been lost. */
  readonly tellAlive: (number: number, bytesRead: number) => void;
  /** It has ended; `tells`: the peer does not know. */
  readonly ended: (tells: boolean) => void;
}

/**
 * A stream of bytes to another node, made of messages that may be lost: a gap in their numbers, or two seconds without
 * any, end it. When there is nothing to send, the number of the last one is told, as a gap at the end shows nowhere else.
 */
export class NodeStream implements ByteStream {
  readonly #ends: NodeStreamEnds;
  readonly #closed = Promise.withResolvers<void>();
  #error: Error | null = null;
  #number = 0;
  #sent = 0;
  #taken = 0;
  #wakeWriter: (() => void) | null = null;
  #received = 0;
  #expected = 1;
  readonly #chunks: Uint8Array[] = [];
  #bytesRead = 0;
  #toldRead = 0;
  #wakeReader: (() => void) | null = null;
  #isHeard = true;
  #hasSent = false;
  #silent = 0;

  constructor(ends: NodeStreamEnds) {
    this.#ends = ends;
  }

  /** Resolves when it has ended. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#chunks.length === 0) {
      if (this.#error !== null) throw this.#error;
      await new Promise<void>((resolve) => this.#wakeReader = resolve);
    }
    const chunk = this.#chunks[0]!;
    const count = Math.min(chunk.length, buffer.length);
    buffer.set(chunk.subarray(0, count));
    if (count === chunk.length) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(count);
    this.#bytesRead += count;
    if (this.#bytesRead - this.#toldRead >= streamWindow / 4 && this.#error === null) {
      this.#toldRead = this.#bytesRead;
      this.#ends.tellRead(this.#bytesRead);
    }
    return count;
  }

  async write(bytes: Uint8Array): Promise<number> {
    while (this.#error === null && this.#sent - this.#taken >= streamWindow) {
      await new Promise<void>((resolve) => this.#wakeWriter = resolve);
    }
    if (this.#error !== null) throw this.#error;
    const count = Math.min(bytes.length, largestData, streamWindow - (this.#sent - this.#taken));
    this.#sent += count;
    this.#hasSent = true;
    this.#ends.send(++this.#number, bytes.subarray(0, count));
    return count;
  }

  close(): void {
    this.fail("it was closed", { tells: true });
  }

  /** Ends it; what was received may still be read. */
  fail(reason: string, { tells }: { readonly tells: boolean }): void {
    if (this.#error !== null) return;
    this.#error = new Error(`Cannot use the stream to another node: ${reason}`);
    this.#wake();
    this.#closed.resolve();
    this.#ends.ended(tells);
  }

  /** Takes data of the peer. */
  receive(number: number, data: Uint8Array): void {
    if (this.#error !== null) return;
    this.#isHeard = true;
    if (number !== this.#expected) return this.fail("messages were lost", { tells: true });
    this.#expected++;
    this.#received += data.length;
    if (this.#received - this.#toldRead > streamWindow) {
      return this.fail("the peer has sent more than it may", { tells: true });
    }
    if (data.length > 0) this.#chunks.push(data);
    this.#wake();
  }

  /** The peer has read so many bytes in all. */
  taken(bytes: number): void {
    this.#isHeard = true;
    if (bytes > this.#sent) return this.fail("the peer has read more than was sent", { tells: true });
    this.#taken = Math.max(this.#taken, bytes);
    this.#wake();
  }

  /** The peer lives. `sent`: the number of what it has sent last, if it has said so; what comes later comes behind this. */
  alive(sent?: number): void {
    this.#isHeard = true;
    if (sent !== undefined && sent >= this.#expected) this.fail("messages were lost", { tells: true });
  }

  /** To be called each half second: a process that was stopped looks once when it goes on. */
  look(): void {
    this.#silent = this.#isHeard ? 0 : this.#silent + 1;
    this.#isHeard = false;
    if (this.#silent >= mostSilent) return this.fail("the peer says nothing", { tells: true });
    if (!this.#hasSent) {
      this.#toldRead = this.#bytesRead;
      this.#ends.tellAlive(this.#number, this.#bytesRead);
    }
    this.#hasSent = false;
  }

  #wake(): void {
    this.#wakeReader?.();
    this.#wakeWriter?.();
    this.#wakeReader = this.#wakeWriter = null;
  }
}
