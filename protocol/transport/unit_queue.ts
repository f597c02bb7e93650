import { closedError, sizeError } from "./channel.ts";
import type { TransportError } from "../error.ts";

/** Messages that have arrived and the reader that waits for one: the receiving half of message-based channels. */
export class UnitQueue {
  readonly #units: Uint8Array<ArrayBuffer>[] = [];
  #bytes = 0;
  #ended: TransportError | "end" | null = null;
  #wake: (() => void) | null = null;

  /** How many messages wait to be read. */
  get length(): number {
    return this.#units.length;
  }

  /** How many bytes wait to be read. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds a message that has arrived. */
  push(unit: Uint8Array<ArrayBuffer>): void {
    if (this.#ended !== null) return;
    this.#units.push(unit);
    this.#bytes += unit.length;
    this.#wakeReader();
  }

  /** Nothing more comes: reads give `null` or fail with `error`, once what has arrived is read. */
  end(error?: TransportError): void {
    this.#ended ??= error ?? "end";
    this.#wakeReader();
  }

  /** Drops what has arrived; reads fail with `CLOSED`. */
  close(): void {
    this.#units.length = 0;
    this.#bytes = 0;
    this.#ended = closedError();
    this.#wakeReader();
  }

  /** See `Channel.read`. */
  async read(size: number): Promise<Uint8Array<ArrayBuffer> | null> {
    while (this.#units.length === 0) {
      if (this.#ended === "end") return null;
      if (this.#ended !== null) throw this.#ended;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const unit = this.#units.shift()!;
    this.#bytes -= unit.length;
    if (unit.length !== size) throw sizeError(`${unit.length} bytes`, size);
    return unit;
  }

  #wakeReader(): void {
    this.#wake?.();
    this.#wake = null;
  }
}
