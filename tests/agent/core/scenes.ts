import { AgentError } from "../../../agent/protocol/error.ts";
import { newConnection, withReceiving, withRecord, withSending } from "../../../agent/core/connection.ts";
import type { ConnectionEvent, Received, Step } from "../../../agent/core/types.ts";
import type { KeyMessage } from "../../../agent/kinds/key.ts";
import type { AgentMessage } from "../../../agent/kinds/mod.ts";
import type { ReplyMessage } from "../../../agent/kinds/reply.ts";
import type {
  Connection,
  QueuedDelivery,
  ReceivingRoute,
  ReceivingStatus,
  SendingRoute,
  SendingStatus,
} from "../../../agent/store/store.ts";
import { encodeBase64, makePublicKey } from "../../../protocol/mod.ts";
import { storedKeys } from "../../support/agent.ts";

/** How far a connection is. */
export interface State {
  readonly role: "initiator" | "joiner";
  readonly reply: boolean;
  readonly receiving: ReceivingStatus | "none";
  readonly sending: SendingStatus | "none";
  readonly connected: boolean;
}

/** What a step needs beside connection and event. */
export const context = { now: 5000, announced: ["x1"], discardUntil: 0 } as const;

/** The key in a connection's confirmation, and another one. */
export const keys = [1n, 3n].map((end) => makePublicKey((1n << 2047n) + end, 65537n));

/** The number of the message that waits for its acknowledgement on a route that is active. */
export const unacknowledgedId = 4;

const none = new Uint8Array(0);
const head = { id: 0, timestamp: new Date(1000), previousHash: none };
const server = { host: "one.example" };

/** All states that the types allow. */
export function allStates(): State[] {
  const states: State[] = [];
  for (const role of ["initiator", "joiner"] as const) {
    for (const reply of [true, false]) {
      for (const receiving of ["none", "new", "confirmed", "secured", "active"] as const) {
        for (const sending of ["none", "new", "confirmed", "active", "failed"] as const) {
          for (const connected of [true, false]) states.push({ role, reply, receiving, sending, connected });
        }
      }
    }
  }
  return states;
}

/** A receiving route. */
export function receivingRoute(status: ReceivingStatus, id = "in"): ReceivingRoute {
  return {
    id,
    keys: {
      server,
      recipientId: "cmlk",
      senderId: "c2lk",
      recipientKey: storedKeys[0]!.privateKey,
      decryptionKey: storedKeys[1]!.privateKey,
      senderKey: status === "new" ? null : keys[0]!.der,
      verificationKey: status === "active" ? keys[0]!.der : null,
    },
    status,
    lastServerId: "bGFzdA==",
    lastHash: Uint8Array.of(9),
    unacknowledged: status === "active" ? [{ id: unacknowledgedId, serverId: "d2FpdHM=" }] : [],
    suspended: false,
  };
}

/** A sending route. */
export function sendingRoute(status: SendingStatus, id = "out"): SendingRoute {
  const [sender, signing, encryption] = storedKeys;
  return {
    id,
    keys: {
      server,
      senderId: "c2lkMg==",
      senderKey: sender!.privateKey,
      signingKey: signing!.privateKey,
      encryptionKey: encryption!.publicKey,
    },
    status,
  };
}

/** A connection in a state, with the routes `in` and `out`. */
export function connectionIn({ role, reply, receiving, sending, connected }: State): Connection {
  const empty = newConnection({ alias: "x", createdAt: 1000, role, reply });
  let connection = withRecord(empty, { connected, lastMessageId: unacknowledgedId, lastPosition: 7 });
  if (receiving !== "none") connection = withReceiving(connection, receivingRoute(receiving));
  if (sending !== "none") connection = withSending(connection, sendingRoute(sending));
  return connection;
}

/** How far a connection is. */
export function stateOf({ record: { role, reply, connected }, receiving, sending }: Connection): State {
  return {
    role,
    reply,
    receiving: receiving[0]?.status ?? "none",
    sending: sending[0]?.status ?? "none",
    connected,
  };
}

/** A message that a server has delivered; a new one unless said otherwise. */
export function receivedAs<M extends AgentMessage>(message: M, mark = 50): Received<M> {
  return { serverId: encodeBase64(Uint8Array.of(mark)), serverAt: 2000, hash: Uint8Array.of(mark), message };
}

