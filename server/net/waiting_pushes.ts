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
  #count = 0;
  #held = 0;
  #isClosed = false;

  constructor(blockSize: number, hold: (bytes: number) => void) {
    this.#blockSize = blockSize;
    this.#hold = hold;
  }

  get isFull(): boolean {
    return this.#count * this.#blockSize >= mostBytes;
  }

  add(transmission: ServerTransmission): void {
    this.#change(1, bytesOf(transmission));
  }

  remove(transmission: ServerTransmission): void {
    this.#change(-1, -bytesOf(transmission));
  }

  /** What waits is dropped. */
  close(): void {
    this.#change(0, -this.#held);
    this.#isClosed = true;
  }

  #change(count: number, bytes: number): void {
    if (this.#isClosed) return;
    this.#count += count;
    this.#held += bytes;
    this.#hold(bytes);
  }
}

function bytesOf({ response }: ServerTransmission): number {
  return perPush + (response.type === "MSG" ? response.body.length : 0);
}
