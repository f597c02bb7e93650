import type {
  Connection,
  Delivery,
  DiscardedQueue,
  EventRecord,
  Farewell,
  FrameRecord,
  HeldFrame,
  InboundRoute,
  MessageRecord,
  OutboundRoute,
  OutboxEntry,
  PieceRecord,
  QueuedDelivery,
  ReceivingRoute,
  RepairStage,
  SendingRoute,
  Session,
  StoreChange,
} from "../../../agent/store/store.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

/** A connection with everything in it, none of it empty; its routes are called `<id>-in` and `<id>-out`. */
export function fullConnection(id: string, createdAt = 1000): Connection {
  return {
    record: {
      id,
      alias: `alias of ${id}`,
      createdAt,
      role: "joiner",
      reply: true,
      connected: true,
      lastMessageId: 12,
      lastSent: { id: 13, hash: bytes(14) },
      lastReceived: { id: 15, hash: bytes(16) },
      lastPosition: 23,
      extensions: ["one", "two"],
      unreadable: 18,
    },
    receiving: [receivingRoute(`${id}-in`)],
    sending: [sendingRoute(`${id}-out`)],
    session: null,
    inbound: [],
    outbound: [],
  };
}

/** A connection that was just made. */
export function emptyConnection(id: string, createdAt = 2000): Connection {
  const none = { id: 0, hash: bytes() };
  return {
    record: {
      ...fullConnection(id, createdAt).record,
      role: "initiator",
      connected: false,
      lastMessageId: 0,
      lastSent: none,
      lastReceived: none,
      lastPosition: 0,
      extensions: null,
      unreadable: 0,
    },
    receiving: [],
    sending: [],
    session: null,
    inbound: [],
    outbound: [],
  };
}

/** A connection with a session with everything in it; its routes are called `<id>-inbound` and `<id>-outbound`. */
export function sessionConnection(id: string, createdAt = 3000): Connection {
  return {
    ...emptyConnection(id, createdAt),
    session: fullSession(),
    inbound: [inboundRoute(`${id}-inbound`)],
    outbound: [outboundRoute(`${id}-outbound`)],
  };
}

const filled = (length: number, value: number) => new Uint8Array(length).fill(value);

/** How far a repair can be. */
export function repairStages(): RepairStage[] {
  const said = { since: 6800, said: filled(61, 21) };
  const plan = { kept: 29, next: 1029, base: { id: 5, hash: filled(32, 22) } };
  const pair = {
    dh: filled(32, 1),
    kem: filled(1184, 2),
    dhPrivate: filled(32, 3),
    kemPrivate: filled(2400, 4),
  };
  const safetyCode = Array.from({ length: 12 }, (_, i) => String(20_000 + i)).join(" ");
  return [
    { type: "called", ...said },
    { type: "asked", ...said },
    { type: "offered", ...said, ask: filled(169, 23), pair, plan },
    {
      type: "answered",
      ...said,
      ask: filled(169, 23),
      offer: filled(1461, 24),
      ratchet: filled(2700, 25),
      safetyCode,
      plan: { ...plan, base: null },
    },
    { type: "begun", since: 6900, answer: filled(2435, 26) },
  ];
}

/** A session with something in everything that can be there. */
export function fullSession(): Session {
  return {
    keys: {
      transcript: { invitation: "smp::one.example::AAAA::key", joinerUpgrade: bytes(21, 22) },
      pair: {
        dh: filled(32, 1),
        kem: filled(1184, 2),
        dhPrivate: filled(32, 3),
        kemPrivate: filled(2400, 4),
      },
      secret: filled(32, 5),
      safetyCode: Array.from({ length: 12 }, (_, i) => String(10_000 + i)).join(" "),
      repairKey: filled(32, 6),
      verified: true,
      since: 7000,
      kinds: [1, 2, 255],
    },
    status: "active",
    ratchet: {
      transcript: filled(32, 7),
      rootKey: filled(32, 8),
      ownKey: filled(32, 9),
      turn: { side: "own", remote: { dh: filled(32, 10), kem: filled(1184, 0) } },
      previous: 11,
      receiving: { dh: filled(32, 12), chainKey: filled(32, 13), number: 14 },
      known: [filled(32, 15), filled(32, 16)],
      skipped: [{ dh: filled(32, 12), number: 3, key: filled(32, 17), at: 6000 }],
    },
    lastNumber: 31,
    lastEncrypted: 30,
    lastTaken: 30,
    receipted: { upTo: 20, ranges: [[22, 25], [27, 27]] },
    delivered: { upTo: 5, ranges: [] },
    stored: { upTo: 0, ranges: [[2, 3]] },
    acknowledged: { upTo: 1, ranges: [] },
    receiptDue: false,
    waiting: 2,
    undecrypted: 1,
    routes: 3,
    quietSince: 7000,
  };
}

