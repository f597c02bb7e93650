/** What an agent stores. Byte arrays are raw; keys DER, private ones PKCS#8, public ones SubjectPublicKeyInfo. */
import type { Reassembly, ServerAddress } from "../../protocol/mod.ts";
import type { AgentErrorCode } from "../protocol/error.ts";
import type { LastMessage, MessageIntegrity } from "../protocol/integrity.ts";
import type { Farewell, InboundRoute, OutboundRoute, Session } from "./session_records.ts";

export type * from "./session_records.ts";

/** What an agent knows of a connection beside its routes. */
export interface ConnectionRecord {
  /** Never used again: base64 of 12 random bytes. */
  readonly id: string;
  /** The label that the agent's clients call it by; another connection can have it when this one is deleted. */
  readonly alias: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Whether this side made the invitation or joined by it. */
  readonly role: "initiator" | "joiner";
  /** Joiner: whether there is to be a route for the other direction. */
  readonly reply: boolean;
  /** Whether the application was told that the connection is there. */
  readonly connected: boolean;
  /** The last number given to a message, sent and received ones together. */
  readonly lastMessageId: number;
  /** The last user message that was sent. */
  readonly lastSent: LastMessage;
  /** The last user message that was received. */
  readonly lastReceived: LastMessage;
  /** The last position given to an entry of the outbox. */
  readonly lastPosition: number;
  /** The extensions that the other agent has announced (extensions.md); `null` before it has said HELLO. */
  readonly extensions: readonly string[] | null;
  /** Messages that could not be decrypted, verified or parsed. */
  readonly unreadable: number;
}

/** How far a route to receive from is. */
export type ReceivingStatus = "new" | "confirmed" | "secured" | "active";

/** A way to this agent: a queue that it receives from. */
export interface ReceivingRoute {
  /** Never used again: base64 of 12 random bytes. */
  readonly id: string;
  /** What is written once, or seldom. */
  readonly keys: ReceivingKeys;
  /** How far it is. */
  readonly status: ReceivingStatus;
  /** The server's ID of the last message that was handled, base64; empty before the first. */
  readonly lastServerId: string;
  /** SHA-256 of the last plaintext that was handled: the sender's repetitions have the same. Empty before the first. */
  readonly lastHash: Uint8Array<ArrayBuffer>;
  /** Messages that the application has not acknowledged, in the order in which they came. */
  readonly unacknowledged: readonly Unacknowledged[];
  /** Whether the queue was suspended. */
  readonly suspended: boolean;
}

/** A message that its server keeps until the application has acknowledged it. */
export interface Unacknowledged {
  /** Its number in the connection. */
  readonly id: number;
  /** The server's ID of it, base64. */
  readonly serverId: string;
}

/** The queue of a receiving route and its keys. */
export interface ReceivingKeys {
  /** Where the queue is. */
  readonly server: ServerAddress;
  /** Base64. */
  readonly recipientId: string;
  /** Base64. */
  readonly senderId: string;
  /** Signs the recipient's commands. */
  readonly recipientKey: Uint8Array<ArrayBuffer>;
  /** Decrypts bodies. */
  readonly decryptionKey: Uint8Array<ArrayBuffer>;
  /** The key of the confirmation, with which the queue is secured; `null` before. */
  readonly senderKey: Uint8Array<ArrayBuffer> | null;
  /** Verifies bodies; `null` before HELLO. */
  readonly verificationKey: Uint8Array<ArrayBuffer> | null;
}

/** How far a route to send on is; `failed`: joining was given up. */
export type SendingStatus = "new" | "confirmed" | "active" | "failed";

/** A way to the other agent: a queue that this one sends to. */
export interface SendingRoute {
  /** Never used again: base64 of 12 random bytes. */
  readonly id: string;
  /** What is written once. */
  readonly keys: SendingKeys;
  /** How far it is. */
  readonly status: SendingStatus;
}

/** The queue of a sending route and its keys. */
export interface SendingKeys {
  /** Where the queue is. */
  readonly server: ServerAddress;
  /** Base64. */
  readonly senderId: string;
  /** Signs SEND. */
  readonly senderKey: Uint8Array<ArrayBuffer>;
  /** Signs bodies. */
  readonly signingKey: Uint8Array<ArrayBuffer>;
  /** Bodies are encrypted to it. */
  readonly encryptionKey: Uint8Array<ArrayBuffer>;
}

/** A connection with its routes: 0.3 has at most one each way, in `receiving` and `sending`. */
export interface Connection {
  /** What is known of it beside its routes. */
  readonly record: ConnectionRecord;
  /** Oldest first. */
  readonly receiving: readonly ReceivingRoute[];
  /** Oldest first. */
  readonly sending: readonly SendingRoute[];
  /** `null`: this side has not announced it, or the other side has not. */
  readonly session: Session | null;
  /** The session's queues that this side receives from, oldest first. */
  readonly inbound: readonly InboundRoute[];
  /** The session's queues that this side sends to, oldest first. */
  readonly outbound: readonly OutboundRoute[];
  /** The unfinished messages of its inbound routes; not there before they were read from the store. */
  readonly reassembly?: Reassembly;
  /** By which of several inbound routes the last messages came, each with its tag; not stored. */
  readonly heard?: readonly string[];
  /** The messages that may come again, by their times (`copies.ts`); not stored. */
  readonly copyIndex?: ReadonlyMap<number, readonly number[]>;
  /** The last messages of the ratchet that were decrypted: the place of each in its chain, and its tag; not stored. */
  readonly decrypted?: readonly string[];
  /** When the other side has refused a route, milliseconds since 1970; not stored. */
  readonly refusedAt?: number;
  /** How many routes the other side may add; not stored, and not there before it has added one. */
  readonly routeBudget?: RouteBudget;
}

