import type { ClientTransmission } from "../../protocol/mod.ts";
import type { PartitionOwner } from "./owner.ts";
import { partitionOf } from "./partition.ts";
import type { Forwarded, Restoring } from "./restoring.ts";
import type { BrokerConnection } from "./subscriptions.ts";

/** Gives each command to the owner of its queue's partition. */
export class Router implements PartitionOwner {
  readonly #owners: readonly PartitionOwner[];
  readonly #all: ReadonlySet<PartitionOwner>;
  readonly #own: readonly PartitionOwner[];
  readonly #aliases: ReadonlyMap<string, string>;
  #nextOwn = 0;

  constructor({ owners, own = owners, aliases = new Map() }: {
    /** By partition. */
    readonly owners: readonly PartitionOwner[];
    /** Those that new queues are made by. @default all */
    readonly own?: readonly PartitionOwner[];
    /** The recipient IDs of queues by sender IDs that are of another partition. */
    readonly aliases?: ReadonlyMap<string, string>;
  }) {
    this.#owners = owners;
    this.#all = new Set(owners);
    this.#own = own;
    this.#aliases = aliases;
  }

  submit(
    connection: BrokerConnection,
    transmission: ClientTransmission,
    forwarded?: Forwarded,
  ): Promise<void> {
    return this.#ownerFor(transmission).submit(connection, transmission, forwarded);
  }

  isOpened(connection: BrokerConnection, queueId: string): boolean {
    return this.#ownerOf(queueId).isOpened(connection, queueId);
  }

  isSubscribed(connection: BrokerConnection): boolean {
    for (const owner of this.#all) if (owner.isSubscribed(connection)) return true;
    return false;
  }

  resume(connection: BrokerConnection): void {
    for (const owner of this.#all) owner.resume(connection);
  }

  disconnect(connection: BrokerConnection): void {
    for (const owner of this.#all) owner.disconnect(connection);
  }

  /** Of the owners of this process. */
  get restoring(): Restoring {
    return {
      rankOf: (connection, recipientId) =>
        this.#restoringOf(recipientId)?.rankOf(connection, recipientId) ?? null,
      subscribe: async (connection, subscription) => {
        const restoring = this.#restoringOf(subscription.recipientId);
        if (restoring === undefined) connection.ended?.(subscription.recipientId);
        else await restoring.subscribe(connection, subscription);
      },
      open: async (connection, queueId) => {
        const restoring = this.#restoringOf(queueId);
        if (restoring === undefined) connection.ended?.(queueId);
        else await restoring.open(connection, queueId);
      },
    };
  }

  #restoringOf(queueId: string): Restoring | undefined {
    return this.#ownerOf(queueId).restoring;
  }

  #ownerFor({ command, queueId }: ClientTransmission): PartitionOwner {
    if (command.type !== "NEW" && command.type !== "PING") return this.#ownerOf(queueId);
    this.#nextOwn = (this.#nextOwn + 1) % this.#own.length;
    return this.#own[this.#nextOwn]!;
  }

  #ownerOf(queueId: string): PartitionOwner {
    return this.#owners[partitionOf(this.#aliases.get(queueId) ?? queueId, this.#owners.length)]!;
  }
}
