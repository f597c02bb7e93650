import type { PartitionStores } from "../store/store.ts";
import { Broker, type BrokerParts } from "./broker.ts";
import type { DeliveryCounts } from "./delivery.ts";
import { OpenedQueues } from "./opened_queues.ts";
import { isPartitionCount, mostPartitions, type Partitions } from "./partition.ts";
import { UnsecuredReserve } from "../guard/unsecured_reserve.ts";

/** What is kept at the moment. */
export interface KeptCounts {
  readonly queues: number;
  readonly messages: number;
  readonly messageBytes: number;
}

export type SharedParts = Omit<
  BrokerParts,
  keyof PartitionStores | "partitions" | "opened" | "reserve" | "epoch"
>;

/** A broker that comes while others are there, with what is its alone. */
interface Local {
  readonly stores: PartitionStores;
  readonly opened: OpenedQueues;
}

/** The brokers of this process: one for each partition, or one for all those that it has. */
export class LocalBrokers {
  readonly #brokers = new Map<Broker, Local>();
  readonly #shared: SharedParts;

  /**
   * `place`: what the only stores have, when other processes have the others, and the broker's epoch.
   * Throws `RangeError` when there is another number of stores than a power of two.
   */
  constructor(
    stores: readonly PartitionStores[],
    shared: SharedParts,
    place?: { readonly partitions: Partitions; readonly epoch: number },
  ) {
    // A node of a cluster begins without any.
    if (stores.length > 0 && !isPartitionCount(stores.length)) {
      throw new RangeError(
        `Cannot use ${stores.length} partitions: it must be a power of two up to ${mostPartitions}`,
      );
    }
    this.#shared = shared;
    const [opened, reserve, count] = [new OpenedQueues(), new UnsecuredReserve(), stores.length];
    for (const [index, own] of stores.entries()) {
      const { partitions = { own: [index], count }, epoch } = place ?? {};
      this.#add(own, { opened, reserve, partitions, ...(epoch !== undefined && { epoch }) });
    }
  }

  get all(): readonly Broker[] {
    return [...this.#brokers.keys()];
  }

  /** Makes a broker for a partition that this process has got from another one; `epoch`: higher than that one's. */
  add(
    stores: PartitionStores,
    parts: {
      readonly partitions: Partitions;
      readonly epoch: number;
      /** Whether a failure is none of the server: another process has the partition. */
      readonly isLost: (error: unknown) => boolean;
    },
  ): Broker {
    const { isLost, ...others } = parts;
    const log = (message: string, error: unknown) => {
      if (!isLost(error)) this.#shared.log?.(message, error);
    };
    return this.#add(stores, { opened: new OpenedQueues(), reserve: new UnsecuredReserve(), log, ...others });
  }

  /** Another process has its partition now. */
  remove(broker: Broker): void {
    if (!this.#brokers.delete(broker)) return;
    void this.#shared.shares?.sweep((recipientId) => this.#count(recipientId));
  }

  get counts(): DeliveryCounts {
    const counts = { subscriptions: 0, windows: 0, delivered: 0 };
    for (const broker of this.#brokers.keys()) {
      const { subscriptions, windows, delivered } = broker.counts;
      counts.subscriptions += subscriptions;
      counts.windows += windows;
      counts.delivered += delivered;
    }
    return counts;
  }

  get kept(): KeptCounts {
    const kept = { queues: 0, messages: 0, messageBytes: 0 };
    for (const { stores: { queues, messages } } of this.#brokers.values()) {
      kept.queues += queues.size;
      kept.messages += messages.size;
      kept.messageBytes += messages.bytes;
    }
    return kept;
  }

  /** Queue IDs that connections have opened. */
  get opened(): number {
    const all = new Set([...this.#brokers.values()].map(({ opened }) => opened));
    return [...all].reduce((sum, { size }) => sum + size, 0);
  }

  async idle(): Promise<void> {
    await Promise.all(this.all.map((broker) => broker.idle()));
  }

  /** smp.md Limits. Never rejects. */
  async sweep(): Promise<void> {
    const { metrics, shares, log } = this.#shared;
    const expired = metrics.messagesExpired;
    for (const broker of this.all) await broker.sweep();
    if (metrics.messagesExpired === expired) return;
    try {
      await shares?.sweep((recipientId) => this.#count(recipientId));
    } catch (error) {
      log?.("Cannot count the messages that wait: the server failed", error);
    }
  }

  #add(
    stores: PartitionStores,
    parts: Pick<BrokerParts, "opened" | "reserve" | "partitions" | "epoch" | "log">,
  ): Broker {
    const broker = new Broker({ ...this.#shared, ...stores, ...parts });
    this.#brokers.set(broker, { stores, opened: parts.opened! });
    return broker;
  }

  /** Messages that wait in a queue, if it is here. */
  async #count(recipientId: string): Promise<number> {
    for (const { stores: { messages } } of this.#brokers.values()) {
      const count = await messages.count(recipientId);
      if (count > 0) return count;
    }
    return 0;
  }
}
