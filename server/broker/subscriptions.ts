import type { ServerTransmission } from "../../protocol/mod.ts";

export interface BrokerConnection {
  readonly blockSize: number;
  /** What names its session (extensions.md open1), 32 bytes. */
  readonly binding: Uint8Array;
  /** What limits per address count by; `null` when they do not. */
  readonly client: string | null;
  readonly closed: boolean;
  /** Whether the peer should take something before more is pushed; `Broker.resume` is called when it has. */
  readonly isFull: boolean;
  answer(transmission: ServerTransmission): void;
  notify(transmission: ServerTransmission, since?: number): void;
  /** Ends it: nobody can tell any more what has become of its commands. */
  close?(): unknown;
  /** A queue that it subscribes to, or an ID that it has opened, is gone. */
  ended?(queueId: string): void;
}

export interface Subscription {
  readonly connection: BrokerConnection;
  /** Messages that may be delivered and unacknowledged; `null`: one, as in 0.3. */
  readonly window: number | null;
  /** The IDs of those that are, in their order. */
  readonly delivered: string[];
}

export class Subscriptions {
  readonly #byQueue = new Map<string, Subscription>();
  readonly #byConnection = new Map<BrokerConnection, Set<string>>();

  get size(): number {
    return this.#byQueue.size;
  }

  [Symbol.iterator](): Iterator<Subscription> {
    return this.#byQueue.values();
  }

  has(connection: BrokerConnection): boolean {
    return this.#byConnection.has(connection);
  }

  get(recipientId: string): Subscription | undefined {
    return this.#byQueue.get(recipientId);
  }

  set(recipientId: string, connection: BrokerConnection, window: number | null): Subscription {
    const subscription: Subscription = { connection, window, delivered: [] };
    if (connection.closed) return subscription;
    this.delete(recipientId);
    this.#byQueue.set(recipientId, subscription);
    const queues = this.#byConnection.get(connection);
    if (queues === undefined) this.#byConnection.set(connection, new Set([recipientId]));
    else queues.add(recipientId);
    return subscription;
  }

  delete(recipientId: string): void {
    const subscription = this.#byQueue.get(recipientId);
    if (subscription === undefined) return;
    this.#byQueue.delete(recipientId);
    const queues = this.#byConnection.get(subscription.connection);
    queues?.delete(recipientId);
    if (queues?.size === 0) this.#byConnection.delete(subscription.connection);
  }

  disconnect(connection: BrokerConnection): void {
    for (const recipientId of this.#byConnection.get(connection) ?? []) this.#byQueue.delete(recipientId);
    this.#byConnection.delete(connection);
  }
}
