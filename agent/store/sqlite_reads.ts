import type { DatabaseSync, SQLInputValue } from "node:sqlite";
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
  StoreChange,
  UndeliveredMessage,
} from "./store.ts";
import { StoreError } from "./store.ts";
import type { PassphraseRecord, Vault } from "./vault.ts";

/** How many rows are in memory at a time when all are read. */
export const pageSize = 50;

/** Gives the rows of a query. Throws `StoreError` (`READ`). */
export type Query = <Row>(text: string, ...values: SQLInputValue[]) => Row[];

/** A message as SQLite has it. */
type MessageColumns = Omit<rows.MessageRow, "done" | "delivered"> & {
  readonly done: number;
  readonly delivered: number;
};

/** All connections with their routes and sessions. */
export async function readConnections(query: Query, vault: Vault): Promise<Connection[]> {
  const all = (table: rows.TableName) => `SELECT * FROM ${table} ORDER BY position`;
  const connections = query<rows.ConnectionRow>(all("connections"));
  const routes = (table: rows.RouteTable) => {
    const byConnection = Map.groupBy(query<rows.RouteRow>(all(table)), (row) => row.connection);
    return <Route>({ id }: rows.ConnectionRow, open: (row: rows.RouteRow, vault: Vault) => Promise<Route>) =>
      Promise.all((byConnection.get(id) ?? []).map((row) => open(row, vault)));
  };
  const [receiving, sending] = [routes("receiving_routes"), routes("sending_routes")];
  const [inbound, outbound] = [routes("inbound_routes"), routes("outbound_routes")];
  const sessions = new Map(
    query<sessionRows.SessionRow>("SELECT * FROM sessions").map((row) => [row.connection, row]),
  );
  const opened: Connection[] = [];
  for (const row of connections) {
    const session = sessions.get(row.id);
    opened.push({
      record: await rows.openConnection(row, vault),
      receiving: await receiving(row, rows.openReceiving),
      sending: await sending(row, rows.openSending),
      session: session === undefined ? null : await sessionRows.openSession(session, vault),
      inbound: await inbound(row, rows.openInbound),
      outbound: await outbound(row, rows.openOutbound),
    });
  }
  return opened.sort((a, b) => a.record.createdAt - b.record.createdAt);
}

/** The queues that are to be deleted. */
export function readDiscarded(query: Query, vault: Vault): Promise<Discarded[]> {
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

/** The frames of a connection after one. */
export function readFrames(
  query: Query,
  vault: Vault,
  { connection, after, limit }: {
    readonly connection: string;
    readonly after: number;
    readonly limit: number;
  },
): Promise<FrameRecord[]> {
  const text = "SELECT * FROM frames WHERE connection = ? AND number > ? ORDER BY number LIMIT ?";
  const found = query<sessionRows.FrameRow>(text, connection, bounded(after), count(limit));
  return Promise.all(found.map((row) => sessionRows.openFrame(row, vault)));
}

/** One frame that is held. */
export async function readHeld(
  query: Query,
  vault: Vault,
  { connection, number }: { readonly connection: string; readonly number: number },
): Promise<HeldFrame | null> {
  const text = "SELECT * FROM held_frames WHERE connection = ? AND number = ?";
  const [row] = query<sessionRows.HeldRow>(text, connection, number);
  return row === undefined ? null : await sessionRows.openHeld(row, vault);
}

/** The pieces of a connection's messages. */
export async function readPieces(query: Query, vault: Vault, connection: string): Promise<PieceRecord[]> {
  const found = query<sessionRows.PieceRow>("SELECT * FROM pieces WHERE connection = ?", connection);
  const pieces = await Promise.all(found.map((row) => sessionRows.openPiece(row, vault)));
  return pieces.sort(sessionRows.comparePieces);
}

/** Messages of a session that are not delivered. */
export function readUndelivered(
  query: Query,
  { connection, from, to, limit }: {
    readonly connection: string;
    readonly from: number;
    readonly to: number;
    readonly limit: number;
  },
): UndeliveredMessage[] {
  // The conditions of the index `messages_undelivered`.
  const text =
    "SELECT id, number FROM messages WHERE connection = ? AND number IS NOT NULL AND delivered = 0 " +
    "AND number BETWEEN ? AND ? ORDER BY number, id LIMIT ?";
  const found = query<UndeliveredMessage>(text, connection, bounded(from), bounded(to), count(limit));
  return found.map(({ id, number }) => ({ id, number }));
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
  const found = query<rows.EventRow>(text, bounded(after), count(limit));
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
  yield* readSessions(query, vault);
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

async function* readSessions(query: Query, vault: Vault): AsyncGenerator<StoreChange> {
  for (const row of pages<sessionRows.SessionRow>(query, "sessions")) {
    const session = await sessionRows.openSession(row, vault);
    yield { type: "put session", connection: row.connection, session, withKeys: true };
  }
  for (const row of pages<rows.RouteRow>(query, "inbound_routes")) {
    const route = await rows.openInbound(row, vault);
    yield { type: "put inbound", connection: row.connection, route, withKeys: true };
  }
  for (const row of pages<rows.RouteRow>(query, "outbound_routes")) {
    const route = await rows.openOutbound(row, vault);
    yield { type: "put outbound", connection: row.connection, route, withKeys: true };
  }
  for (const row of pages<sessionRows.FrameRow>(query, "frames")) {
    yield { type: "put frame", frame: await sessionRows.openFrame(row, vault) };
  }
  for (const row of pages<sessionRows.HeldRow>(query, "held_frames")) {
    yield { type: "put held", held: await sessionRows.openHeld(row, vault) };
  }
  for (const row of pages<sessionRows.PieceRow>(query, "pieces")) {
    yield { type: "put piece", piece: await sessionRows.openPiece(row, vault) };
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

function openMessage({ done, delivered, ...row }: MessageColumns, vault: Vault): Promise<MessageRecord> {
  return rows.openMessage({ ...row, done: done === 1, delivered: delivered === 1 }, vault);
}

/** A limit that SQLite takes. */
function count(limit: number): number {
  return Math.max(0, bounded(limit));
}

/** A number that SQLite takes. */
function bounded(number: number): number {
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(number, Number.MAX_SAFE_INTEGER));
}
