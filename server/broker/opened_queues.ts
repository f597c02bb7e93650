import { equalBytes, type PublicKey } from "../../protocol/mod.ts";

/** Bytes that an entry takes. */
export const perOpened = 128;

export interface OpenedQueuesParts {
  /** What names the session. */
  readonly binding: Uint8Array;
  readonly most: () => number;
  /** Is told how much more memory is taken, or less. */
  readonly hold: (bytes: number) => void;
}

/** The queue IDs on which a connection's commands need no signature, with the key whose rights they have (extensions.md open1). */
export class OpenedQueues {
  readonly #parts: OpenedQueuesParts;
  readonly #keys = new Map<string, PublicKey>();

  constructor(parts: OpenedQueuesParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#keys.size;
  }

  /** Whether an OPEN was made for this session and no other. */
  isBoundBy(binding: Uint8Array | null): boolean {
    return binding !== null && equalBytes(binding, this.#parts.binding);
  }

  has(queueId: string): boolean {
    return this.#keys.has(queueId);
  }

  /** `false`: there are too many. */
  add(queueId: string, key: PublicKey): boolean {
    if (!this.#keys.has(queueId)) {
      if (this.#keys.size >= this.#parts.most()) return false;
      this.#parts.hold(perOpened);
    }
    this.#keys.set(queueId, key);
    return true;
  }

  /** Whether `key` still decides over the queue; forgets the queue when it does not. */
  opens(queueId: string, key: PublicKey | null): boolean {
    const opened = this.#keys.get(queueId);
    if (opened === undefined) return false;
    if (key !== null && equalBytes(opened.der, key.der)) return true;
    this.#keys.delete(queueId);
    this.#parts.hold(-perOpened);
    return false;
  }

  clear(): void {
    this.#parts.hold(-perOpened * this.#keys.size);
    this.#keys.clear();
  }
}
