/** What an agent stores of sessions (sessions.md). Byte arrays are raw; private keys are PKCS#8 DER. */
import type {
  NumberSet,
  RatchetPair,
  RatchetState,
  ServerAddress,
  SessionTranscript,
} from "../../protocol/mod.ts";
import type { LastMessage } from "../protocol/integrity.ts";

/**
 * How far a session is. `greeting`: this side has announced it, the other one not yet. `agreed`: both have. `offered`: the
 * joiner has made its UPG and waits for the other one. `answered`: the initiator has made its UPG and waits for `ready`.
 * `active`: messages go through it. `closed`: the other side has deleted the connection.
 */
export type SessionStatus = "greeting" | "agreed" | "offered" | "answered" | "active" | "closed";

/** The session of a connection, from this side's announcement on. */
export interface Session {
  /** What is written seldom. */
  readonly keys: SessionKeys;
  /** How far it is. */
  readonly status: SessionStatus;
  /** `null` before both sides have sent UPG. */
  readonly ratchet: RatchetState | null;
  /** The last reliable number that was given to a frame. */
  readonly lastNumber: number;
  /** The number of the last frame that was encrypted. */
  readonly lastEncrypted: number;
  /** The number of the last frame that went by any route. */
  readonly lastTaken: number;
  /** The reliable numbers of this side's frames that the other side has stored. */
  readonly receipted: NumberSet;
  /** The user numbers of this side's messages that the other side's application has acknowledged. */
  readonly delivered: NumberSet;
  /** The reliable numbers of the other side's frames that are stored. */
  readonly stored: NumberSet;
  /** The user numbers of the other side's messages that the application has acknowledged. */
  readonly acknowledged: NumberSet;
  /** Whether the other side is to be told of changes of `stored` or `acknowledged`. */
  readonly receiptDue: boolean;
  /** How many messages the application has not acknowledged. */
  readonly waiting: number;
  /** Messages of the other side, one after the other, that cannot be decrypted. */
  readonly undecrypted: number;
  /** How many inbound routes there are to be; `null`: as many as the agent's others have. */
  readonly routes: number | null;
  /** Since when receipts tell nothing new of frames that were sent, or since these were sent again, milliseconds since 1970. */
  readonly quietSince?: number;
  /**
   * What had been sent when the agent was started, until the other side has answered a chain that was begun since: if the
   * database is a restored one, numbers after it may have been used before. Receipts of these are not believed.
   */
  readonly fork?: Fork | null;
  /** Whether the other side was found to be restored: nothing is decrypted until the session is repaired. */
  readonly parted?: boolean;
  /**
   * The number after which the other side misses a frame, though it has a later one or all was sent again, and since when it
   * has told so, milliseconds since 1970; 0: it has told nothing since.
   */
  readonly missed?: { readonly after: number; readonly since: number } | null;
  /** Whether a receipt has told of other frames than this side's: what it has sent is repaired. */
  readonly strayed?: boolean;
  /** The digest of the frames in `stored`, but for what there was when it was begun (`digest.ts`). */
  readonly storedDigest?: Uint8Array<ArrayBuffer>;
  /** What the other side has told of `receipted` as this side knows it; `null` or not there: nothing that could be compared. */
  readonly receiptedDigest?: Uint8Array<ArrayBuffer> | null;
  /** What the last messages of the other side's chain are known by (`chain_tags.ts`). */
  readonly tags?: Uint8Array<ArrayBuffer>;
  /**
   * The other side was restored, and what it sends after this reliable number may be what has come with other ones, as far
   * as that could be on its way; then `null`.
   */
  readonly copies?: number | null;
  /** The last user message that had come by then: what has come later is no copy's. */
  readonly lastCopied?: number;
  /** The time of the last message that this side has sent, milliseconds since 1970. */
  readonly sentAt?: number;
  /** When a server took the last message that was decrypted, milliseconds since 1970. */
  readonly heardAt?: number;
}

