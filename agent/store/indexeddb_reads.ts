import { beginningWith, type Database, limited, type StoredMessage } from "./indexeddb_tables.ts";
import * as rows from "./rows.ts";
import type {
  Connection,
  DiscardedQueue,
  EventRecord,
  MessageQuery,
  MessageRecord,
  QueuedDelivery,
} from "./store.ts";
import type { Vault } from "./vault.ts";

type Direction = "receiving" | "sending";

/** All connections with their routes. */
export async function readConnections(database: Database, vault: Vault): Promise<Connection[]> {
  const names = [
    "connections",
    "receiving_routes",
    "receiving_keys",
    "sending_routes",
    "sending_keys",
  ] as const;
  const transaction = database.transaction(names);
  const routesOf = async (direction: Direction) => {
    const [data, keys] = await Promise.all([
      transaction.objectStore(`${direction}_routes`).getAll(),
      transaction.objectStore(`${direction}_keys`).getAll(),
    ]);
    const keysById = new Map(keys.map(({ id, keys }) => [id, keys]));
    const joined = data.map(({ place: _, ...row }) => ({ ...row, keys: keysById.get(row.id)! }));
    return Map.groupBy(joined, ({ connection }) => connection);
  };
  const [connections, receiving, sending] = await Promise.all([
    transaction.objectStore("connections").getAll(),
    routesOf("receiving"),
    routesOf("sending"),
  ]);
  const opened = await Promise.all(connections.map(async ({ place: _, ...row }) => ({
    record: await rows.openConnection(row, vault),
    receiving: await Promise.all(
      (receiving.get(row.id) ?? []).map((route) => rows.openReceiving(route, vault)),
    ),
    sending: await Promise.all((sending.get(row.id) ?? []).map((route) => rows.openSending(route, vault))),
  })));
  return opened.sort((a, b) => a.record.createdAt - b.record.createdAt);
}

/** The queues that are to be deleted. */
export async function readDiscarded(database: Database, vault: Vault): Promise<DiscardedQueue[]> {
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
  const found = await transaction.objectStore("deliveries").getAll(beginningWith(route), count);
  const entries = await Promise.all(
    found.map(({ connection, position }) => outbox.get([connection, position])),
  );
  return await Promise.all(found.map(async (row, i) => ({
    ...await rows.openOutbox(entries[i]!, vault),
    ...await rows.openDelivery(row, vault),
  })));
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
  let cursor = limit >= 1 ? await store.openCursor(beginningWith(connection, before), "prev") : null;
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
export function openMessage({ done, ...row }: StoredMessage, vault: Vault): Promise<MessageRecord> {
  return rows.openMessage({ ...row, done: done === 1 }, vault);
}
