import type { DBSchema, IDBPDatabase, IDBPTransaction, StoreNames } from "idb";
import { createFirstTables, type FirstTables, firstTables, renameFirstTables } from "./indexeddb_first.ts";
import type * as rows from "./rows.ts";
import type { PassphraseRecord } from "./vault.ts";

/** Raised with each change of what is in the tables. */
export const databaseVersion = 2;

/** A row with its place in the order in which rows were made. */
type Placed<Row> = Row & { readonly place?: number };
type RouteData = Omit<rows.RouteRow, "keys">;
type RouteKeys = Pick<rows.RouteRow, "id" | "connection" | "keys">;
type ByConnection = { readonly connection: string };

/** A message as it is stored. */
export type StoredMessage = Omit<rows.MessageRow, "done"> & { readonly done: 0 | 1 };

/** What is in the database; bytes are sealed when there is a passphrase. */
export interface Tables extends DBSchema, FirstTables {
  connections: { key: number; value: Placed<rows.ConnectionRow>; indexes: { id: string } };
  receiving_routes: { key: number; value: Placed<RouteData>; indexes: { id: string } & ByConnection };
  sending_routes: { key: number; value: Placed<RouteData>; indexes: { id: string } & ByConnection };
  receiving_keys: { key: string; value: RouteKeys };
  sending_keys: { key: string; value: RouteKeys };
  outbox: { key: [connection: string, position: number]; value: rows.OutboxRow };
  deliveries: {
    key: [route: string, position: number];
    value: rows.DeliveryRow;
    indexes: { entry: [connection: string, position: number] };
  };
  messages: {
    key: [connection: string, id: number];
    value: StoredMessage;
    indexes: { done: [done: number, at: number] };
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

/** Makes the tables of a new database, beside those of version 1 if there are any. */
export function createTables(
  database: Database,
  oldVersion: number,
  transaction: IDBPTransaction<Tables, StoreNames<Tables>[], "versionchange">,
): void {
  if (oldVersion === 1) renameFirstTables(transaction);
  else createFirstTables(database);
  const placed = { keyPath: "place", autoIncrement: true };
  database.createObjectStore("connections", placed).createIndex("id", "id", { unique: true });
  for (const name of ["receiving_routes", "sending_routes"] as const) {
    const routes = database.createObjectStore(name, placed);
    routes.createIndex("id", "id", { unique: true });
    routes.createIndex("connection", "connection");
  }
  for (const name of ["receiving_keys", "sending_keys"] as const) {
    database.createObjectStore(name, { keyPath: "id" });
  }
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

/** The keys that begin with `first`, or those of them that have a lower number than `before`. */
export function beginningWith(first: string, before = Infinity): IDBKeyRange {
  // An array comes after any number.
  return IDBKeyRange.bound([first], [first, before === Infinity ? [] : before], false, true);
}

/** A limit as browsers take it: 0 would be none, and of a large number they would take the rest. */
export function limited(limit: number): number | null {
  return limit >= 1 ? Math.min(Math.floor(limit), 2 ** 32 - 1) : null;
}
