import { countedNetworks, type Source } from "./client_network.ts";

const reserveShare = 1 / 8;
/** Places of the reserve that the connections of one address may have together. */
const mostPerClient = 2;

interface Sender {
  /** Numbers, as messages wait longer than their connections should be kept. */
  readonly connection: number;
  /** The networks whose place of the reserve the message has, if it has one. */
  readonly reserveOf?: readonly string[];
}

/**
 * Keeps room in queues that are not secured for those who have sent nothing yet. Whoever has seen an invitation can
 * fill its queue with unsigned messages; without the reserve the confirmation of the real sender would find no place.
 *
 * Beyond the quota a connection gets one place at most, and only when none of its messages waits in the queue.
 */
export class UnsecuredReserve {
  /** Who has sent the messages that were accepted last, oldest first, by recipient ID. */
  readonly #senders = new Map<string, Sender[]>();
  readonly #connections = new WeakMap<Source, number>();
  #lastConnection = 0;

  get size(): number {
    return this.#senders.size;
  }

  /**
   * Whether a queue that is not secured takes one more message from `connection`, which is remembered then; `count`
   * messages wait in it, `most` may.
   */
  take(
    recipientId: string,
    connection: Source,
    { count, most }: { readonly count: number; readonly most: number },
  ): boolean {
    this.trim(recipientId, count);
    const senders = this.#senders.get(recipientId) ?? [];
    const number = this.#numberOf(connection);
    if (count < most) senders.push({ connection: number });
    else {
      const networks = countedNetworks(connection.client);
      const isFree = count - most < most * reserveShare;
      if (!isFree || senders.some((sender) => sender.connection === number)) return false;
      const places = (network: string) => senders.filter((s) => s.reserveOf?.includes(network)).length;
      if (networks.some(({ network, share }) => places(network) >= mostPerClient * share)) return false;
      senders.push({ connection: number, reserveOf: networks.map(({ network }) => network) });
    }
    this.#senders.set(recipientId, senders);
    return true;
  }

  /** Forgets who has sent what waits no more; `count` messages wait. They leave a queue in the order in which they came. */
  trim(recipientId: string, count: number): void {
    const senders = this.#senders.get(recipientId);
    if (senders === undefined || senders.length <= count) return;
    if (count === 0) this.#senders.delete(recipientId);
    else senders.splice(0, senders.length - count);
  }

  delete(recipientId: string): void {
    this.#senders.delete(recipientId);
  }

  #numberOf(connection: Source): number {
    let number = this.#connections.get(connection);
    if (number === undefined) this.#connections.set(connection, number = ++this.#lastConnection);
    return number;
  }
}
