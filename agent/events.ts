import type { ServerAddress } from "../protocol/mod.ts";
import type { AgentError } from "./protocol/error.ts";
import type { MessageIntegrity } from "./protocol/integrity.ts";
import type { StreamOffer } from "./stream/types.ts";
import type { MessageRecord, RouteChange, SecurityReason, SessionChange } from "./store/store.ts";

/** A message that another agent's client sent. */
export interface ReceivedMessage {
  /** Its number in the connection, sent and received ones together. */
  readonly id: number;
  /** When this agent stored it. */
  readonly receivedAt: Date;
  /** What was sent, raw. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** Whether it is whole and in order. */
  readonly integrity: MessageIntegrity;
  /** The server's ID (base64) of the message and when the server took it. */
  readonly server: { readonly id: string; readonly at: Date };
  /** The sender's number of the message and when it was made. */
  readonly sender: { readonly id: number; readonly at: Date };
}

/** What every event of one connection has. */
export interface OfConnection {
  /** The connection's alias. */
  readonly connection: string;
  /**
   * The number of an event that is stored until it is taken (`Agent.take`), which no other event of this agent ever
   * has; others are told once.
   */
  readonly eventId?: number;
}

/**
 * What an agent tells its client. All that have an `eventId` are told again after a restart if they were not taken
 * before; `end`, `down` and `up` are about this moment, and what a later one says of a connection replaces what was
 * not read.
 */
export type AgentEvent =
  /** Both sides can send; for a connection of one direction: this side can. */
  | OfConnection & { readonly type: "connected" }
  | OfConnection & { readonly type: "message"; readonly message: ReceivedMessage }
  /** The server has the message with this number. */
  | OfConnection & { readonly type: "sent"; readonly id: number }
  /** The other side's application has acknowledged the message with this number (sessions.md). */
  | OfConnection & { readonly type: "delivered"; readonly id: number }
  /**
   * `active`: messages go through the session from now on. `closed`: the other side has deleted the connection. `slow`: the
   * other side does not answer the upgrade, for which messages wait.
   */
  | OfConnection & { readonly type: "session"; readonly change: SessionChange }
  /** A way between the two agents is another one now (sessions.md Rotation). */
  | OfConnection & RouteChange
  /** The other side offers a stream (streams.md): told until it is accepted or has ended, after each start once. */
  | OfConnection & { readonly type: "stream offered"; readonly offer: StreamOffer }
  /** Another program has subscribed to the connection's queue: nothing more comes from it here. */
  | OfConnection & { readonly type: "end" }
  /** The server of these connections cannot be reached; they are subscribed again when it can. */
  | { readonly type: "down"; readonly server: ServerAddress; readonly connections: readonly string[] }
  /** The server is back, and these connections are subscribed. */
  | { readonly type: "up"; readonly server: ServerAddress; readonly connections: readonly string[] }
  /** Something has failed, or the other agent did what it must not; `id`: the message that is not sent. */
  | OfConnection & { readonly type: "error"; readonly error: AgentError; readonly id?: number }
  /** Somebody besides the one who joined has tried to, or was not approved. */
  | OfConnection & { readonly type: "security"; readonly reason: SecurityReason };

/** A stored message as the application sees it. */
export function receivedMessage({ id, at, body, received }: MessageRecord): ReceivedMessage {
  const { integrity, serverId, serverAt, senderId, senderAt } = received!;
  return {
    id,
    receivedAt: new Date(at),
    body,
    integrity,
    server: { id: serverId, at: new Date(serverAt) },
    sender: { id: senderId, at: new Date(senderAt) },
  };
}
