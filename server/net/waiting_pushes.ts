import type { ServerTransmission } from "../../protocol/mod.ts";

/** Bytes of blocks that may be pushed before the peer takes some: four of the largest. */
const mostBytes = 4 * 65_536;
/** Bytes that a push takes beside its body. */
const perPush = 320;

/**
 * What a connection has been pushed and its peer has not taken yet. Bodies count too, as they may have left the store
 * since: another connection may have acknowledged them.
 */
export class WaitingPushes {
  readonly #blockSize: number;
  readonly #hold: (bytes: number) => void;
  /** Bytes of each, in order: a body may be gone as soon as it is written. */
  #sizes: number[] = [];
  #isClosed = false;

  constructor(blockSize: number, hold: (bytes: number) => void) {
    this.#blockSize = blockSize;
    this.#hold = hold;
  }

  get isFull(): boolean {
    return this.#sizes.length * this.#blockSize >= mostBytes;
  }

  add({ response }: ServerTransmission): void {
    if (this.#isClosed) return;
    const size = perPush + (response.type === "MSG" ? response.body.length : 0);
    this.#sizes.push(size);
    this.#hold(size);
  }

  /** The first one was written. */
  remove(): void {
    this.#hold(-(this.#sizes.shift() ?? 0));
  }

  /** What waits is dropped. */
  close(): void {
    this.#hold(-this.#sizes.reduce((sum, size) => sum + size, 0));
    this.#sizes = [];
    this.#isClosed = true;
  }
}
