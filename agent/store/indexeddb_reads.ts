import {
  beginningWith,
  type Database,
  type Direction,
  directions,
  limited,
  type StoredMessage,
} from "./indexeddb_tables.ts";
import * as rows from "./rows.ts";
import * as sessionRows from "./session_rows.ts";
import type {
  Connection,
  Discarded,
  EventRecord,
  FrameRecord,
  HeldFrame,
  MessageQuery,
  MessageRecord,
  PieceRecord,
  QueuedDelivery,
  UndeliveredMessage,
} from "./store.ts";
import type { Vault } from "./vault.ts";

/** All connections with their routes and sessions. */
export async function readConnections(database: Database, vault: Vault): Promise<Connection[]> {
  const routeTables = directions.flatMap((name) => [`${name}_routes`, `${name}_keys`] as const);
  const transaction = database.transaction(["connections", "sessions", "session_keys", ...routeTables]);
  const routesOf = async (direction: Direction) => {
    const [data, keys] = await Promise.all([
      transaction.objectStore(`${direction}_routes`).getAll(),
      transaction.objectStore(`${direction}_keys`).getAll(),
    ]);
    const keysById = new Map(keys.map(({ id, keys }) => [id, keys]));
    const joined = data.map(({ place: _, ...row }) => ({ ...row, keys: keysById.get(row.id)! }));
    return Map.groupBy(joined, ({ connection }) => connection);
  };
  const sessionsByConnection = async () => {
    const [data, keys] = await Promise.all([
      transaction.objectStore("sessions").getAll(),
      transaction.objectStore("session_keys").getAll(),
    ]);
    const keysOf = new Map(keys.map(({ connection, keys }) => [connection, keys]));
    return new Map(data.map((row) => [row.connection, { ...row, keys: keysOf.get(row.connection)! }]));
  };
  const [connections, sessions, receiving, sending, inbound, outbound] = await Promise.all([
    transaction.objectStore("connections").getAll(),
    sessionsByConnection(),
    ...directions.map(routesOf),
  ]);
  const openAll = <T>(
    found: Map<string, rows.RouteRow[]>,
    id: string,
    open: (row: rows.RouteRow, vault: Vault) => Promise<T>,
  ) => Promise.all((found.get(id) ?? []).map((row) => open(row, vault)));
  const opened = await Promise.all(connections.map(async ({ place: _, ...row }) => {
    const session = sessions.get(row.id);
    return {
      record: await rows.openConnection(row, vault),
      receiving: await openAll(receiving!, row.id, rows.openReceiving),
      sending: await openAll(sending!, row.id, rows.openSending),
      session: session === undefined ? null : await sessionRows.openSession(session, vault),
      inbound: await openAll(inbound!, row.id, rows.openInbound),
      outbound: await openAll(outbound!, row.id, rows.openOutbound),
    };
  }));
  return opened.sort((a, b) => a.record.createdAt - b.record.createdAt);
}

/** The queues that are to be deleted. */
export async function readDiscarded(database: Database, vault: Vault): Promise<Discarded[]> {
  const found = await database.getAll("discarded_queues");
  return await Promise.all(found.map((row) => rows.openDiscarded(row, vault)));
}

/** The sending routes with deliveries. */
export async function readWaitingRoutes(database: Database): Promise<string[]> {
  const found: string[] = [];
  let cursor = await database.transaction("deliveries").store.openKeyCursor();
  while (cursor !== null) {
    const [route] = cursor.key;
    found.push(route);
    // Behind all of this route: an array comes after any number.
    cursor = await cursor.continue([route, []] as unknown as [string, number]);
  }
  return found;
}

