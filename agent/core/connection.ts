import { encodeBase64, randomBytes } from "../../protocol/mod.ts";
import type { Connection, ConnectionRecord, ReceivingRoute, SendingRoute } from "../store/store.ts";

/** A new ID: base64 of 12 random bytes. */
export function newId(): string {
  return encodeBase64(randomBytes(12));
}

/** A connection without routes. */
export function newConnection(
  { alias, createdAt, role, reply }: Pick<ConnectionRecord, "alias" | "createdAt" | "role" | "reply">,
): Connection {
  const none = { id: 0, hash: new Uint8Array(0) };
  const record = {
    id: newId(),
    alias,
    createdAt,
    role,
    reply,
    connected: false,
    lastMessageId: 0,
    lastSent: none,
    lastReceived: none,
    lastPosition: 0,
    extensions: null,
    unreadable: 0,
  };
  return { record, receiving: [], sending: [], session: null, inbound: [], outbound: [] };
}

/** A connection whose record is changed. */
export function withRecord(connection: Connection, change: Partial<ConnectionRecord>): Connection {
  return { ...connection, record: { ...connection.record, ...change } };
}

/** A connection with a receiving route that is new or changed. */
export function withReceiving(connection: Connection, route: ReceivingRoute): Connection {
  return { ...connection, receiving: put(connection.receiving, route) };
}

/** A connection with a sending route that is new or changed. */
export function withSending(connection: Connection, route: SendingRoute): Connection {
  return { ...connection, sending: put(connection.sending, route) };
}

/** Whether this side has joined a connection of two directions. */
export function isDuplexJoiner({ record: { role, reply } }: Connection): boolean {
  return role === "joiner" && reply;
}

function put<T extends { readonly id: string }>(routes: readonly T[], route: T): readonly T[] {
  const at = routes.findIndex(({ id }) => id === route.id);
  return at < 0 ? [...routes, route] : routes.with(at, route);
}
