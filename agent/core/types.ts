import type {
  FrameContent,
  RatchetPair,
  RatchetState,
  RouteRecord,
  StreamContent,
} from "../../protocol/mod.ts";
import type { KeyMessage } from "../kinds/key.ts";
import type { AgentMessage } from "../kinds/mod.ts";
import type { ReplyMessage } from "../kinds/reply.ts";
import type { UpgradeMessage } from "../kinds/upg.ts";
import type { AgentError } from "../protocol/error.ts";
import type { LastMessage } from "../protocol/integrity.ts";
import type { OpenedPackets } from "../session/arrival.ts";
import type {
  Connection,
  Delivery,
  DiscardedQueue,
  Fork,
  FrameRecord,
  InboundRoute,
  LeavingReason,
  MessageRecord,
  OutboundRoute,
  QueuedDelivery,
  ReceivingRoute,
  Repair,
  RepairStage,
  SendingRoute,
  Session,
  StoreChange,
  StoredEvent,
  StreamRecord,
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
  /** Deliveries of a route are given up; `isRoute`: nothing else can be sent on it either, nor frames that wait for it. */
  | {
    readonly type: "given up";
    readonly route: string;
    readonly deliveries: readonly QueuedDelivery[];
    readonly frames: readonly FrameRecord[];
    readonly error: AgentError;
    readonly isRoute: boolean;
  }
  /** The application has done with a message, which the sender has given a number. */
  | { readonly type: "acknowledged"; readonly id: number; readonly number: number }
  /** The server refuses messages for the route's queue from now on. */
  | { readonly type: "suspended"; readonly route: string }
  | SessionEvent;

/** What happens to a session. */
export type SessionEvent =
  /** The other agent has no sessions: messages that wait are to go as 0.3's. */
  | { readonly type: "fell back"; readonly messages: readonly FormerFrame[] }
  /** The joiner has made what its UPG tells. */
  | {
    readonly type: "offered";
    readonly pair: RatchetPair;
    readonly inbound: InboundRoute;
    readonly upgrade: Uint8Array<ArrayBuffer>;
  }
  /** The initiator has made a session of the joiner's UPG; an error: it cannot be used. */
  | {
    readonly type: "answered";
    readonly route: string;
    readonly received: Received<UpgradeMessage>;
    readonly begun:
      | BegunSession & { readonly inbound: InboundRoute; readonly upgrade: Uint8Array<ArrayBuffer> }
      | AgentError;
  }
  /** The joiner has made a session of the initiator's UPG; an error: it cannot be used. */
  | {
    readonly type: "begun";
    readonly route: string;
    readonly received: Received<UpgradeMessage>;
    readonly begun: BegunSession | AgentError;
  }
  /** The other side has not answered UPG, or asks for it again; `isOnWay`: this side's has not come to its server yet. */
  | { readonly type: "unanswered"; readonly isLate: boolean; readonly isOnWay: boolean }
  /** The application sends a body; `hash`: of the message with the next number that has it and `time`. */
  | {
    readonly type: "send frame";
    readonly body: Uint8Array<ArrayBuffer>;
    readonly time: number;
    readonly hash: Uint8Array<ArrayBuffer>;
  }
  /** Frames that waited are encrypted. */
  | {
    readonly type: "encrypted";
    readonly ratchet: RatchetState;
    readonly frames: readonly FrameRecord[];
  }
  /** The server of an outbound route that was added cannot be reached, while another one can. */
  | { readonly type: "refuse route"; readonly route: string }
  /** Receipts have told nothing new for long. */
  | { readonly type: "repeat all" }
  /** All connections together hold too much of unfinished messages: this one gives up one of its own. */
  | { readonly type: "drop pieces"; readonly route: string; readonly tag: Uint8Array<ArrayBuffer> }
  /** Servers have delivered packets on an inbound route. */
  | { readonly type: "packets"; readonly route: string; readonly opened: OpenedPackets }
  /** All frames up to `cursor` went by an outbound route; `frames`: those that did so now. */
  | {
    readonly type: "frames sent";
    readonly route: string;
    readonly cursor: number;
    readonly frames: readonly Pick<FrameRecord, "number" | "messageId">[];
    /** The safety code of the session that they were encrypted in. */
    readonly session?: string | null;
  }
  /** A receipt was encrypted by itself. */
  | { readonly type: "receipt encrypted"; readonly ratchet: RatchetState }
  /** It went by a route: it told what was stored and acknowledged then. */
  | {
    readonly type: "receipt sent";
    readonly route: string;
    readonly told: Pick<Session, "stored" | "acknowledged">;
  }
  /** Inbound routes are to be replaced. */
  | { readonly type: "leave routes"; readonly routes: readonly string[]; readonly reason: LeavingReason }
  /** A queue is made for another inbound route, of which the other side is to be told. */
  | {
    readonly type: "inbound made";
    readonly inbound: InboundRoute;
    readonly record: RouteRecord;
  }
  /** There are more inbound routes than there are to be. */
  | { readonly type: "end route"; readonly route: string }
  /** How many inbound routes there are to be. */
  | { readonly type: "routes wanted"; readonly routes: number | null }
  /** The other side has deleted the connection: these frames do not go any more. */
  | { readonly type: "gave up frames"; readonly frames: readonly FrameRecord[] }
  /** What is known of streams changes, and the other side is told. */
  | {
    readonly type: "streams";
    readonly streams: readonly StreamRecord[];
    readonly contents: readonly StreamContent[];
  }
  /** This side has something to say to repair its session. */
  | { readonly type: "repair said"; readonly repair: Pick<Repair, "stage" | "asked" | "called" | "ids"> }
  /** The other side has not seen what shows that this one has the new session. */
  | { readonly type: "receipt wanted" }
  /** A packet that is to repair a session is not authentic, or nobody can have said it. */
  | { readonly type: "repair refused" }
  /** A new session takes the place of the old one. */
  | {
    readonly type: "repaired";
    readonly begun: Pick<BegunSession, "ratchet" | "safetyCode">;
    readonly numbers: RepairedNumbers;
    /** Frames that the other side has. */
    readonly taken: readonly Pick<FrameRecord, "number" | "messageId">[];
    readonly renumbered: readonly RenumberedFrame[];
    /** Frames that were held and whose turn it is. */
    readonly opened: Pick<OpenedPackets, "frames" | "changes">;
    readonly stage: RepairStage | null;
    /** After which number the other side sends what may have come with another one: see {@linkcode Session.copies}. */
    readonly copies: number;
  }
  /** The user has compared the safety code, this one if it is said, or takes that back. */
  | { readonly type: "verified"; readonly compared: boolean | string };

/** A session that begins, and the first way to the other agent. */
export interface BegunSession {
  readonly ratchet: RatchetState;
  readonly safetyCode: string;
  readonly repairKey: Uint8Array<ArrayBuffer>;
  readonly outbound: OutboundRoute;
}

/** What numbers there are after a repair. */
export interface RepairedNumbers extends Pick<Session, "receipted" | "stored" | "lastNumber" | "delivered"> {
  /** See {@linkcode Session.receiptedDigest}. */
  readonly receiptedDigest: Uint8Array<ArrayBuffer> | null;
  readonly lastSent: LastMessage;
  /** What is in doubt then: see {@linkcode Session.fork}. */
  readonly fork: Fork | null;
}

/** A frame that is given another number: `from` is the one that it had. */
export interface RenumberedFrame {
  readonly from: number;
  readonly frame: FrameRecord;
  /** The user message of it, with the other user number; `null` for others. */
  readonly message: MessageRecord | null;
}

/** A frame that waited for a session, as a message of 0.3. */
export interface FormerFrame {
  /** Its reliable number. */
  readonly number: number;
  readonly messageId: number;
  readonly plaintext: Uint8Array<ArrayBuffer>;
  readonly hash: Uint8Array<ArrayBuffer>;
}

/** A frame that is to be sent. */
export interface FrameDraft {
  readonly content: FrameContent;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** The number of a user message in its connection; 0 for others. */
  readonly messageId: number;
}

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
  | { readonly type: "deliver"; readonly route: string }
  /** Make what the joiner's UPG tells; then `offered` happens. */
  | { readonly type: "offer" }
  /** Make a session of the joiner's UPG; then `answered` happens. */
  | { readonly type: "answer"; readonly route: string; readonly received: Received<UpgradeMessage> }
  /** Make a session of the initiator's UPG; then `begun` happens. */
  | { readonly type: "begin"; readonly route: string; readonly received: Received<UpgradeMessage> }
  /** Begin to repair the session, if that may be; then `repair said` happens. */
  | { readonly type: "repair" }
  /** Hear what the other side says to repair it. */
  | { readonly type: "hear repair"; readonly content: Uint8Array<ArrayBuffer> }
  /** Say what this side has to say to repair it, by all routes. */
  | { readonly type: "say repair" }
  /** Say UPG again; then `unanswered` happens. */
  | { readonly type: "say again" }
  /** Make 0.3 messages of the frames that wait; then `fell back` happens. */
  | { readonly type: "fall back" }
  /** Encrypt frames that wait, as many as may be; then `encrypted` happens. */
  | { readonly type: "encrypt" }
  /** Look at what an outbound route has to send. */
  | { readonly type: "send packets"; readonly route: string }
  /** Give up the frames that wait; then `gave up frames` happens. */
  | { readonly type: "give up frames" }
  /** Make or end inbound routes. */
  | { readonly type: "look at routes" }
  /** Send the frames again that are not receipted and lie before one that is. */
  | { readonly type: "repeat"; readonly route: string }
  /** Tell the other side what is stored and acknowledged. */
  | { readonly type: "tell receipt" }
  /** Do what a frame of a stream says. */
  | { readonly type: "stream"; readonly content: StreamContent }
  /** Take what was left at a server because too much waited. */
  | { readonly type: "resume"; readonly route: string }
  /** Stop working on routes that are not there any more, and have queues deleted that are stored as discarded. */
  | {
    readonly type: "drop";
    readonly routes: readonly string[];
    readonly discarded: readonly DiscardedQueue[];
  };

/** What a step needs besides the connection and what happens to it. */
export interface StepContext {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** The extensions that this agent announces (extensions.md). */
  readonly announced: readonly string[];
  /** Until when a queue is tried to be deleted that is discarded now, milliseconds since 1970. */
  readonly discardUntil: number;
}

/** What an event makes of a connection. */
export interface Step {
  /** The connection afterwards; what differs from before is stored. */
  readonly connection: Connection;
  /** What is sent in its session: encrypted and stored in the same transaction. */
  readonly frames: readonly FrameDraft[];
  /** What is stored beside that, in the same transaction. */
  readonly changes: readonly StoreChange[];
  /** What is done after that. */
  readonly commands: readonly Command[];
  /** What the application is told then; stored until it has taken them. */
  readonly events: readonly StoredEvent[];
}

/** A step that leaves out what it has nothing of. */
export function stepTo(connection: Connection, rest: Partial<Omit<Step, "connection">> = {}): Step {
  const { frames = [], changes = [], commands = [], events = [] } = rest;
  return { connection, frames, changes, commands, events };
}