/** A session that has only been announced. */
export function newSession(): Session {
  const none = { upTo: 0, ranges: [] };
  return {
    keys: {
      transcript: {},
      pair: null,
      secret: null,
      safetyCode: null,
      repairKey: null,
      verified: false,
      since: null,
      kinds: null,
    },
    status: "greeting",
    ratchet: null,
    lastNumber: 0,
    lastEncrypted: 0,
    lastTaken: 0,
    receipted: none,
    delivered: none,
    stored: none,
    acknowledged: none,
    receiptDue: false,
    waiting: 0,
    undecrypted: 0,
    routes: null,
  };
}

/** A route of a session to receive from. */
export function inboundRoute(id: string): InboundRoute {
  return {
    id,
    keys: {
      server: { host: "three.example" },
      recipientId: "cmlkMw==",
      senderId: "c2lkMw==",
      recipientKey: bytes(31, 32),
      routeId: filled(8, 33),
      routeKey: filled(32, 34),
      blockSize: 4096,
      createdAt: 35,
    },
    status: "ending",
    replaces: "aW5ib3VuZA==",
    leaving: "age",
    endedBy: 36,
    lastServerId: "bGFzdDM=",
    suspended: true,
  };
}

/** A route of a session to send on. */
export function outboundRoute(id: string): OutboundRoute {
  return {
    id,
    keys: {
      server: { host: "four.example", port: 443 },
      senderId: "c2lkNA==",
      senderKey: bytes(41),
      routeId: filled(8, 42),
      routeKey: filled(32, 43),
      blockSize: 16_384,
    },
    isProven: true,
    replaces: null,
    cursor: 44,
  };
}

/** A frame; odd ones wait to be encrypted. */
export function frameRecord(connection: string, number: number): FrameRecord {
  const message = number % 2 === 0 ? bytes(number, 51, 52) : bytes();
  return { connection, number, messageId: number, frame: bytes(number, 50), message, createdAt: 53 };
}

/** A frame that came before others. */
export function heldFrame(connection: string, number: number): HeldFrame {
  return { connection, number, frame: bytes(number, 54), serverId: "aGVsZA==", serverAt: 55 };
}

/** The tag of a sample piece's message. */
export const sampleTag = "dGFnIG9mIDE2IGJ5dGVzIQ==";

/** A piece that came on the route of a sample connection, or on another one. */
export function pieceRecord(
  connection: string,
  index: number,
  { route = `${connection}-inbound`, tag = sampleTag, since = 61 }: Partial<PieceRecord> = {},
): PieceRecord {
  return { connection, route, tag, index, count: 9, total: 62, since, piece: bytes(index, 63) };
}

/** A route to receive from, with everything in it. */
export function receivingRoute(id: string): ReceivingRoute {
  return {
    id,
    keys: {
      server: { host: "one.example", port: 5223, keyHash: `${"a".repeat(42)}g=` },
      recipientId: "cmlk",
      senderId: "c2lk",
      recipientKey: bytes(1, 2, 3),
      decryptionKey: bytes(4, 5),
      senderKey: bytes(6),
      verificationKey: null,
    },
    status: "secured",
    lastServerId: "bGFzdA==",
    lastHash: bytes(17),
    unacknowledged: [{ id: 3, serverId: "dGhyZWU=" }, { id: 5, serverId: "Zml2ZQ==" }],
    suspended: true,
  };
}

/** A route to send on. */
export function sendingRoute(id: string): SendingRoute {
  return {
    id,
    keys: {
      server: { host: "two.example" },
      senderId: "c2lkMg==",
      senderKey: bytes(8),
      signingKey: bytes(9, 10),
      encryptionKey: bytes(11),
    },
    status: "active",
  };
}

/** An entry of an outbox. */
export function outboxEntry(connection: string, position: number): OutboxEntry {
  const kind = position < 10 ? "KEY" : "MSG";
  return { connection, position, kind, messageId: position, plaintext: bytes(position, 1), createdAt: 5 };
}

/** The delivery of an entry on a route, by default on the only one. */
export function delivery(connection: string, position: number, route = `${connection}-out`): Delivery {
  return { connection, route, position, attempted: false, giveUpAt: position % 2 === 0 ? null : 99 };
}

/** A delivery with its entry. */
export function queued(connection: string, position: number, route?: string): QueuedDelivery {
  return { ...outboxEntry(connection, position), ...delivery(connection, position, route) };
}

