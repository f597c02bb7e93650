/** What a backup has of sessions: types and sizes are checked, and that sets of numbers are in order. */
import {
  decodeBase64,
  digestLength,
  headerLength,
  largestBody,
  largestMessage,
  longestStreamName,
  longestStreamType,
  mostKnownChains,
  mostRanges,
  mostSkipped,
  type NumberSet,
  type OtherTurn,
  type OwnTurn,
  pieceTagLength,
  publicPairLength,
  type RatchetPair,
  ratchetPairLength,
  type RatchetState,
  type ReceivingChain,
  repairIdLength,
  routeIdLength,
  type SendingChain,
  type SessionTranscript,
  type SkippedKey,
  streamIdLength,
} from "../../protocol/mod.ts";
import type { LastMessage } from "../protocol/integrity.ts";
import { base64, count, flag, key, localId, server } from "./parse_parts.ts";
import type {
  Fork,
  FrameRecord,
  HeldFrame,
  InboundKeys,
  InboundRoute,
  OutboundKeys,
  OutboundRoute,
  PieceRecord,
  Repair,
  RepairPlan,
  RepairStage,
  Session,
  SessionKeys,
  Start,
  StreamFile,
  StreamPart,
  StreamRecord,
} from "./session_records.ts";
import {
  bytes,
  integer,
  list,
  nullable,
  object,
  oneOf,
  optional,
  pairOf,
  type Parse,
  text,
  union,
} from "./shapes.ts";

/** A frame of ours has little beside a body, and a route record at most. */
const largestFrame = largestBody + 4096;
const largestBlock = 65_536;
const mostPieces = 65_535;
/** More sessions than are remembered. */
const mostFormer = 16;
/** More than are remembered by their IDs. */
const mostRepairs = 64;
/** More than is kept of the tags of messages. */
const mostTagBytes = 1024;

const encapsulationKeyLength = publicPairLength - 32;
const decapsulationKeyLength = ratchetPairLength - 64;
const ciphertextLength = headerLength - 65 - encapsulationKeyLength;

const secret = bytes(32, 32);
const u32 = integer(0, 2 ** 32 - 1);
const routeId = bytes(routeIdLength, routeIdLength);
const blockSize = integer(1, largestBlock);
/** Keys and queues as text are a few hundred characters. */
const said = text(16_384, /^[ -~\r\n]*$/);

const publicPair = { dh: secret, kem: bytes(encapsulationKeyLength, encapsulationKeyLength) };

const pair = object<RatchetPair>({
  ...publicPair,
  dhPrivate: secret,
  kemPrivate: bytes(decapsulationKeyLength, decapsulationKeyLength),
});

const ownTurn = object<OwnTurn>({ side: oneOf("own"), remote: object(publicPair) });

const otherTurn = object<OtherTurn>({
  side: oneOf("other"),
  pair,
  sending: nullable(object<SendingChain>({
    chainKey: secret,
    number: u32,
    ciphertext: bytes(ciphertextLength, ciphertextLength),
  })),
});

const turn: Parse<OwnTurn | OtherTurn> = (value, place) => {
  const isOwn = typeof value === "object" && value !== null && "side" in value && value.side === "own";
  return isOwn ? ownTurn(value, place) : otherTurn(value, place);
};

const ratchet = object<RatchetState>({
  transcript: secret,
  rootKey: secret,
  ownKey: secret,
  turn,
  previous: u32,
  receiving: nullable(object<ReceivingChain>({ dh: secret, chainKey: secret, number: u32 })),
  known: list(mostKnownChains, secret),
  skipped: list(mostSkipped, object<SkippedKey>({ dh: secret, number: u32, key: secret, at: count })),
});

/** More than any set has of numbers that are not told as they are. */
const mostScattered = 4_096;

const numberSet = (most: number): Parse<NumberSet> => {
  const ordered = object<NumberSet>({ upTo: count, ranges: list(most, pairOf(count)) });
  return (value, place) => {
    const found = ordered(value, place);
    let end = found.upTo;
    for (const [from, to] of found.ranges) {
      if (from <= end + 1 || to < from) throw new TypeError(`${place}.ranges are not in order`);
      end = to;
    }
    return found;
  };
};

const upgrade = optional(bytes(1, 65_535));

/** More than a connection has in both directions. */
const mostStreams = 256;

const streams = list(
  mostStreams,
  object<StreamRecord>({
    id: text(2 * streamIdLength, new RegExp(`^[0-9a-f]{${2 * streamIdLength}}$`)),
    direction: oneOf("sending", "receiving"),
    status: oneOf("offered", "accepted"),
    key: secret,
    name: text(longestStreamName, /^/),
    mediaType: text(longestStreamType, /^[ -~]*$/),
    size: nullable(count),
    sha256: nullable(secret),
    at: count,
    file: nullable(object<StreamFile>({
      path: text(65_536, /^/),
      size: count,
      modifiedAt: (value, place) => {
        if (typeof value === "number" && Number.isFinite(value)) return value;
        throw new TypeError(`${place} is not a number`);
      },
    })),
    part: optional(object<StreamPart>({ path: text(65_536, /^/), file: text(64, /^\d+:\d+$/) })),
  }),
);

/** Streams do not go on from a backup, which may be old, or of somebody who wants to have a file sent. */
const noStreams: Parse<undefined> = (value, place) => {
  if (value !== undefined) streams(value, place);
  return undefined;
};
const lastMessage = object<LastMessage>({ id: count, hash: bytes(0, 32) });
const plan = object<RepairPlan>({
  kept: count,
  next: count,
  base: nullable(lastMessage),
  isUnsure: optional(flag),
});
/** A packet has some thousand bytes. */
const packet = bytes(1, 4096);

