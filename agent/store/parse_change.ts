import type { AgentErrorCode } from "../protocol/error.ts";
import type { LastMessage, MessageIntegrity } from "../protocol/integrity.ts";
import { base64, count, flag, key, localId, server } from "./parse_parts.ts";
import { frame, held, inbound, outbound, outboundKeys, piece, session } from "./parse_session.ts";
import type {
  ConnectionRecord,
  Delivery,
  Discarded,
  DiscardedQueue,
  EventRecord,
  Farewell,
  MessageRecord,
  OutboxEntry,
  ReceivedMeta,
  ReceivingKeys,
  ReceivingRoute,
  SendingKeys,
  SendingRoute,
  StoreChange,
  StoredEvent,
  Unacknowledged,
} from "./store.ts";
import {
  bytes,
  list,
  nullable,
  object,
  oneOf,
  optional,
  type Parse,
  text,
  union,
  withDefault,
} from "./shapes.ts";

/** A change that puts something. */
export type PutChange = Extract<StoreChange, { readonly type: `put ${string}` }>;

/** More than any plaintext or body has. */
const maxBody = 5 << 20;

const label = text(1024, /^\P{Cc}+$/u);
const hash = bytes(0, 32);

const lastMessage = object<LastMessage>({ id: count, hash });

const connection = object<ConnectionRecord>({
  id: localId,
  alias: label,
  createdAt: count,
  role: oneOf("initiator", "joiner"),
  reply: flag,
  connected: flag,
  lastMessageId: count,
  lastSent: lastMessage,
  lastReceived: lastMessage,
  lastPosition: count,
  extensions: nullable(list(1024, text(256, /^[!-~]*$/))),
  unreadable: count,
});

const receiving = object<ReceivingRoute>({
  id: localId,
  keys: object<ReceivingKeys>({
    server,
    recipientId: base64,
    senderId: base64,
    recipientKey: key,
    decryptionKey: key,
    senderKey: nullable(key),
    verificationKey: nullable(key),
  }),
  status: oneOf("new", "confirmed", "secured", "active"),
  lastServerId: base64,
  lastHash: hash,
  unacknowledged: list(65_536, object<Unacknowledged>({ id: count, serverId: base64 })),
  suspended: flag,
});

const sending = object<SendingRoute>({
  id: localId,
  keys: object<SendingKeys>({
    server,
    senderId: base64,
    senderKey: key,
    signingKey: key,
    encryptionKey: key,
  }),
  status: oneOf("new", "confirmed", "active", "failed"),
});

const outboxEntry = object<OutboxEntry>({
  connection: localId,
  position: count,
  kind: text(64, /^[!-~]+$/),
  messageId: count,
  plaintext: bytes(0, maxBody),
  createdAt: count,
});

const delivery = object<Delivery>({
  connection: localId,
  route: localId,
  position: count,
  attempted: flag,
  giveUpAt: nullable(count),
});

type Integrity<Type extends MessageIntegrity["type"]> = Extract<MessageIntegrity, { readonly type: Type }>;

const integrity = union<MessageIntegrity>({
  OK: object<Integrity<"OK">>({ type: oneOf("OK") }),
  NO_ID: object<Integrity<"NO_ID">>({ type: oneOf("NO_ID"), from: count, to: count }),
  ID: object<Integrity<"ID">>({ type: oneOf("ID"), id: count }),
  HASH: object<Integrity<"HASH">>({ type: oneOf("HASH") }),
  DUPLICATE: object<Integrity<"DUPLICATE">>({ type: oneOf("DUPLICATE") }),
});

const message = object<MessageRecord>({
  connection: localId,
  id: count,
  body: bytes(0, maxBody),
  at: count,
  done: flag,
  received: nullable(object<ReceivedMeta>({
    integrity,
    serverId: base64,
    serverAt: count,
    senderId: count,
    senderAt: count,
  })),
  // Backups of version 1 have none.
  number: withDefault(nullable(count), null),
  delivered: withDefault(flag, false),
});

