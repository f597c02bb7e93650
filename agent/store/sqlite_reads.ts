import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import * as rows from "./rows.ts";
import type {
  Connection,
  DiscardedQueue,
  EventRecord,
  MessageQuery,
  MessageRecord,
  QueuedDelivery,
  StoreChange,
} from "./store.ts";
import { StoreError } from "./store.ts";
import type { PassphraseRecord, Vault } from "./vault.ts";

/** How many rows are in memory at a time when all are read. */
export const pageSize = 50;

/** Gives the rows of a query. Throws `StoreError` (`READ`). */
export type Query = <Row>(text: string, ...values: SQLInputValue[]) => Row[];

/** A message as SQLite has it. */
type MessageColumns = Omit<rows.MessageRow, "done"> & { readonly done: number };

/** All connections with their routes. */
export async function readConnections(query: Query, vault: Vault): Promise<Connection[]> {
  const all = (table: rows.TableName) => `SELECT * FROM ${table} ORDER BY position`;
  const connections = query<rows.ConnectionRow>(all("connections"));
  const receiving = Map.groupBy(query<rows.RouteRow>(all("receiving_routes")), (row) => row.connection);
  const sending = Map.groupBy(query<rows.RouteRow>(all("sending_routes")), (row) => row.connection);
  const opened: Connection[] = [];
  for (const row of connections) {
    opened.push({
      record: await rows.openConnection(row, vault),
      receiving: await Promise.all(
        (receiving.get(row.id) ?? []).map((row) => rows.openReceiving(row, vault)),
      ),
      sending: await Promise.all((sending.get(row.id) ?? []).map((row) => rows.openSending(row, vault))),
    });
  }
  return opened.sort((a, b) => a.record.createdAt - b.record.createdAt);
}

/** The queues that are to be deleted. */
export function readDiscarded(query: Query, vault: Vault): Promise<DiscardedQueue[]> {
  const found = query<rows.DiscardedRow>("SELECT * FROM discarded_queues ORDER BY rowid");
  return Promise.all(found.map((row) => rows.openDiscarded(row, vault)));
}

/** The sending routes with deliveries. */
export function readWaitingRoutes(query: Query): string[] {
  const text = "SELECT id FROM sending_routes WHERE EXISTS (SELECT 1 FROM deliveries WHERE route = id) " +
    "ORDER BY position";
  return query<{ readonly id: string }>(text).map(({ id }) => id);
}

/** The first deliveries of a route. */
export function readDeliveries(
  query: Query,
  vault: Vault,
  { route, limit }: { readonly route: string; readonly limit: number },
): Promise<QueuedDelivery[]> {
  type Joined = rows.DeliveryRow & Pick<rows.OutboxRow, "plaintext"> & {
    readonly entry: rows.OutboxRow["data"];
  };
  const text =
    "SELECT d.connection, d.route, d.position, d.data, o.data AS entry, o.plaintext FROM deliveries d " +
    "JOIN outbox o USING (connection, position) WHERE d.route = ? ORDER BY d.position LIMIT ?";
  const found = query<Joined>(text, route, count(limit));
  return Promise.all(found.map(async ({ entry, plaintext, ...row }) => {
    const { connection, position } = row;
    return {
      ...await rows.openOutbox({ connection, position, data: entry, plaintext }, vault),
      ...await rows.openDelivery(row, vault),
    };
  }));
}

/** One message. */
export async function readMessage(
  query: Query,
  vault: Vault,
  { connection, id }: { readonly connection: string; readonly id: number },
): Promise<MessageRecord | null> {
  const text = "SELECT * FROM messages WHERE connection = ? AND id = ?";
  const [row] = query<MessageColumns>(text, connection, id);
  return row === undefined ? null : await openMessage(row, vault);
}

