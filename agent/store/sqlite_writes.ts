import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import * as rows from "./rows.ts";
import type { StoreChange } from "./store.ts";
import type { Vault } from "./vault.ts";

/** A statement with its values. */
export interface Write {
  readonly statement: string;
  readonly values: readonly SQLInputValue[];
  /** Whether it must change a row. */
  readonly mustChange: boolean;
}

const statements = {
  connection: upsert("connections", ["id", "data"], ["id"]),
  receiving: upsertRoute("receiving_routes"),
  sending: upsertRoute("sending_routes"),
  receivingData: "UPDATE receiving_routes SET data = ? WHERE id = ? AND connection = ?",
  sendingData: "UPDATE sending_routes SET data = ? WHERE id = ? AND connection = ?",
  outbox: upsert("outbox", ["connection", "position", "data", "plaintext"], ["connection", "position"]),
  delivery: upsert("deliveries", ["connection", "route", "position", "data"], ["route", "position"]),
  message: upsert("messages", ["connection", "id", "at", "done", "data", "body"], ["connection", "id"]),
  messageDone: "UPDATE messages SET done = 1 WHERE connection = ? AND id = ?",
  event: upsert("events", ["id", "connection", "data"], ["id"]),
  discarded: upsert("discarded_queues", ["id", "data"], ["id"]),
  deleteConnection: "DELETE FROM connections WHERE id = ?",
  deleteDelivery: "DELETE FROM deliveries WHERE connection = ? AND route = ? AND position = ?",
  deleteEvent: "DELETE FROM events WHERE id = ?",
  deleteDiscarded: "DELETE FROM discarded_queues WHERE id = ?",
} as const;

/** Seals a change. */
export async function writeOf(change: StoreChange, vault: Vault): Promise<Write> {
  switch (change.type) {
    case "put connection": {
      const { id, data } = await rows.sealConnection(change.record, vault);
      return write(statements.connection, [id, data]);
    }
    case "delete connection":
      return write(statements.deleteConnection, [change.connection]);
    case "put receiving": {
      const row = await rows.sealRoute("receiving_routes", change, vault);
      return writeRoute(row, statements.receiving, statements.receivingData);
    }
    case "put sending": {
      const row = await rows.sealRoute("sending_routes", change, vault);
      return writeRoute(row, statements.sending, statements.sendingData);
    }
    case "put outbox": {
      const { connection, position, data, plaintext } = await rows.sealOutbox(change.entry, vault);
      return write(statements.outbox, [connection, position, data, plaintext]);
    }
    case "put delivery": {
      const { connection, route, position, data } = await rows.sealDelivery(change.delivery, vault);
      return write(statements.delivery, [connection, route, position, data]);
    }
    case "delete delivery":
      return write(statements.deleteDelivery, [change.connection, change.route, change.position]);
    case "put message": {
      const { connection, id, at, done, data, body } = await rows.sealMessage(change.message, vault);
      return write(statements.message, [connection, id, at, Number(done), data, body]);
    }
    case "message done":
      return write(statements.messageDone, [change.connection, change.id]);
    case "put event": {
      const { id, connection, data } = await rows.sealEvent(change.event, vault);
      return write(statements.event, [id, connection, data]);
    }
    case "delete event":
      return write(statements.deleteEvent, [change.id]);
    case "put discarded": {
      const { id, data } = await rows.sealDiscarded(change.queue, vault);
      return write(statements.discarded, [id, data]);
    }
    case "delete discarded":
      return write(statements.deleteDiscarded, [change.id]);
    default:
      return change satisfies never;
  }
}

/** Makes all writes in one transaction, or none. */
export function transact(database: DatabaseSync, writes: readonly Write[], prepared: Prepared): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    for (const write of writes) runWrite(write, prepared);
    database.exec("COMMIT");
  } catch (error) {
    rollBack(database);
    throw error;
  }
}

/** Makes a write in the transaction that there is. */
export function runWrite({ statement, values, mustChange }: Write, prepared: Prepared): void {
  const { changes } = prepared.get(statement).run(...values);
  if (mustChange && Number(changes) === 0) throw new Error("there is no such route of this connection");
}

/** Ends a transaction without its changes. */
export function rollBack(database: DatabaseSync): void {
  try {
    database.exec("ROLLBACK");
  } catch {
    // The failure has rolled it back already.
  }
}

/** The statements of a database that were used before. */
export class Prepared {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /** Prepares statements of `database`. */
  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** The prepared statement of a text, which must be one of a few. */
  get(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (statement === undefined) this.#statements.set(text, statement = this.#database.prepare(text));
    return statement;
  }
}

function write(statement: string, values: readonly SQLInputValue[]): Write {
  return { statement, values, mustChange: false };
}

function writeRoute(
  { id, connection, keys, data }: rows.RouteRow<Uint8Array<ArrayBuffer> | null>,
  whole: string,
  dataAlone: string,
): Write {
  return keys === null
    ? { statement: dataAlone, values: [data, id, connection], mustChange: true }
    : { statement: whole, values: [id, connection, keys, data], mustChange: true };
}

/** A route stays with its connection: with another one nothing is changed. */
function upsertRoute(table: rows.RouteTable): string {
  const text = upsert(table, ["id", "connection", "keys", "data"], ["id"]);
  return `${text} WHERE connection = excluded.connection`;
}

/** The text is made of names in this program alone. */
function upsert(table: rows.TableName, columns: readonly string[], key: readonly string[]): string {
  const updates = columns.filter((name) => !key.includes(name)).map((name) => `${name} = excluded.${name}`);
  return `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")}) ` +
    `ON CONFLICT (${key.join(", ")}) DO UPDATE SET ${updates.join(", ")}`;
}