/** A server's. */
const address = text(512, /^[!-~]+$/);

type Event<Type extends StoredEvent["type"]> = Extract<StoredEvent, { readonly type: Type }>;

const storedEvent = union<StoredEvent>({
  connected: object<Event<"connected">>({ type: oneOf("connected") }),
  message: object<Event<"message">>({ type: oneOf("message"), id: count }),
  sent: object<Event<"sent">>({ type: oneOf("sent"), id: count }),
  delivered: object<Event<"delivered">>({ type: oneOf("delivered"), id: count }),
  error: object<Event<"error">>({
    type: oneOf("error"),
    code: text(64, /^[A-Z][A-Z_ ]*$/) as Parse<AgentErrorCode>,
    message: text(65_536, /^/),
    id: optional(count),
  }),
  security: object<Event<"security">>({
    type: oneOf("security"),
    reason: oneOf(
      "second confirmation",
      "confirmation not approved",
      "session out of step",
      "session repaired",
    ),
  }),
  session: object<Event<"session">>({ type: oneOf("session"), change: oneOf("active", "closed", "slow") }),
  route: object<Event<"route">>({
    type: oneOf("route"),
    direction: oneOf("receiving", "sending"),
    change: oneOf("moved", "added", "ended", "refused"),
    from: nullable(address),
    to: nullable(address),
  }),
});

const event = object<EventRecord>({ id: count, connection: localId, event: storedEvent });

const discardedQueue = object<DiscardedQueue>({
  id: localId,
  server,
  recipientId: base64,
  senderId: base64,
  recipientKey: key,
  giveUpAt: count,
});

const farewell = object<Farewell>({
  id: localId,
  ...outboundKeys,
  message: bytes(1, 16_384),
  giveUpAt: count,
});

const discarded: Parse<Discarded> = (value, place) => {
  const isFarewell = typeof value === "object" && value !== null && "message" in value;
  return isFarewell ? farewell(value, place) : discardedQueue(value, place);
};

type Put<Type extends PutChange["type"]> = Extract<PutChange, { readonly type: Type }>;

const parse = union<PutChange>({
  "put connection": object<Put<"put connection">>({ type: oneOf("put connection"), record: connection }),
  "put receiving": object<Put<"put receiving">>({
    type: oneOf("put receiving"),
    connection: localId,
    route: receiving,
    withKeys: oneOf(true),
  }),
  "put sending": object<Put<"put sending">>({
    type: oneOf("put sending"),
    connection: localId,
    route: sending,
    withKeys: oneOf(true),
  }),
  "put session": object<Put<"put session">>({
    type: oneOf("put session"),
    connection: localId,
    session,
    withKeys: oneOf(true),
  }),
  "put inbound": object<Put<"put inbound">>({
    type: oneOf("put inbound"),
    connection: localId,
    route: inbound,
    withKeys: oneOf(true),
  }),
  "put outbound": object<Put<"put outbound">>({
    type: oneOf("put outbound"),
    connection: localId,
    route: outbound,
    withKeys: oneOf(true),
  }),
  "put frame": object<Put<"put frame">>({ type: oneOf("put frame"), frame }),
  "put held": object<Put<"put held">>({ type: oneOf("put held"), held }),
  "put piece": object<Put<"put piece">>({ type: oneOf("put piece"), piece }),
  "put outbox": object<Put<"put outbox">>({ type: oneOf("put outbox"), entry: outboxEntry }),
  "put delivery": object<Put<"put delivery">>({ type: oneOf("put delivery"), delivery }),
  "put message": object<Put<"put message">>({ type: oneOf("put message"), message }),
  "put event": object<Put<"put event">>({ type: oneOf("put event"), event }),
  "put discarded": object<Put<"put discarded">>({ type: oneOf("put discarded"), queue: discarded }),
});

/**
 * A change that makes something in an empty store, from a value of unknown origin: all of it has the types and at most
 * the lengths that an agent stores. Throws `TypeError` that says what is wrong.
 */
export function parsePutChange(value: unknown): PutChange {
  return parse(value, "change");
}