/** The other agent's messages. */
export const messages: {
  readonly key: KeyMessage;
  readonly otherKey: KeyMessage;
  readonly hello: AgentMessage;
  readonly reply: ReplyMessage;
  readonly msg: AgentMessage;
} = {
  key: { type: "KEY", senderKey: keys[0]! },
  otherKey: { type: "KEY", senderKey: keys[1]! },
  hello: { type: "HELLO", verificationKey: keys[1]!, noAck: false, ...head },
  reply: { type: "REPLY", queueInfo: { server, senderId: "c2lk", encryptionKey: keys[0]! }, ...head },
  msg: { type: "MSG", body: Uint8Array.of(1, 2), ...head, id: 1 },
};

/** A delivery on the route `out`. */
export function queued(connection: Connection, kind: string, position = 3, messageId = 0): QueuedDelivery {
  const own = { connection: connection.record.id, position };
  const delivery = { ...own, route: "out", attempted: false, giveUpAt: null };
  return { ...delivery, kind, messageId, plaintext: Uint8Array.of(1), createdAt: 1000 };
}

/** One event of each sort for a connection, by name. */
export function eventsFor(connection: Connection): ReadonlyMap<string, ConnectionEvent> {
  const error = new AgentError("SMP AUTH", "it was refused");
  const received = (message: AgentMessage) =>
    ({ type: "received", route: "in", received: receivedAs(message) }) as const;
  const sent = (kind: string, messageId = 0) =>
    ({ type: "sent", delivery: queued(connection, kind, 3, messageId) }) as const;
  const confirmation = { route: "in", received: receivedAs(messages.key) };
  const reply = { route: "in", received: receivedAs(messages.reply) };
  const deliveries = [queued(connection, "HELLO"), queued(connection, "MSG", 4, 2)];
  const body = Uint8Array.of(7);
  return new Map<string, ConnectionEvent>([
    ["received KEY", received(messages.key)],
    ["received another KEY", received(messages.otherKey)],
    ["received HELLO", received(messages.hello)],
    ["received REPLY", received(messages.reply)],
    ["received MSG", received(messages.msg)],
    ["unreadable", { type: "unreadable", route: "in", serverId: "bmV3", error }],
    ["approved", { type: "approved", ...confirmation, isApproved: true }],
    ["not approved", { type: "approved", ...confirmation, isApproved: false }],
    ["secured", { type: "secured", ...confirmation, error: null }],
    ["not secured", { type: "secured", ...confirmation, error }],
    ["joined", { type: "joined", ...reply, sending: sendingRoute("new", "answer") }],
    ["not joined", { type: "joined", ...reply, sending: error }],
    ["route made", { type: "route made", receiving: receivingRoute("new", "back"), position: 3 }],
    ["send", { type: "send", body, plaintext: body, hash: Uint8Array.of(8) }],
    ["attempted", { type: "attempted", route: "out", position: 3, giveUpAt: null }],
    ["sent KEY", sent("KEY")],
    ["sent HELLO", sent("HELLO")],
    ["sent REPLY", sent("REPLY")],
    ["sent MSG", sent("MSG", 2)],
    ["given up", {
      type: "given up",
      route: "out",
      deliveries: [deliveries[1]!],
      frames: [],
      error,
      isRoute: false,
    }],
    ["given up route", { type: "given up", route: "out", deliveries, frames: [], error, isRoute: true }],
    ["acknowledged", { type: "acknowledged", id: unacknowledgedId, number: 0 }],
    ["acknowledged unknown", { type: "acknowledged", id: 99, number: 0 }],
    ["suspended", { type: "suspended", route: "in" }],
  ]);
}

/** A step in a few words. */
export interface Summary {
  readonly state: State;
  readonly changes: readonly string[];
  readonly commands: readonly string[];
  readonly events: readonly string[];
}

/** Says a step in a few words. */
export function summary({ connection, changes, commands, events }: Step): Summary {
  return {
    state: stateOf(connection),
    changes: changes.map(({ type }) => type),
    commands: commands.map((command) =>
      "isRetry" in command && command.isRetry ? "secure again" : command.type
    ),
    events: events.map((event) => {
      if (event.type === "error") return `error ${event.code} ${event.id ?? ""}`.trim();
      return event.type === "security"
        ? event.reason
        : "id" in event
        ? `${event.type} ${event.id}`
        : event.type;
    }),
  };
}

/** A copy that cannot be changed, but for its byte arrays. */
export function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  for (const part of Object.values(value)) frozen(part);
  return value instanceof Date || value instanceof Error ? value : Object.freeze(value);
}

/** All byte arrays in a value. */
export function bytesIn(value: unknown): Uint8Array[] {
  if (value instanceof Uint8Array) return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(bytesIn) : [];
}
