import { countedNetworks, type Source } from "./client_network.ts";

const reserveShare = 1 / 8;
/** Places of the reserve that the connections of one address may have together. */
const mostPerClient = 2;

interface Sender {
  /** Numbers, as messages wait longer than their connections should be kept. */
  readonly connection: number;
  readonly reserveOf?: readonly string[];
}

/**
 * Reserves capacity in unsecured queues for those who have sent nothing yet: whoever has seen an invitation
 * could fill its queue. Beyond the quota a connection gets one place, and only when none of its messages
 * waits.
 */
export class UnsecuredReserve {
  readonly #senders = new Map<string, Sender[]>();
  readonly #connections = new WeakMap<Source, number>();
  #lastConnection = 0;

  get size(): number {
    return this.#senders.size;
  }

  /** Gives what undoes it, for a message that is not stored after all; `null` when there is no place. */
  take(
    recipientId: string,
    connection: Source,
    { count, most }: { readonly count: number; readonly most: number },
  ): (() => void) | null {
    this.trim(recipientId, count);
    const senders = this.#senders.get(recipientId) ?? [];
    const number = this.#numberOf(connection);
    let sender: Sender = { connection: number };
    if (count >= most) {
      const networks = countedNetworks(connection.client);
      const isFree = count - most < most * reserveShare;
      if (!isFree || senders.some(({ connection }) => connection === number)) return null;
      const places = (network: string) => senders.filter((s) => s.reserveOf?.includes(network)).length;
      if (networks.some(({ network, share }) => places(network) >= mostPerClient * share)) return null;
      sender = { connection: number, reserveOf: networks.map(({ network }) => network) };
    }
    senders.push(sender);
    this.#senders.set(recipientId, senders);
    return () => this.#undo(recipientId, sender);
  }

  /** `count` messages wait, the last ones. */
  trim(recipientId: string, count: number): void {
    const senders = this.#senders.get(recipientId);
    if (senders === undefined || senders.length <= count) return;
    if (count === 0) this.#senders.delete(recipientId);
    else senders.splice(0, senders.length - count);
  }

  delete(recipientId: string): void {
    this.#senders.delete(recipientId);
  }

  #undo(recipientId: string, sender: Sender): void {
    const senders = this.#senders.get(recipientId) ?? [];
    const at = senders.lastIndexOf(sender);
    if (at === -1) return;
    senders.splice(at, 1);
    if (senders.length === 0) this.#senders.delete(recipientId);
  }

  #numberOf(connection: Source): number {
    let number = this.#connections.get(connection);
    if (number === undefined) this.#connections.set(connection, number = ++this.#lastConnection);
    return number;
  }
}
