import type { PartitionStores } from "../store/store.ts";
import { Broker, type BrokerParts } from "./broker.ts";
import type { DeliveryCounts } from "./delivery.ts";
import { OpenedQueues } from "./opened_queues.ts";
import { isPartitionCount, mostPartitions, partitionOf, type Partitions } from "./partition.ts";
import { UnsecuredReserve } from "../guard/unsecured_reserve.ts";

/** What is kept at the moment. */
export interface KeptCounts {
  readonly queues: number;
  readonly messages: number;
  readonly messageBytes: number;
}

export type SharedParts = Omit<BrokerParts, keyof PartitionStores | "partitions" | "opened" | "reserve">;

/** The brokers of this process: one for each partition, or one for all those that it has. */
export class LocalBrokers {
  readonly all: readonly Broker[];
  readonly #stores: readonly PartitionStores[];
  readonly #opened = new OpenedQueues();
  readonly #shared: SharedParts;

  /**
   * `partitions`: those of the only stores, when other processes have the others.
   * Throws `RangeError` when there is another number of stores than a power of two.
   */
  constructor(stores: readonly PartitionStores[], shared: SharedParts, partitions?: Partitions) {
    if (!isPartitionCount(stores.length)) {
      throw new RangeError(
        `Cannot use ${stores.length} partitions: it must be a power of two up to ${mostPartitions}`,
      );
    }
    this.#stores = stores;
    this.#shared = shared;
    const [opened, reserve, count] = [this.#opened, new UnsecuredReserve(), stores.length];
    this.all = stores.map(({ queues, messages }, index) =>
      new Broker({
        ...shared,
        queues,
        messages,
        opened,
        reserve,
        partitions: partitions ?? { own: [index], count },
      })
    );
  }

  get counts(): DeliveryCounts {
    const counts = { subscriptions: 0, windows: 0, delivered: 0 };
    for (const broker of this.all) {
      const { subscriptions, windows, delivered } = broker.counts;
      counts.subscriptions += subscriptions;
      counts.windows += windows;
      counts.delivered += delivered;
    }
    return counts;
  }

  get kept(): KeptCounts {
    const kept = { queues: 0, messages: 0, messageBytes: 0 };
    for (const { queues, messages } of this.#stores) {
      kept.queues += queues.size;
      kept.messages += messages.size;
      kept.messageBytes += messages.bytes;
    }
    return kept;
  }

  /** Queue IDs that connections have opened. */
  get opened(): number {
    return this.#opened.size;
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
      await shares?.sweep((recipientId) => this.#storesOf(recipientId).messages.count(recipientId));
    } catch (error) {
      log?.("Cannot count the messages that wait: the server failed", error);
    }
  }

  #storesOf(recipientId: string): PartitionStores {
    return this.#stores[partitionOf(recipientId, this.#stores.length)]!;
  }
}