/** What had been sent when an agent was started: what is sent then may part from what it had sent before. */
export interface Start {
  /** The last reliable number. */
  readonly number: number;
  /** The last user message. */
  readonly lastSent: LastMessage;
  /** The X25519 key of this side's last pair, 32 bytes: an answer to a later one shows that nothing has parted here. */
  readonly ownKey?: Uint8Array<ArrayBuffer>;
}

/** The first start that may be one of a restored database. */
export interface Fork extends Start {
  /** A later one, with a later pair: an answer to that pair says nothing of it. */
  readonly later?: Start;
}

/** What of a session is written seldom. */
export interface SessionKeys {
  /** What was said before it, as far as that is known; empty when the other side's `ready` has come. */
  readonly transcript: Partial<SessionTranscript>;
  /** This side's first pair, until the session begins; the joiner's is made with its UPG. */
  readonly pair: RatchetPair | null;
  /** The initiator's: the secret that its UPG encapsulates, 32 bytes, until the session begins. */
  readonly secret: Uint8Array<ArrayBuffer> | null;
  /** 60 digits in twelve groups; `null` before the session begins. */
  readonly safetyCode: string | null;
  /** What a repair is authenticated with, 32 bytes; `null` before the session begins. */
  readonly repairKey: Uint8Array<ArrayBuffer> | null;
  /** Whether the user has compared the safety code. */
  readonly verified: boolean;
  /** When it became active, milliseconds since 1970; `null` before. */
  readonly since: number | null;
  /** The kinds of frames that the other side knows, by their numbers; `null` before its `ready`. */
  readonly kinds: readonly number[] | null;
  /** The time in this side's UPG, so that it can be said again as it was; milliseconds since 1970. */
  readonly upgradedAt?: number;
  /** The application was told that the upgrade is slow. */
  readonly isSlow?: boolean;
  /** Not there before the first repair. */
  readonly repair?: Repair;
  /** The streams that have not ended, oldest first; left out where there was none yet. */
  readonly streams?: readonly StreamRecord[];
}

/** A stream that has not ended (streams.md). */
export interface StreamRecord {
  /** 32 hexadecimal digits, the same on both sides. */
  readonly id: string;
  /** Whether this side sends or receives it. */
  readonly direction: "sending" | "receiving";
  /** Whether the receiver has accepted it. */
  readonly status: "offered" | "accepted";
  /** What keys of its runs are made of, 32 bytes. */
  readonly key: Uint8Array<ArrayBuffer>;
  /** As its sender names it. */
  readonly name: string;
  /** As its sender gives it. */
  readonly mediaType: string;
  /** Bytes of it; `null`: not known. */
  readonly size: number | null;
  /** Of all of it, 32 bytes; `null`: not known. */
  readonly sha256: Uint8Array<ArrayBuffer> | null;
  /** When this side has offered it, or got the offer, milliseconds since 1970. */
  readonly at: number;
  /** The file that this side sends; `null`: it sends something else, or receives. */
  readonly file: StreamFile | null;
  /** Where the first bytes are of a file that this side receives; not there before they come. */
  readonly part?: StreamPart;
}

/** A temporary file, which goes with its stream. */
export interface StreamPart {
  /** Absolute. */
  readonly path: string;
  /** What the system knows it by. */
  readonly file: string;
}

/** A file as it was when it was offered. */
export interface StreamFile {
  /** Absolute. */
  readonly path: string;
  /** Bytes of it. */
  readonly size: number;
  /** Milliseconds since 1970, with fractions. */
  readonly modifiedAt: number;
}

