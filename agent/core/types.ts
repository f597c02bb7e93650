import type { KeyMessage } from "../kinds/key.ts";
import type { AgentMessage } from "../kinds/mod.ts";
import type { ReplyMessage } from "../kinds/reply.ts";
import type { AgentError } from "../protocol/error.ts";
import type {
  Connection,
  Delivery,
  QueuedDelivery,
  ReceivingRoute,
  SendingRoute,
  StoreChange,
  StoredEvent,
} from "../store/store.ts";

/** A message of the other agent, decrypted and, where it can be, verified. */
export interface Received<M = AgentMessage> {
  /** The server's ID of it, base64. */
  readonly serverId: string;
  /** When the server took it, milliseconds since 1970. */
  readonly serverAt: number;
  /** SHA-256 of its plaintext. */
  readonly hash: Uint8Array<ArrayBuffer>;
  readonly message: M;
}

/** What happens to a connection. `route` is the ID of the route that it happens on. */
export type ConnectionEvent =
  /** A server has delivered a message of the other agent. */
  | { readonly type: "received"; readonly route: string; readonly received: Received }
  /** A server has delivered something that cannot be decrypted, verified or parsed. */
  | {
    readonly type: "unreadable";
    readonly route: string;
    readonly serverId: string;
    readonly error: AgentError;
  }
  /** The application was asked whether to accept a confirmation. */
  | {
    readonly type: "approved";
    readonly route: string;
    readonly received: Received<KeyMessage>;
    readonly isApproved: boolean;
  }
  /** The server has taken the sender's key; `error`: it has refused it. */
  | {
    readonly type: "secured";
    readonly route: string;
    readonly received: Received<KeyMessage>;
    readonly error: AgentError | null;
  }
  /** The keys for the queue of a REPLY are made; an error: it cannot be used. */
  | {
    readonly type: "joined";
    readonly route: string;
    readonly received: Received<ReplyMessage>;
    readonly sending: SendingRoute | AgentError;
  }
  /** A server has made the queue for the other direction, of which an entry of the outbox is to tell. */
  | { readonly type: "route made"; readonly receiving: ReceivingRoute; readonly position: number }
  /** The application sends a body; `plaintext` is its message with the next number, `hash` the SHA-256 of that. */
  | {
    readonly type: "send";
    readonly body: Uint8Array<ArrayBuffer>;
    readonly plaintext: Uint8Array<ArrayBuffer>;
    readonly hash: Uint8Array<ArrayBuffer>;
  }
  /** A delivery may reach its server from now on. */
  | ({ readonly type: "attempted" } & Pick<Delivery, "route" | "position" | "giveUpAt">)
  /** The server has taken what was delivered. */
  | { readonly type: "sent"; readonly delivery: QueuedDelivery }
  /** Deliveries of a route are given up; `isRoute`: nothing else can be sent on it either. */
  | {
    readonly type: "given up";
    readonly route: string;
    readonly deliveries: readonly QueuedDelivery[];
    readonly error: AgentError;
    readonly isRoute: boolean;
  }
  /** The application has done with a message. */
  | { readonly type: "acknowledged"; readonly id: number }
  /** The server refuses messages for the route's queue from now on. */
  | { readonly type: "suspended"; readonly route: string };

/** What is to be done at servers, or asked, when the changes are stored. */
export type Command =
  /** Ask the application whether to accept a confirmation; then `approved` happens. */
  | { readonly type: "approve"; readonly route: string; readonly received: Received<KeyMessage> }
  /** Give the sender's key to the server; then `secured` happens. `isRetry`: it may have it already. */
  | {
    readonly type: "secure";
    readonly route: string;
    readonly received: Received<KeyMessage>;
    readonly isRetry: boolean;
  }
  /** Make keys for the queue of a REPLY; then `joined` happens. */
  | { readonly type: "join"; readonly route: string; readonly received: Received<ReplyMessage> }
  /** Acknowledge a message to its server. */
  | { readonly type: "acknowledge"; readonly route: string; readonly serverId: string }
  /** Look at what a sending route has to deliver. */
  | { readonly type: "deliver"; readonly route: string };

/** What a step needs besides the connection and what happens to it. */
export interface StepContext {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** The extensions that this agent announces (extensions.md). */
  readonly announced: readonly string[];
}

/** What an event makes of a connection. */
export interface Step {
  /** The connection afterwards; what differs from before is stored. */
  readonly connection: Connection;
  /** What is stored beside that, in the same transaction. */
  readonly changes: readonly StoreChange[];
  /** What is done after that. */
  readonly commands: readonly Command[];
  /** What the application is told then; stored until it has taken them. */
  readonly events: readonly StoredEvent[];
}

/** A step that leaves out what it has nothing of. */
export function stepTo(connection: Connection, rest: Partial<Omit<Step, "connection">> = {}): Step {
  const { changes = [], commands = [], events = [] } = rest;
  return { connection, changes, commands, events };
}
