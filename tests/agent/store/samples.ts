import type {
  Connection,
  Delivery,
  DiscardedQueue,
  EventRecord,
  MessageRecord,
  OutboxEntry,
  QueuedDelivery,
  ReceivingRoute,
  SendingRoute,
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
  };
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
  };
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

/** The changes that put a connection with its routes. */
export function put({ record, receiving, sending }: Connection): StoreChange[] {
  const connection = record.id;
  return [
    { type: "put connection", record },
    ...receiving.map((route) => ({ type: "put receiving", connection, route, withKeys: true } as const)),
    ...sending.map((route) => ({ type: "put sending", connection, route, withKeys: true } as const)),
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

/** Some of everything. */
export function everything(): StoreChange[] {
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
