import type { ClientTransmission } from "../../protocol/mod.ts";
import type { Forwarded, Restoring } from "./restoring.ts";
import type { BrokerConnection } from "./subscriptions.ts";

/** The broker of a queue's partition, wherever it is. */
export interface PartitionOwner {
  /** Resolves when it has its place in the order of its queue; `connection.answer` follows, exactly once. */
  submit(
    connection: BrokerConnection,
    transmission: ClientTransmission,
    forwarded?: Forwarded,
  ): Promise<void>;
  /** Whether commands of a connection need no signature on a queue ID. */
  isOpened(connection: BrokerConnection, queueId: string): boolean;
  isSubscribed(connection: BrokerConnection): boolean;
  /** The peer of a connection that was full has taken something. */
  resume(connection: BrokerConnection): void;
  /** What it did not acknowledge is delivered to the next subscriber. */
  disconnect(connection: BrokerConnection): void;
  /** What gives connections of other processes back what they had; without it they are closed when their link is lost. */
  readonly restoring?: Restoring;
}
