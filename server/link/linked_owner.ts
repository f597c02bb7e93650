import type { ClientTransmission } from "../../protocol/mod.ts";
import type { PartitionOwner } from "../broker/owner.ts";
import type { BrokerConnection } from "../broker/subscriptions.ts";
import type { KnownSubscription, Rank } from "./messages.ts";

/** What a session's process tells with a command. */
export interface Forwarded {
  /** 16 bytes that no other command has; a command that is given again after a link was lost has the same. */
  readonly commandId: Uint8Array<ArrayBuffer>;
  /** With ACK: the ID of the message that the client has, if it has one. */
  readonly messageId: string | null;
}

/** A broker that sessions of other processes use. */
export interface LinkedOwner extends PartitionOwner {
  submit(
    connection: BrokerConnection,
    transmission: ClientTransmission,
    forwarded?: Forwarded,
  ): Promise<void>;
  /** What gives connections back what they had; without it they are closed when their link is lost. */
  readonly restoring?: Restoring;
}

/**
 * What an owner can give a connection back without a signature, because it (or the owner before it) has accepted the
 * command: the same connection comes under another object when its link was lost.
 *
 * An owner that restores also takes an ACK that it has executed before: it does what an ACK does afterwards when the
 * message with `Forwarded.messageId` is gone.
 */
export interface Restoring {
  /** The rank of the subscription that a connection has, as its command was just accepted. */
  rankOf(connection: BrokerConnection, recipientId: string): Rank | null;
  /**
   * Subscribes, unless there is a subscription of higher rank: then the connection gets END. Messages of `delivered` that
   * are still there, and the first ones, count as delivered and are not sent again; then what the window takes is pushed.
   * `BrokerConnection.ended` is called when the queue is gone. Takes its place in the order of the queue at once.
   */
  subscribe(connection: BrokerConnection, subscription: KnownSubscription): void;
  /** Gives the connection the rights of the key that belongs to this ID of the queue. */
  open(connection: BrokerConnection, queueId: string): void;
}