/** A message; odd ones were received. */
export function messageRecord(connection: string, id: number, at = id): MessageRecord {
  return {
    connection,
    id,
    body: bytes(id, 2),
    at,
    done: false,
    received: id % 2 === 0 ? null : {
      integrity: { type: "NO_ID", from: 1, to: 2 },
      serverId: "c2Vy",
      serverAt: 6,
      senderId: 7,
      senderAt: 8,
    },
    number: null,
    delivered: false,
  };
}

/** A message that was sent in a session. */
export function sessionMessage(connection: string, id: number, number: number): MessageRecord {
  return { ...messageRecord(connection, id), received: null, number };
}

/** An event of each kind, by number. */
export function eventRecord(connection: string, id: number): EventRecord {
  const kinds: readonly EventRecord["event"][] = [
    { type: "connected" },
    { type: "message", id },
    { type: "sent", id },
    { type: "error", code: "SMP AUTH", message: "it failed", id },
    { type: "security", reason: "second confirmation" },
  ];
  return { id, connection, event: kinds[id % kinds.length]! };
}

/** A queue that is to be deleted. */
export function discardedQueue(id: string): DiscardedQueue {
  const { server, recipientId, senderId, recipientKey } = receivingRoute(id).keys;
  return { id, server, recipientId, senderId, recipientKey, giveUpAt: 42 };
}

/** What is to be said to the other side of a deleted connection. */
export function farewell(id: string): Farewell {
  return { id, ...outboundRoute(id).keys, message: new Uint8Array(40).fill(9), giveUpAt: 43 };
}

/** The changes that put a connection with its routes and its session. */
export function put(
  { record, receiving, sending, session, inbound, outbound }: Connection,
): StoreChange[] {
  const connection = record.id;
  const sessions = session === null ? [] : [session];
  return [
    { type: "put connection", record },
    ...receiving.map((route) => ({ type: "put receiving", connection, route, withKeys: true } as const)),
    ...sending.map((route) => ({ type: "put sending", connection, route, withKeys: true } as const)),
    ...sessions.map((session) => ({ type: "put session", connection, session, withKeys: true } as const)),
    ...inbound.map((route) => ({ type: "put inbound", connection, route, withKeys: true } as const)),
    ...outbound.map((route) => ({ type: "put outbound", connection, route, withKeys: true } as const)),
  ];
}

/** The changes that put an entry with its delivery. */
export function putQueued(connection: string, position: number, route?: string): StoreChange[] {
  return [
    { type: "put outbox", entry: outboxEntry(connection, position) },
    { type: "put delivery", delivery: delivery(connection, position, route) },
  ];
}

/** The change that puts a message. */
export function putMessage(connection: string, id: number): StoreChange {
  return { type: "put message", message: messageRecord(connection, id) };
}

/** Two frames of each kind and pieces of two messages, and messages of a session: one delivered, one not. */
export function sessionBelongings(connection: string): StoreChange[] {
  const delivered = { ...sessionMessage(connection, 2, 1), done: true, delivered: true };
  return [
    ...[1, 2].map((number) => ({ type: "put frame", frame: frameRecord(connection, number) } as const)),
    ...[4, 5].map((number) => ({ type: "put held", held: heldFrame(connection, number) } as const)),
    { type: "put piece", piece: pieceRecord(connection, 0) },
    { type: "put piece", piece: pieceRecord(connection, 2) },
    { type: "put piece", piece: pieceRecord(connection, 0, { tag: "AAAAAAAAAAAAAAAAAAAAAA==", since: 70 }) },
    { type: "put message", message: delivered },
    { type: "put message", message: sessionMessage(connection, 4, 2) },
  ];
}

/** Some of everything; the connection `s` has a session. */
export function everything(): StoreChange[] {
  return [
    ...withoutSessions(),
    ...put(sessionConnection("s")),
    ...sessionBelongings("s"),
    { type: "put event", event: { id: 6, connection: "s", event: { type: "delivered", id: 2 } } },
  ];
}

/** Some of everything that there was before there were sessions. */
export function withoutSessions(): StoreChange[] {
  return [
    ...put(fullConnection("a")),
    ...put(emptyConnection("b")),
    ...putQueued("a", 1),
    ...putQueued("a", 11),
    putMessage("a", 1),
    putMessage("a", 2),
    ...[1, 2, 3, 4, 5].map((id) => ({ type: "put event", event: eventRecord("a", id) } as const)),
    { type: "put discarded", queue: discardedQueue("old") },
  ];
}
