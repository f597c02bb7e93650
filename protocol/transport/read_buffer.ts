/** Bytes that are read at a time at most, when more than one unit waits. */
const largeBuffer = 65_536;
/** Smaller units are of the handshake, in which peers take turns. */
const smallestBlock = 4096;
/** A read that brings it, too, says that more waits in the socket. */
const oneMore = 1;

/** Bounds how many channels at a time may read more than they are asked for, into 64 KiB each. */
export class ReadAhead {
  readonly #most: number;
  #used = 0;

  /** `most`: channels. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Lets one more channel read ahead; `false` when there are too many. */
  take(): boolean {
    if (this.#used >= this.#most) return false;
    this.#used++;
    return true;
  }

  /** A channel has stopped reading ahead. */
  giveBack(): void {
    this.#used--;
  }
}

/**
 * What a stream has brought. It has room for one unit, and for many only while more than one waits in the socket: one
 * read of the system then gives them all, and a connection that is idle takes no more memory for it.
 */
export class ReadBuffer {
  readonly #readAhead: ReadAhead;
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #start = 0;
  #end = 0;
  #isLarge = false;
  #moreWaits = false;
  #isReleased = false;

  constructor(readAhead: ReadAhead) {
    this.#readAhead = readAhead;
  }

  /** Bytes that are there. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** The next unit, which is there. */
  take(size: number): Uint8Array<ArrayBuffer> {
    const unit = this.#bytes.subarray(this.#start, this.#start + size);
    this.#start += size;
    return unit;
  }

  /** Whether more waits in the socket than was read, and there is room for it beside the unit that was taken last. */
  readsAhead(size: number): boolean {
    this.#use(isBlock(size) && this.#moreWaits);
    return this.#isLarge;
  }

  /**
   * Where more is to be read to, for a unit of `size` bytes that is not there yet. The last unit is no longer valid unless
   * the buffer reads ahead.
   */
  space(size: number): Uint8Array<ArrayBuffer> {
    this.readsAhead(size);
    const capacity = this.#isLarge ? largeBuffer + oneMore : isBlock(size) ? size + oneMore : size;
    if (this.#bytes.length !== capacity || this.#isLarge) {
      const bytes = new Uint8Array(capacity);
      bytes.set(this.#bytes.subarray(this.#start, this.#end));
      this.#bytes = bytes;
    } else if (this.#start > 0) this.#bytes.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    return this.#bytes.subarray(this.#end);
  }

  /** So many bytes were read to the space that was given for a unit of `size` bytes. */
  filled(count: number, size: number): void {
    this.#end += count;
    this.#moreWaits = this.#end > size && this.#end === this.#bytes.length;
  }

  /** Nothing more will be read, though a read that is under way may still bring something. */
  release(): void {
    this.#use(false);
    this.#isReleased = true;
  }

  #use(large: boolean): void {
    if (large === this.#isLarge || this.#isReleased) return;
    if (large) this.#isLarge = this.#readAhead.take();
    else {
      this.#isLarge = false;
      this.#readAhead.giveBack();
    }
  }
}

function isBlock(size: number): boolean {
  return size >= smallestBlock && 2 * size <= largeBuffer;
}