/** What is kept of repairs of a session (sessions.md Repair); times are milliseconds since 1970. */
export interface Repair {
  /** When the last one was done; `null`: none was. */
  readonly doneAt: number | null;
  /** The time in the last question that was asked or heard; 0 for none. */
  readonly asked: number;
  /** The time in the last call that was made or heard; 0 for none. */
  readonly called: number;
  /** How messages name the sessions that were before, the last ones, 8 bytes each. */
  readonly former: readonly Uint8Array<ArrayBuffer>[];
  /** The IDs of the last questions that this side has asked or answered, 16 bytes each. */
  readonly ids?: readonly Uint8Array<ArrayBuffer>[];
  /** How far one is; `null`: none is under way. */
  readonly stage: RepairStage | null;
}

/** How far a repair is. `since`: when it came there; `said`: the last packet of this side, as `sealRepair` gave it. */
export type RepairStage =
  /** Joiner: it wants to be asked. */
  | { readonly type: "called"; readonly since: number; readonly said: Uint8Array<ArrayBuffer> }
  /** Initiator: it waits for the offer. */
  | { readonly type: "asked"; readonly since: number; readonly said: Uint8Array<ArrayBuffer> }
  /** Joiner: it waits for the answer. */
  | {
    readonly type: "offered";
    readonly since: number;
    readonly said: Uint8Array<ArrayBuffer>;
    readonly ask: Uint8Array<ArrayBuffer>;
    readonly pair: RatchetPair;
    readonly plan: RepairPlan;
  }
  /** Initiator: it waits for the first message of the new session, and uses the old one. */
  | {
    readonly type: "answered";
    readonly since: number;
    readonly said: Uint8Array<ArrayBuffer>;
    readonly ask: Uint8Array<ArrayBuffer>;
    readonly offer: Uint8Array<ArrayBuffer>;
    /** The new session, as `encodeRatchetState` gives it. */
    readonly ratchet: Uint8Array<ArrayBuffer>;
    readonly safetyCode: string;
    readonly plan: RepairPlan;
  }
  /** Joiner: it has the new session; `answer`: what it has made it of. */
  | { readonly type: "begun"; readonly since: number; readonly answer: Uint8Array<ArrayBuffer> };

/** What becomes of the numbers of this side's frames. */
export interface RepairPlan {
  /** Frames up to this number are as they were. */
  readonly kept: number;
  /** What is new begins after this number. */
  readonly next: number;
  /** Whether the other side may have other messages than this one's under their numbers. */
  readonly isUnsure?: boolean;
  /** Frames after `kept` are given new numbers, user messages after this one; `null`: they are as they were. */
  readonly base: LastMessage | null;
}

/**
 * How far a queue for a session's packets is. `new`: the other side was told of it and has not answered. `active`: it is
 * used. `ending`: the other side was told that it ends.
 */
export type InboundStatus = "new" | "active" | "ending";

/**
 * Why a route is replaced. `first`: its keys were protected by 0.3's alone. `wish`: somebody wants it. `age`: it is old.
 * `server`: this agent leaves its server. `lost`: its server cannot be reached, or has forgotten it.
 */
export type LeavingReason = "first" | "wish" | "age" | "server" | "lost";

/** A way to this agent: a queue that it has made and secured. */
export interface InboundRoute {
  /** Never used again: base64 of 12 random bytes. */
  readonly id: string;
  /** What is written once. */
  readonly keys: InboundKeys;
  /** How far it is. */
  readonly status: InboundStatus;
  /** The ID of the inbound route that ends when the other side uses this one; `null`: none. */
  readonly replaces: string | null;
  /** Why another one is to take its place; `null`: it is to stay. */
  readonly leaving: LeavingReason | null;
  /** The reliable number of the frame that tells of its end; `null` before. */
  readonly endedBy: number | null;
  /** The server's ID of the last packet that was handled, base64; empty before the first. */
  readonly lastServerId: string;
  /** Whether the queue was suspended. */
  readonly suspended: boolean;
}