/** The first deliveries of a route. */
export async function readDeliveries(
  database: Database,
  vault: Vault,
  { route, limit }: { readonly route: string; readonly limit: number },
): Promise<QueuedDelivery[]> {
  const count = limited(limit);
  if (count === null) return [];
  const transaction = database.transaction(["deliveries", "outbox"]);
  const outbox = transaction.objectStore("outbox");
  const found = await transaction.objectStore("deliveries").getAll(beginningWith([route]), count);
  const entries = await Promise.all(
    found.map(({ connection, position }) => outbox.get([connection, position])),
  );
  return await Promise.all(found.map(async (row, i) => ({
    ...await rows.openOutbox(entries[i]!, vault),
    ...await rows.openDelivery(row, vault),
  })));
}

/** Frames of a connection after one. */
export async function readFrames(
  database: Database,
  vault: Vault,
  { connection, after, limit }: {
    readonly connection: string;
    readonly after: number;
    readonly limit: number;
  },
): Promise<FrameRecord[]> {
  const count = limited(limit);
  if (count === null) return [];
  const range = IDBKeyRange.bound([connection, after], [connection, []], true, true);
  const found = await database.getAll("frames", range, count);
  return await Promise.all(found.map((row) => sessionRows.openFrame(row, vault)));
}

/** The held frame with a number. */
export async function readHeld(
  database: Database,
  vault: Vault,
  { connection, number }: { readonly connection: string; readonly number: number },
): Promise<HeldFrame | null> {
  const row = await database.get("held_frames", [connection, number]);
  return row === undefined ? null : await sessionRows.openHeld(row, vault);
}

/** All pieces of a connection. */
export async function readPieces(
  database: Database,
  vault: Vault,
  connection: string,
): Promise<PieceRecord[]> {
  const found = await database.getAllFromIndex("pieces", "connection", connection);
  const opened = await Promise.all(found.map((row) => sessionRows.openPiece(row, vault)));
  return opened.sort(sessionRows.comparePieces);
}

/** Messages with a number that are not delivered. */
export async function readUndelivered(
  database: Database,
  { connection, from, to, limit }: {
    readonly connection: string;
    readonly from: number;
    readonly to: number;
    readonly limit: number;
  },
): Promise<UndeliveredMessage[]> {
  if (!(from <= to && limit >= 1)) return [];
  const found: UndeliveredMessage[] = [];
  const index = database.transaction("messages").store.index("delivered");
  // Their keys alone: bodies may be large.
  let cursor = await index.openKeyCursor(IDBKeyRange.bound([connection, 0, from], [connection, 0, to]));
  while (cursor !== null) {
    const [, , number] = cursor.key;
    const [, id] = cursor.primaryKey;
    if (found.push({ id, number }) >= limit) break;
    cursor = await cursor.continue();
  }
  return found;
}

/** One message. */
export async function readMessage(
  database: Database,
  vault: Vault,
  { connection, id }: { readonly connection: string; readonly id: number },
): Promise<MessageRecord | null> {
  const row = await database.get("messages", [connection, id]);
  return row === undefined ? null : await openMessage(row, vault);
}

/** The newest messages of a connection, oldest first. */
export async function readMessages(
  database: Database,
  vault: Vault,
  { connection, before, limit = 100 }: MessageQuery & { readonly connection: string },
): Promise<MessageRecord[]> {
  const found: StoredMessage[] = [];
  const { store } = database.transaction("messages");
  let cursor = limit >= 1 ? await store.openCursor(beginningWith([connection], before), "prev") : null;
  while (cursor !== null && found.push(cursor.value) < limit) cursor = await cursor.continue();
  return await Promise.all(found.toReversed().map((row) => openMessage(row, vault)));
}

/** The events after one. */
export async function readEvents(
  database: Database,
  vault: Vault,
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<EventRecord[]> {
  const count = limited(limit);
  if (count === null) return [];
  const found = await database.getAll("events", IDBKeyRange.lowerBound(after, true), count);
  return await Promise.all(found.map((row) => rows.openEvent(row, vault)));
}

/** Opens a message. */
export function openMessage(
  { done, number = null, delivered, ...row }: StoredMessage,
  vault: Vault,
): Promise<MessageRecord> {
  return rows.openMessage({ ...row, done: done === 1, number, delivered: delivered === 1 }, vault);
}
