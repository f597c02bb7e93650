import type { ClientTransmission } from "../../protocol/mod.ts";
import type { PartitionOwner } from "../broker/owner.ts";
import type { Restoring } from "../broker/restoring.ts";
import type { BrokerConnection } from "../broker/subscriptions.ts";
import { keyedHash } from "../guard/keyed_hash.ts";
import type { QueueStore } from "../store/store.ts";

export interface AliasedOwnerParts {
  /** The broker of this worker. */
  readonly own: PartitionOwner;
  readonly queues: QueueStore;
  /** Recipient IDs of other workers' queues by sender IDs that lead to this one. */
  readonly aliases: ReadonlyMap<string, string>;
  /** Other workers, at least one. */
  readonly others: readonly PartitionOwner[];
  readonly ownerOf: (queueId: string) => PartitionOwner;
}

/**
 * The broker of a worker, and behind it that of another one for queues of older logs, whose sender IDs lead here. IDs
 * that nobody has go to another worker as often, or the time would tell which ones somebody has.
 */
export class AliasedOwner implements PartitionOwner {
  /** Nothing else than messages and what is refused goes to other workers. */
  readonly restoring?: Restoring;
  readonly #parts: AliasedOwnerParts;
  readonly #secret = crypto.getRandomValues(new Uint32Array(1))[0]!;

  constructor(parts: AliasedOwnerParts) {
    this.#parts = parts;
    if (parts.own.restoring !== undefined) this.restoring = parts.own.restoring;
  }

  async submit(...given: Parameters<PartitionOwner["submit"]>): Promise<void> {
    const [, transmission] = given;
    const owner = await this.#ownerFor(transmission);
    await owner.submit(...given);
  }

  isOpened(connection: BrokerConnection, queueId: string): boolean {
    return this.#parts.own.isOpened(connection, queueId);
  }

  isSubscribed(connection: BrokerConnection): boolean {
    return this.#parts.own.isSubscribed(connection);
  }

  resume(connection: BrokerConnection): void {
    this.#parts.own.resume(connection);
  }

  disconnect(connection: BrokerConnection): void {
    this.#parts.own.disconnect(connection);
    for (const other of this.#parts.others) other.disconnect(connection);
  }

  async #ownerFor({ command: { type }, queueId }: ClientTransmission): Promise<PartitionOwner> {
    const { own, queues, aliases, others, ownerOf } = this.#parts;
    if (type !== "SEND" && type !== "OPEN") return own;
    // It comes from the worker that the ID leads to.
    if (ownerOf(queueId) !== this) return own;
    const recipientId = aliases.get(queueId);
    if (recipientId !== undefined) return ownerOf(recipientId);
    const isKnown = await queues.bySenderId(queueId) ?? await queues.byRecipientId(queueId);
    if (isKnown !== undefined) return own;
    const chosen = keyedHash(this.#secret, queueId);
    const isElsewhere = chosen * (aliases.size + queues.size) < aliases.size * 2 ** 32;
    return isElsewhere ? others[chosen % others.length]! : own;
  }
}
