import type { Taker } from "./taker.ts";

/** Receipts of a connection that are kept for its next owner. */
const mostReceipts = 1000;

/**
 * The events of receipts that nobody was there for: they stay stored, unless too many do, as a program that only sends
 * may never own the connection.
 */
export class KeptReceipts {
  readonly #taker: Pick<Taker, "take">;
  /** By the connection's ID, oldest first. */
  readonly #kept = new Map<string, Set<number>>();

  /** `taker` takes those that are too many. */
  constructor(taker: Pick<Taker, "take">) {
    this.#taker = taker;
  }

  /** Keeps one, and takes the oldest of its connection where they are too many. */
  keep(id: string, eventId: number): void {
    let kept = this.#kept.get(id);
    if (kept === undefined) this.#kept.set(id, kept = new Set());
    kept.add(eventId);
    if (kept.size <= mostReceipts) return;
    const [oldest] = kept;
    kept.delete(oldest!);
    this.#taker.take(oldest);
  }

  /** One is told now. */
  forget(id: string, eventId: number): void {
    this.#kept.get(id)?.delete(eventId);
  }

  /** All of a connection are told, or taken, with what is told again; or it is deleted. */
  forgetAll(id: string): void {
    this.#kept.delete(id);
  }
}
