import type { BrokerConnection } from "../broker/subscriptions.ts";
import { countedNetworks } from "./client_network.ts";

/** The reserve is this part of the quota. */
const reserveShare = 1 / 8;
/** Places of the reserve that the connections of one address may have together. */
const mostPerClient = 2;

/** Who has sent a message. */
interface Source {
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
  readonly #sources = new Map<string, Source[]>();
  readonly #connections = new WeakMap<BrokerConnection, number>();
  #lastConnection = 0;

  /** Queues of which something is remembered. */
  get size(): number {
    return this.#sources.size;
  }

  /**
   * Whether a queue that is not secured takes one more message from `connection`, which is remembered then; `count`
   * messages wait in it, `most` may.
   */
  take(
    recipientId: string,
    connection: BrokerConnection,
    { count, most }: { readonly count: number; readonly most: number },
  ): boolean {
    this.trim(recipientId, count);
    const sources = this.#sources.get(recipientId) ?? [];
    const number = this.#numberOf(connection);
    if (count < most) sources.push({ connection: number });
    else {
      const networks = countedNetworks(connection.client);
      const isFree = count - most < most * reserveShare;
      if (!isFree || sources.some((source) => source.connection === number)) return false;
      const places = (network: string) => sources.filter((s) => s.reserveOf?.includes(network)).length;
      if (networks.some(({ network, share }) => places(network) >= mostPerClient * share)) return false;
      sources.push({ connection: number, reserveOf: networks.map(({ network }) => network) });
    }
    this.#sources.set(recipientId, sources);
    return true;
  }

  /** Forgets who has sent what waits no more; `count` messages wait. They leave a queue in the order in which they came. */
  trim(recipientId: string, count: number): void {
    const sources = this.#sources.get(recipientId);
    if (sources === undefined || sources.length <= count) return;
    if (count === 0) this.#sources.delete(recipientId);
    else sources.splice(0, sources.length - count);
  }

  /** Forgets a queue that was deleted or secured. */
  delete(recipientId: string): void {
    this.#sources.delete(recipientId);
  }

  #numberOf(connection: BrokerConnection): number {
    let number = this.#connections.get(connection);
    if (number === undefined) this.#connections.set(connection, number = ++this.#lastConnection);
    return number;
  }
}