type Stage<Type extends RepairStage["type"]> = Extract<RepairStage, { readonly type: Type }>;

const stage = union<RepairStage>({
  called: object<Stage<"called">>({ type: oneOf("called"), since: count, said: packet }),
  asked: object<Stage<"asked">>({ type: oneOf("asked"), since: count, said: packet }),
  offered: object<Stage<"offered">>({
    type: oneOf("offered"),
    since: count,
    said: packet,
    ask: packet,
    pair,
    plan,
  }),
  answered: object<Stage<"answered">>({
    type: oneOf("answered"),
    since: count,
    said: packet,
    ask: packet,
    offer: packet,
    ratchet: bytes(1, 8192),
    safetyCode: text(71, /^\d{5}( \d{5}){11}$/),
    plan,
  }),
  begun: object<Stage<"begun">>({ type: oneOf("begun"), since: count, answer: packet }),
});

const repair = object<Repair>({
  doneAt: nullable(count),
  asked: count,
  called: count,
  former: list(mostFormer, bytes(8, 8)),
  ids: optional(list(mostRepairs, bytes(repairIdLength, repairIdLength))),
  stage: nullable(stage),
});

const keys = object<SessionKeys>({
  transcript: object<Partial<SessionTranscript>>({
    invitation: optional(said),
    acceptedKey: optional(said),
    joinerHelloKey: optional(said),
    joinerHelloExtensions: optional(said),
    replyQueue: optional(said),
    replyExtensions: optional(said),
    initiatorKey: optional(said),
    initiatorHelloKey: optional(said),
    initiatorHelloExtensions: optional(said),
    joinerUpgrade: upgrade,
    initiatorUpgrade: upgrade,
  }),
  pair: nullable(pair),
  secret: nullable(secret),
  safetyCode: nullable(text(71, /^\d{5}( \d{5}){11}$/)),
  repairKey: nullable(secret),
  verified: flag,
  since: nullable(count),
  kinds: nullable(list(256, integer(0, 255))),
  streams: noStreams,
  upgradedAt: optional(count),
  isSlow: optional(flag),
  repair: optional(repair),
});

const digest = bytes(digestLength, digestLength);
const start = { number: count, lastSent: lastMessage, ownKey: optional(secret) };
const fork = object<Fork>({ ...start, later: optional(object<Start>(start)) });

/** A session. */
export const session: Parse<Session> = object<Session>({
  keys,
  status: oneOf("greeting", "agreed", "offered", "answered", "active", "closed"),
  ratchet: nullable(ratchet),
  lastNumber: count,
  lastEncrypted: count,
  lastTaken: count,
  receipted: numberSet(mostScattered),
  delivered: numberSet(mostScattered),
  stored: numberSet(3 * mostRanges),
  acknowledged: numberSet(mostScattered),
  receiptDue: flag,
  waiting: count,
  undecrypted: count,
  routes: nullable(integer(1, 4)),
  quietSince: optional(count),
  copies: optional(nullable(count)),
  lastCopied: optional(count),
  heardAt: optional(count),
  sentAt: optional(count),
  fork: optional(nullable(fork)),
  parted: optional(flag),
  strayed: optional(flag),
  missed: optional(nullable(object<NonNullable<Session["missed"]>>({ after: count, since: count }))),
  storedDigest: optional(digest),
  receiptedDigest: optional(nullable(digest)),
  tags: optional(bytes(0, mostTagBytes)),
});

/** A route of a session to receive from. */
export const inbound: Parse<InboundRoute> = object<InboundRoute>({
  id: localId,
  keys: object<InboundKeys>({
    server,
    recipientId: base64,
    senderId: base64,
    recipientKey: key,
    routeId,
    routeKey: secret,
    blockSize,
    createdAt: count,
  }),
  status: oneOf("new", "active", "ending"),
  replaces: nullable(localId),
  leaving: nullable(oneOf("first", "wish", "age", "server", "lost")),
  endedBy: nullable(count),
  lastServerId: base64,
  suspended: flag,
});

/** What is needed to send on a route. */
export const outboundKeys = {
  server,
  senderId: base64,
  senderKey: key,
  routeId,
  routeKey: secret,
  blockSize,
};

/** A route of a session to send on. */
export const outbound: Parse<OutboundRoute> = object<OutboundRoute>({
  id: localId,
  keys: object<OutboundKeys>(outboundKeys),
  isProven: flag,
  replaces: nullable(localId),
  cursor: count,
});

/** A frame that has no receipt. */
export const frame: Parse<FrameRecord> = object<FrameRecord>({
  connection: localId,
  number: count,
  messageId: count,
  frame: bytes(0, largestFrame),
  message: bytes(0, largestMessage),
  createdAt: count,
});

/** A frame that came before others: of a kind to come it can have all of a message. */
export const held: Parse<HeldFrame> = object<HeldFrame>({
  connection: localId,
  number: count,
  frame: bytes(0, largestMessage),
  serverId: base64,
  serverAt: count,
});

const anyPiece = object<PieceRecord>({
  connection: localId,
  route: localId,
  tag: (value, place) => {
    const found = base64(value, place);
    if (decodeBase64(found)?.length !== pieceTagLength) {
      throw new TypeError(`${place} is not of ${pieceTagLength} bytes`);
    }
    return found;
  },
  index: integer(0, mostPieces - 1),
  count: integer(1, mostPieces),
  total: integer(1, largestMessage),
  since: count,
  piece: bytes(1, largestBlock),
});

/** A piece of a message. */
export const piece: Parse<PieceRecord> = (value, place) => {
  const found = anyPiece(value, place);
  if (found.index >= found.count) throw new TypeError(`${place}.index is not less than ${place}.count`);
  return found;
};