/** The queue of an inbound route and its keys. */
export interface InboundKeys {
  /** Where the queue is. */
  readonly server: ServerAddress;
  /** Base64. */
  readonly recipientId: string;
  /** Base64. */
  readonly senderId: string;
  /** Signs the recipient's commands. */
  readonly recipientKey: Uint8Array<ArrayBuffer>;
  /** What both sides call it, 8 bytes. */
  readonly routeId: Uint8Array<ArrayBuffer>;
  /** Decrypts packets, 32 bytes. */
  readonly routeKey: Uint8Array<ArrayBuffer>;
  /** Bytes of the blocks in which it is read. */
  readonly blockSize: number;
  /** When it was made, milliseconds since 1970. */
  readonly createdAt: number;
}

/** A way to the other agent. */
export interface OutboundRoute {
  /** Never used again: base64 of 12 random bytes. */
  readonly id: string;
  /** What is written once. */
  readonly keys: OutboundKeys;
  /** Whether something has gone by it. */
  readonly isProven: boolean;
  /** The ID of the outbound route that ends when something has; `null`: none. */
  readonly replaces: string | null;
  /** The reliable number of the last frame that went by it, in order: those after it have still to go. */
  readonly cursor: number;
}

/** The queue of an outbound route and its keys. */
export interface OutboundKeys {
  /** Where the queue is. */
  readonly server: ServerAddress;
  /** Base64. */
  readonly senderId: string;
  /** Signs SEND; the owner of the route has made it. */
  readonly senderKey: Uint8Array<ArrayBuffer>;
  /** What both sides call it, 8 bytes. */
  readonly routeId: Uint8Array<ArrayBuffer>;
  /** Encrypts packets, 32 bytes. */
  readonly routeKey: Uint8Array<ArrayBuffer>;
  /** Bytes of the blocks in which it is read. */
  readonly blockSize: number;
}

/** A frame that the other side has not receipted. */
export interface FrameRecord {
  /** The connection's ID. */
  readonly connection: string;
  /** Its reliable number: the order in which frames are sent. */
  readonly number: number;
  /** The number of a user message in its connection; 0 for others. */
  readonly messageId: number;
  /** The frame, not encrypted, so that it can be encrypted anew for another session. */
  readonly frame: Uint8Array<ArrayBuffer>;
  /** The ratchet's message that has it; empty while it waits to be encrypted. */
  readonly message: Uint8Array<ArrayBuffer>;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** A frame that came before others that are missing. */
export interface HeldFrame {
  /** The connection's ID. */
  readonly connection: string;
  /** Its reliable number. */
  readonly number: number;
  /** As it was decrypted. */
  readonly frame: Uint8Array<ArrayBuffer>;
  /** The server's ID of the packet that brought it, base64. */
  readonly serverId: string;
  /** When the server took that, milliseconds since 1970. */
  readonly serverAt: number;
}

/** A piece of a ratchet message of which others are missing. */
export interface PieceRecord {
  /** The connection's ID. */
  readonly connection: string;
  /** The ID of the inbound route that it came on. */
  readonly route: string;
  /** The tag that the pieces of the message have in common, base64. */
  readonly tag: string;
  /** Its index in the message, from 0. */
  readonly index: number;
  /** How many pieces the message has. */
  readonly count: number;
  /** Bytes of the whole message. */
  readonly total: number;
  /** When the first piece of the message came, milliseconds since 1970. */
  readonly since: number;
  /** The piece. */
  readonly piece: Uint8Array<ArrayBuffer>;
}

/** A message that was sent in a session and that the other side's application has not acknowledged. */
export interface UndeliveredMessage {
  /** Its number in the connection. */
  readonly id: number;
  /** The number of it among this side's user messages. */
  readonly number: number;
}

/** What tells the other side of a deleted connection by one of its routes that it is deleted. */
export interface Farewell extends OutboundKeys {
  /** Never used again: the ID of the route. */
  readonly id: string;
  /** The message of the ratchet, which nothing of the connection is left to make again. */
  readonly message: Uint8Array<ArrayBuffer>;
  /** When it is no longer tried, milliseconds since 1970. */
  readonly giveUpAt: number;
}
