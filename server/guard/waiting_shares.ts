import { nextTurn, recordsATurn } from "../next_turn.ts";
import { countedNetworks } from "./client_network.ts";

/** A message that waits, and who pays for it. */
interface Waiting {
  /** `null` where no address is known. */
  readonly network: string | null;
  readonly bytes: number;
}

/**
 * Bounds what the messages of one address that wait may take: no more than is still free. So one address gets half of
 * the memory at most, two a third each, and some is left for the others however many there are.
 *
 * Keeps addresses in memory only: after a restart nobody pays for what waited before.
 */
export class WaitingShares {
  readonly #free: () => number;
  /** The messages that were accepted last, oldest first, by recipient ID. */
  readonly #queues = new Map<string, Waiting[]>();
  readonly #bytes = new Map<string, number>();

  /** `free` says how many bytes nobody has. */
  constructor(free: () => number) {
    this.#free = free;
  }

  /** Queues of which something is remembered, and addresses whose messages wait. */
  get size(): { readonly queues: number; readonly addresses: number } {
    return { queues: this.#queues.size, addresses: this.#bytes.size };
  }

  /** Whether one more message of `bytes` from `client` may wait in a queue, which is remembered then. */
  take(recipientId: string, client: string | null, bytes: number): boolean {
    const network = client === null ? null : countedNetworks(client).at(-1)!.network;
    if (network !== null) {
      const sum = (this.#bytes.get(network) ?? 0) + bytes;
      if (sum > this.#free()) return false;
      this.#bytes.set(network, sum);
    }
    const messages = this.#queues.get(recipientId);
    if (messages === undefined) this.#queues.set(recipientId, [{ network, bytes }]);
    else messages.push({ network, bytes });
    return true;
  }

  /** Forgets what waits no more; `count` messages wait. They leave a queue in the order in which they came. */
  trim(recipientId: string, count: number): void {
    const messages = this.#queues.get(recipientId);
    if (messages === undefined || messages.length <= count) return;
    for (const message of messages.splice(0, messages.length - count)) this.#forget(message);
    if (count === 0) this.#queues.delete(recipientId);
  }

  /** Forgets what has left queues that nobody has used; `count` says how many messages wait in one. */
  async sweep(count: (recipientId: string) => Promise<number>): Promise<void> {
    let looked = 0;
    for (const recipientId of [...this.#queues.keys()]) {
      if (++looked % recordsATurn === 0) await nextTurn();
      this.trim(recipientId, await count(recipientId));
    }
  }

  #forget({ network, bytes }: Waiting): void {
    if (network === null) return;
    const left = this.#bytes.get(network)! - bytes;
    if (left === 0) this.#bytes.delete(network);
    else this.#bytes.set(network, left);
  }
}