/** The newest messages of a connection, oldest first. */
export function readMessages(
  query: Query,
  vault: Vault,
  { connection, before = Infinity, limit = 100 }: MessageQuery & { readonly connection: string },
): Promise<MessageRecord[]> {
  const text = "SELECT * FROM messages WHERE connection = ? AND id < ? ORDER BY id DESC LIMIT ?";
  const found = query<MessageColumns>(text, connection, count(before), count(limit)).toReversed();
  return Promise.all(found.map((row) => openMessage(row, vault)));
}

/** The events after one. */
export function readEvents(
  query: Query,
  vault: Vault,
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<EventRecord[]> {
  const text = "SELECT * FROM events WHERE id > ? ORDER BY id LIMIT ?";
  const start = Math.max(after, Number.MIN_SAFE_INTEGER);
  const found = query<rows.EventRow>(text, start, count(limit));
  return Promise.all(found.map((row) => rows.openEvent(row, vault)));
}

/** All that is in a database as changes, a page at a time. */
export async function* readAll(query: Query, vault: Vault): AsyncGenerator<StoreChange> {
  for (const row of pages<rows.ConnectionRow>(query, "connections")) {
    yield { type: "put connection", record: await rows.openConnection(row, vault) };
  }
  for (const row of pages<rows.RouteRow>(query, "receiving_routes")) {
    const route = await rows.openReceiving(row, vault);
    yield { type: "put receiving", connection: row.connection, route, withKeys: true };
  }
  for (const row of pages<rows.RouteRow>(query, "sending_routes")) {
    const route = await rows.openSending(row, vault);
    yield { type: "put sending", connection: row.connection, route, withKeys: true };
  }
  for (const row of pages<rows.OutboxRow>(query, "outbox")) {
    yield { type: "put outbox", entry: await rows.openOutbox(row, vault) };
  }
  for (const row of pages<rows.DeliveryRow>(query, "deliveries")) {
    yield { type: "put delivery", delivery: await rows.openDelivery(row, vault) };
  }
  for (const row of pages<MessageColumns>(query, "messages")) {
    yield { type: "put message", message: await openMessage(row, vault) };
  }
  for (const row of pages<rows.EventRow>(query, "events")) {
    yield { type: "put event", event: await rows.openEvent(row, vault) };
  }
  for (const row of pages<rows.DiscardedRow>(query, "discarded_queues")) {
    yield { type: "put discarded", queue: await rows.openDiscarded(row, vault) };
  }
}

/** The rows of a table in the order of `rowid`, which is their `place`, a page at a time. */
export function* pages<Row>(query: Query, table: string): Generator<Row & { readonly place: number }> {
  const text = `SELECT rowid AS place, * FROM ${table} WHERE rowid > ? ORDER BY rowid LIMIT ${pageSize}`;
  let last = Number.MIN_SAFE_INTEGER;
  while (true) {
    const page = query<Row & { readonly place: number }>(text, last);
    yield* page;
    if (page.length < pageSize) return;
    last = page.at(-1)!.place;
  }
}

/** What a database keeps of its passphrase. */
export function readPassphrase(query: Query): PassphraseRecord | null {
  return query<PassphraseRecord>("SELECT salt, iterations, key FROM passphrase")[0] ?? null;
}

/** Asks a database. */
export function queryOf(prepare: (text: string) => ReturnType<DatabaseSync["prepare"]>): Query {
  return <Row>(text: string, ...values: SQLInputValue[]) => {
    try {
      return prepare(text).all(...values) as Row[];
    } catch (cause) {
      throw readError(cause);
    }
  };
}

/** The error of a store that could not be read. */
export function readError(cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new StoreError("READ", `Cannot read the store: ${message}`, { cause });
}

function openMessage({ done, ...row }: MessageColumns, vault: Vault): Promise<MessageRecord> {
  return rows.openMessage({ ...row, done: done === 1 }, vault);
}

/** A number that SQLite takes. */
function count(limit: number): number {
  return Math.max(0, Math.min(limit, Number.MAX_SAFE_INTEGER));
}
