import type { ClientTransmission } from "../../protocol/mod.ts";
import type { PartitionOwner } from "../broker/owner.ts";
import { partitionOf } from "../broker/partition.ts";
import type { BrokerConnection } from "../broker/subscriptions.ts";
import type { LimitSource } from "../config/limits.ts";
import type { ByteStream } from "../link/byte_stream.ts";
import { RemoteOwner } from "../link/remote_owner.ts";
import type { Metrics } from "../observe/metrics.ts";
import { WorkerRouter } from "../workers/worker_router.ts";

export interface ClusterSessionsOptions {
  readonly partitions: number;
  readonly metrics: Metrics;
  readonly limits: LimitSource;
  /** Makes a stream to whichever node owns the partition, this one too. */
  readonly connect: (partition: number, signal: AbortSignal) => Promise<ByteStream>;
  /** Where new queues go: partitions of this node, or others that can be used. Never empty. */
  readonly forNew: () => readonly number[];
}

/** Milliseconds. */
const mostSilence = 2_000;

/** What of a partition's commands is of interest. */
export interface SessionCounts {
  /** Whether there is an owner that takes commands. */
  readonly isLinked: boolean;
  /** Commands that are not answered yet. */
  readonly pending: number;
  /** Commands that were given to owners. */
  readonly forwarded: number;
}

/**
 * What the sessions of a node give their commands to. Whoever owns a partition, this node included, is used over a link:
 * so what is not answered when the owner changes goes to the next one the same way.
 */
export class ClusterSessions implements PartitionOwner, AsyncDisposable {
  readonly #options: ClusterSessionsOptions;
  readonly #owners: readonly RemoteOwner[];
  readonly #router: WorkerRouter;
  #lastNew = 0;

  constructor(options: ClusterSessionsOptions) {
    this.#options = options;
    const { limits, metrics } = options;
    this.#owners = Array.from({ length: options.partitions }, (_, partition) =>
      new RemoteOwner({
        connect: (signal) => options.connect(partition, signal),
        close: (connection) => void connection.close?.(),
        failed: (command) => metrics.answered(command, "ERR INTERNAL"),
        mostSilence,
      }));
    this.#router = new WorkerRouter({ owners: this.#owners, counters: this.#owners, limits, metrics });
  }

  /** By partition. */
  get counts(): readonly SessionCounts[] {
    return this.#owners.map(({ isLinked, pending, forwarded }) => ({ isLinked, pending, forwarded }));
  }

  submit(connection: BrokerConnection, transmission: ClientTransmission): Promise<void> {
    const { command, corrId, queueId } = transmission;
    if (command.type === "PING") {
      this.#options.metrics.answered("PING", "PONG");
      connection.answer({ corrId, queueId: "", response: { type: "PONG" } });
      return Promise.resolve();
    }
    const owner = command.type === "NEW" ? this.#nextForNew() : this.#ownerOf(queueId);
    const placed = (command.type === "NEW" ? owner : this.#router).submit(connection, transmission);
    // While there is no owner the connection goes on with what is of others: what is in work of it is bounded.
    return owner.isLinked ? placed : Promise.resolve();
  }

  isOpened(connection: BrokerConnection, queueId: string): boolean {
    return this.#router.isOpened(connection, queueId);
  }

  isSubscribed(connection: BrokerConnection): boolean {
    return this.#router.isSubscribed(connection);
  }

  resume(connection: BrokerConnection): void {
    this.#router.resume(connection);
  }

  disconnect(connection: BrokerConnection): void {
    this.#router.disconnect(connection);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#owners.map((owner) => owner[Symbol.asyncDispose]()));
  }

  #ownerOf(queueId: string): RemoteOwner {
    return this.#owners[partitionOf(queueId, this.#owners.length)]!;
  }

  #nextForNew(): RemoteOwner {
    const partitions = this.#options.forNew();
    this.#lastNew = (this.#lastNew + 1) % partitions.length;
    return this.#owners[partitions[this.#lastNew]!]!;
  }
}
