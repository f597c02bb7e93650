import { nextTurn, recordsATurn } from "../next_turn.ts";
import { countedNetworks } from "./client_network.ts";

interface Waiting {
  readonly network: string | null;
  readonly bytes: number;
}

/** Bounds waiting messages by what is still free: one address gets half of the memory, two a third each. */
export class WaitingShares {
  readonly #free: () => number;
  readonly #queues = new Map<string, Waiting[]>();
  readonly #bytes = new Map<string, number>();

  constructor(free: () => number) {
    this.#free = free;
  }

  get size(): { readonly queues: number; readonly addresses: number } {
    return { queues: this.#queues.size, addresses: this.#bytes.size };
  }

  /** Gives what undoes it, for a message that is not stored after all; `null` when there is no room. */
  take(recipientId: string, client: string | null, bytes: number): (() => void) | null {
    const network = client === null ? null : countedNetworks(client).at(-1)!.network;
    if (network !== null) {
      const sum = (this.#bytes.get(network) ?? 0) + bytes;
      if (sum > this.#free()) return null;
      this.#bytes.set(network, sum);
    }
    const message = { network, bytes };
    const messages = this.#queues.get(recipientId);
    if (messages === undefined) this.#queues.set(recipientId, [message]);
    else messages.push(message);
    return () => this.#undo(recipientId, message);
  }

  /** `count` messages wait, the last ones. */
  trim(recipientId: string, count: number): void {
    const messages = this.#queues.get(recipientId);
    if (messages === undefined || messages.length <= count) return;
    for (const message of messages.splice(0, messages.length - count)) this.#forget(message);
    if (count === 0) this.#queues.delete(recipientId);
  }

  async sweep(count: (recipientId: string) => Promise<number>): Promise<void> {
    let looked = 0;
    for (const recipientId of [...this.#queues.keys()]) {
      if (++looked % recordsATurn === 0) await nextTurn();
      this.trim(recipientId, await count(recipientId));
    }
  }

  #undo(recipientId: string, message: Waiting): void {
    const messages = this.#queues.get(recipientId) ?? [];
    const at = messages.lastIndexOf(message);
    // Trimmed meanwhile, with its queue.
    if (at === -1) return;
    messages.splice(at, 1);
    this.#forget(message);
    if (messages.length === 0) this.#queues.delete(recipientId);
  }

  #forget({ network, bytes }: Waiting): void {
    if (network === null) return;
    const left = this.#bytes.get(network)! - bytes;
    if (left === 0) this.#bytes.delete(network);
    else this.#bytes.set(network, left);
  }
}
