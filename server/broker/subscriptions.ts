import type { ServerTransmission } from "../../protocol/mod.ts";
import type { BudgetName } from "../guard/client_network.ts";

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
  /** `written` is called, if at all, when the transmission is not used any more. */
  notify(transmission: ServerTransmission, since?: number, written?: () => void): void;
  /** Work that was done for it counts for how fast it is read. Milliseconds. */
  charge?(budget: BudgetName, work: number): void;
  /** Ends it: nobody can tell any more what has become of its commands. */
  close?(): unknown;
  /** A queue that it subscribes to, or an ID that it has opened, is gone. */
  ended?(queueId: string): void;
}

/** Which of two subscriptions to a queue is the later one: that of a higher epoch, or of a higher number in the same one. */
export interface Rank {
  /** Of the broker that has accepted it. Below 2^48. */
  readonly epoch: number;
  /** Of the subscription in its epoch. Below 2^48. */
  readonly number: number;
}

export function isLater(a: Rank, b: Rank): boolean {
  return a.epoch > b.epoch || a.epoch === b.epoch && a.number > b.number;
}

/** A subscription that a broker has accepted, as the process of its session knows it. */
export interface KnownSubscription {
  readonly recipientId: string;
  /** Messages that may be delivered and unacknowledged; `null`: one, as in 0.3. */
  readonly window: number | null;
  readonly rank: Rank;
  /** The IDs of the messages that the client has and has not acknowledged, in their order. */
  readonly delivered: readonly string[];
}

export interface Subscription {
  readonly connection: BrokerConnection;
  /** Messages that may be delivered and unacknowledged; `null`: one, as in 0.3. */
  readonly window: number | null;
  /** The IDs of those that are, in their order. */
  readonly delivered: string[];
  readonly rank: Rank;
}

export class Subscriptions {
  readonly #epoch: number;
  readonly #byQueue = new Map<string, Subscription>();
  readonly #byConnection = new Map<BrokerConnection, Set<string>>();

  #last = 0;

  constructor(epoch: number) {
    this.#epoch = epoch;
  }

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

  set(
    recipientId: string,
    connection: BrokerConnection,
    window: number | null,
    rank: Rank = { epoch: this.#epoch, number: ++this.#last },
  ): Subscription {
    const subscription: Subscription = { connection, window, delivered: [], rank };
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