/** How many outbound routes the other side may add: for each this agent connects to a server of its choice. */
export interface RouteBudget {
  /** How many at once. */
  readonly left: number;
  /** Since when, milliseconds since 1970. */
  readonly at: number;
}

/** Something that is to be sent to the other agent, on one route or several. */
export interface OutboxEntry {
  /** The connection's ID. */
  readonly connection: string;
  /** Ascending within a connection: the order in which entries are sent. */
  readonly position: number;
  /** The agent message that it is. */
  readonly kind: string;
  /** The number of a user message in its connection; 0 for others. */
  readonly messageId: number;
  /** The agent message, not encrypted; empty for one that cannot be made yet. */
  readonly plaintext: Uint8Array<ArrayBuffer>;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** An entry of the outbox on its way by one route. */
export interface Delivery {
  /** The connection's ID. */
  readonly connection: string;
  /** The ID of the sending route. */
  readonly route: string;
  /** The entry's. */
  readonly position: number;
  /** Whether it may have reached the server. */
  readonly attempted: boolean;
  /** When it is no longer tried, milliseconds since 1970; `null`: never. */
  readonly giveUpAt: number | null;
}

/** A delivery together with what it delivers. */
export type QueuedDelivery = Delivery & OutboxEntry;

/** A user message that was sent or received. */
export interface MessageRecord {
  /** The connection's ID. */
  readonly connection: string;
  /** Its number in the connection. */
  readonly id: number;
  /** What was sent, raw. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** When it was stored, milliseconds since 1970. */
  readonly at: number;
  /** Sent: whether a server has it. Received: whether the application has acknowledged it. */
  readonly done: boolean;
  /** What came with a received message; `null` for one that was sent. */
  readonly received: ReceivedMeta | null;
  /** Sent in a session: the number among this side's user messages; `null` for others. */
  readonly number: number | null;
  /** Sent in a session: whether the other side's application has acknowledged it. */
  readonly delivered: boolean;
}

/** What comes with a received message. */
export interface ReceivedMeta {
  /** Whether it was whole and in order. */
  readonly integrity: MessageIntegrity;
  /** Base64. */
  readonly serverId: string;
  /** When the server took it, milliseconds since 1970. */
  readonly serverAt: number;
  /** The sender's number of it. */
  readonly senderId: number;
  /** When the sender made it, milliseconds since 1970. */
  readonly senderAt: number;
}

/** What the application is to be told, until it has taken it. */
export interface EventRecord {
  /** Ascending in the order in which events are told. */
  readonly id: number;
  /** The connection's ID. */
  readonly connection: string;
  /** What it is. */
  readonly event: StoredEvent;
}

/** An event that is stored until it is taken. */
export type StoredEvent =
  | { readonly type: "connected" }
  /** A received message, by its number. */
  | { readonly type: "message"; readonly id: number }
  /** A server has the message with this number. */
  | { readonly type: "sent"; readonly id: number }
  /** The other side's application has acknowledged the message with this number. */
  | { readonly type: "delivered"; readonly id: number }
  /** `id`: of the message that is not sent. */
  | { readonly type: "error"; readonly code: AgentErrorCode; readonly message: string; readonly id?: number }
  | { readonly type: "security"; readonly reason: SecurityReason }
  /** See `SessionChange`. */
  | { readonly type: "session"; readonly change: SessionChange }
  | RouteChange;

/**
 * What becomes of a session. `active`: messages go through it from now on. `closed`: the other side has deleted the
 * connection. `slow`: the other side does not answer the upgrade; messages wait for it.
 */
export type SessionChange = "active" | "closed" | "slow";

/** What becomes of a way between two agents. */
export interface RouteChange {
  /** What tells the events apart. */
  readonly type: "route";
  /** `receiving`: of this side's; `sending`: of the other side's. */
  readonly direction: "receiving" | "sending";
  /** `refused`: by the other side, which cannot use it. */
  readonly change: "moved" | "added" | "ended" | "refused";
  /** The server's address before; `null` for `added` and `refused`. */
  readonly from: string | null;
  /** The server's address from now on; `null` for `ended`. */
  readonly to: string | null;
}

/** Why there is a `security` event. */
export type SecurityReason =
  | "second confirmation"
  | "confirmation not approved"
  | "session out of step"
  | "session repaired";

/** A queue of a connection that was deleted, until its server has deleted it too. */
export interface DiscardedQueue {
  /** Never used again: the ID of the route that it belonged to. */
  readonly id: string;
  /** Where it is. */
  readonly server: ServerAddress;
  /** Base64. */
  readonly recipientId: string;
  /** Base64. */
  readonly senderId: string;
  /** Signs the recipient's commands. */
  readonly recipientKey: Uint8Array<ArrayBuffer>;
  /** When it is no longer tried, milliseconds since 1970. */
  readonly giveUpAt: number;
}

/** What is left to be done for a deleted connection. */
export type Discarded = DiscardedQueue | Farewell;
