import type { DBSchema, IDBPDatabase, IDBPTransaction, StoreNames } from "idb";
import { createFirstTables, type FirstTables, firstTables, renameFirstTables } from "./indexeddb_first.ts";
import type * as rows from "./rows.ts";
import type * as sessionRows from "./session_rows.ts";
import type { PassphraseRecord } from "./vault.ts";

/** Raised with each change of what is in the tables. */
export const databaseVersion = 3;

/** A row with its place in the order in which rows were made. */
type Placed<Row> = Row & { readonly place?: number };
type RouteData = Omit<rows.RouteRow, "keys">;
type RouteKeys = Pick<rows.RouteRow, "id" | "connection" | "keys">;
type ByConnection = { readonly connection: string };

/** How the tables are made whose rows have a place. */
const placed = { keyPath: "place", autoIncrement: true } as const;

/** The tables of routes are called after them. */
export const directions = ["receiving", "sending", "inbound", "outbound"] as const;

/** A kind of routes. */
export type Direction = typeof directions[number];

/** A message as it is stored; what version 2 has stored has neither `number` nor `delivered`. */
export type StoredMessage = Omit<rows.MessageRow, "done" | "number" | "delivered"> & {
  readonly done: 0 | 1;
  readonly number?: number | null;
  readonly delivered?: 0 | 1;
};

/** What is in the database; bytes are sealed when there is a passphrase. */
export interface Tables extends DBSchema, FirstTables {
  connections: { key: number; value: Placed<rows.ConnectionRow>; indexes: { id: string } };
  receiving_routes: { key: number; value: Placed<RouteData>; indexes: { id: string } & ByConnection };
  sending_routes: { key: number; value: Placed<RouteData>; indexes: { id: string } & ByConnection };
  receiving_keys: { key: string; value: RouteKeys };
  sending_keys: { key: string; value: RouteKeys };
  inbound_routes: { key: number; value: Placed<RouteData>; indexes: { id: string } & ByConnection };
  outbound_routes: { key: number; value: Placed<RouteData>; indexes: { id: string } & ByConnection };
  inbound_keys: { key: string; value: RouteKeys };
  outbound_keys: { key: string; value: RouteKeys };
  sessions: { key: string; value: Omit<sessionRows.SessionRow, "keys"> };
  session_keys: { key: string; value: Pick<sessionRows.SessionRow, "connection" | "keys"> };
  frames: { key: [connection: string, number: number]; value: sessionRows.FrameRow };
  held_frames: { key: [connection: string, number: number]; value: sessionRows.HeldRow };
  pieces: {
    key: [route: string, tag: string, position: number];
    value: sessionRows.PieceRow;
    indexes: ByConnection;
  };
  outbox: { key: [connection: string, position: number]; value: rows.OutboxRow };
  deliveries: {
    key: [route: string, position: number];
    value: rows.DeliveryRow;
    indexes: { entry: [connection: string, position: number] };
  };
  messages: {
    key: [connection: string, id: number];
    value: StoredMessage;
    indexes: {
      done: [done: number, at: number];
      /** Of those alone that have a number. */
      delivered: [connection: string, delivered: number, number: number];
    };
  };
  events: { key: number; value: rows.EventRow; indexes: ByConnection };
  discarded_queues: { key: string; value: rows.DiscardedRow };
  /** At most one, with key 1. */
  passphrase: { key: number; value: PassphraseRecord };
  /** With key 1: who may write. */
  owner: { key: number; value: string };
}

/** The tables that a commit may change, and the one that says who may. */
export const tables = [
  "connections",
  "receiving_routes",
  "receiving_keys",
  "sending_routes",
  "sending_keys",
  "sessions",
  "session_keys",
  "inbound_routes",
  "inbound_keys",
  "outbound_routes",
  "outbound_keys",
  "frames",
  "held_frames",
  "pieces",
  "outbox",
  "deliveries",
  "messages",
  "events",
  "discarded_queues",
  "passphrase",
  "owner",
] as const satisfies readonly StoreNames<Tables>[];

/** All tables. */
export const allTables = [...tables, ...firstTables] as const;

/** A database as it is opened. */
export type Database = IDBPDatabase<Tables>;

/** What writes are made in. */
export type WriteTransaction = IDBPTransaction<Tables, typeof allTables, "readwrite">;

/** Makes the tables that are not there yet: in a new database all. */
export function createTables(
  database: Database,
  oldVersion: number,
  transaction: IDBPTransaction<Tables, StoreNames<Tables>[], "versionchange">,
): void {
  if (oldVersion === 0) createFirstTables(database);
  if (oldVersion === 1) renameFirstTables(transaction);
  if (oldVersion < 2) createSecondTables(database);
  if (oldVersion < 3) createSessionTables(database, transaction);
}

/** What version 2 has added. */
function createSecondTables(database: Database): void {
  database.createObjectStore("connections", placed).createIndex("id", "id", { unique: true });
  createRouteTables(database, ["receiving", "sending"]);
  database.createObjectStore("outbox", { keyPath: ["connection", "position"] });
  database.createObjectStore("deliveries", { keyPath: ["route", "position"] })
    .createIndex("entry", ["connection", "position"]);
  database.createObjectStore("messages", { keyPath: ["connection", "id"] })
    .createIndex("done", ["done", "at"]);
  database.createObjectStore("events", { keyPath: "id" }).createIndex("connection", "connection");
  database.createObjectStore("discarded_queues", { keyPath: "id" });
  database.createObjectStore("passphrase");
  database.createObjectStore("owner");
}

/** What version 3 has added. */
function createSessionTables(
  database: Database,
  transaction: IDBPTransaction<Tables, StoreNames<Tables>[], "versionchange">,
): void {
  createRouteTables(database, ["inbound", "outbound"]);
  for (const name of ["sessions", "session_keys"] as const) {
    database.createObjectStore(name, { keyPath: "connection" });
  }
  for (const name of ["frames", "held_frames"] as const) {
    database.createObjectStore(name, { keyPath: ["connection", "number"] });
  }
  database.createObjectStore("pieces", { keyPath: ["route", "tag", "position"] })
    .createIndex("connection", "connection");
  transaction.objectStore("messages").createIndex("delivered", ["connection", "delivered", "number"]);
}

function createRouteTables(database: Database, directions: readonly Direction[]): void {
  for (const direction of directions) {
    const routes = database.createObjectStore(`${direction}_routes`, placed);
    routes.createIndex("id", "id", { unique: true });
    routes.createIndex("connection", "connection");
    database.createObjectStore(`${direction}_keys`, { keyPath: "id" });
  }
}

/** The keys that begin with these parts; with `before`, those of them that have a lower number then. */
export function beginningWith(parts: readonly string[], before = Infinity): IDBKeyRange {
  // An array comes after any number and any text.
  return IDBKeyRange.bound(parts, [...parts, before === Infinity ? [] : before], false, true);
}

/** A limit as browsers take it: 0 would be none, and of a large number they would take the rest. */
export function limited(limit: number): number | null {
  return limit >= 1 ? Math.min(Math.floor(limit), 2 ** 32 - 1) : null;
}
