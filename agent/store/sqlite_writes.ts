import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import * as rows from "./rows.ts";
import * as sessionRows from "./session_rows.ts";
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
  receiving: routeStatements("receiving_routes"),
  sending: routeStatements("sending_routes"),
  inbound: routeStatements("inbound_routes"),
  outbound: routeStatements("outbound_routes"),
  session: upsert("sessions", ["connection", "keys", "ratchet", "data"], ["connection"]),
  deleteSession: "DELETE FROM sessions WHERE connection = ?",
  sessionData: "UPDATE sessions SET ratchet = ?, data = ? WHERE connection = ?",
  frame: upsert("frames", ["connection", "number", "data", "frame", "message"], ["connection", "number"]),
  held: upsert("held_frames", ["connection", "number", "data", "frame"], ["connection", "number"]),
  piece: upsert("pieces", ["connection", "route", "tag", "position", "data", "piece"], [
    "connection",
    "route",
    "tag",
    "position",
  ]),
  outbox: upsert("outbox", ["connection", "position", "data", "plaintext"], ["connection", "position"]),
  delivery: upsert("deliveries", ["connection", "route", "position", "data"], ["route", "position"]),
  message: upsert("messages", ["connection", "id", "at", "done", "data", "body", "number", "delivered"], [
    "connection",
    "id",
  ]),
  messageDone: "UPDATE messages SET done = 1 WHERE connection = ? AND id = ?",
  messageDelivered: "UPDATE messages SET delivered = 1 WHERE connection = ? AND id = ?",
  event: upsert("events", ["id", "connection", "data"], ["id"]),
  discarded: upsert("discarded_queues", ["id", "data"], ["id"]),
  deleteConnection: "DELETE FROM connections WHERE id = ?",
  deleteFrame: "DELETE FROM frames WHERE connection = ? AND number = ?",
  deleteHeld: "DELETE FROM held_frames WHERE connection = ? AND number = ?",
  deletePieces: "DELETE FROM pieces WHERE connection = ? AND route = ? AND tag = ?",
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
    case "put receiving":
      return writeRoute(await rows.sealRoute("receiving_routes", change, vault), statements.receiving);
    case "delete receiving":
      return write(statements.receiving.delete, [change.connection, change.id]);
    case "put sending":
      return writeRoute(await rows.sealRoute("sending_routes", change, vault), statements.sending);
    case "delete sending":
      return write(statements.sending.delete, [change.connection, change.id]);
    case "put session": {
      const { connection, keys, ratchet, data } = await sessionRows.sealSession(change, vault);
      return keys === null
        ? { statement: statements.sessionData, values: [ratchet, data, connection], mustChange: true }
        : write(statements.session, [connection, keys, ratchet, data]);
    }
    case "delete session":
      return write(statements.deleteSession, [change.connection]);
    case "put inbound":
      return writeRoute(await rows.sealRoute("inbound_routes", change, vault), statements.inbound);
    case "delete inbound":
      return write(statements.inbound.delete, [change.connection, change.id]);
    case "put outbound":
      return writeRoute(await rows.sealRoute("outbound_routes", change, vault), statements.outbound);
    case "delete outbound":
      return write(statements.outbound.delete, [change.connection, change.id]);
    case "put frame": {
      const { connection, number, data, frame, message } = await sessionRows.sealFrame(change.frame, vault);
      return write(statements.frame, [connection, number, data, frame, message]);
    }
    case "delete frame":
      return write(statements.deleteFrame, [change.connection, change.number]);
    case "put held": {
      const { connection, number, data, frame } = await sessionRows.sealHeld(change.held, vault);
      return write(statements.held, [connection, number, data, frame]);
    }
    case "delete held":
      return write(statements.deleteHeld, [change.connection, change.number]);
    case "put piece": {
      const { connection, route, tag, position, data, piece } = await sessionRows.sealPiece(
        change.piece,
        vault,
      );
      return write(statements.piece, [connection, route, tag, position, data, piece]);
    }
    case "delete pieces":
      return write(statements.deletePieces, [change.connection, change.route, change.tag]);
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
      const row = await rows.sealMessage(change.message, vault);
      const { connection, id, at, done, data, body, number, delivered } = row;
      const values = [connection, id, at, Number(done), data, body, number, Number(delivered)];
      return write(statements.message, values);
    }
    case "message done":
      return write(statements.messageDone, [change.connection, change.id]);
    case "message delivered":
      return write(statements.messageDelivered, [change.connection, change.id]);
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
    commit(database);
  } catch (error) {
    rollBack(database);
    throw error;
  }
}

/** A transaction was not committed, perhaps as a sync has failed: the runtime does not tell with which code. */
export class CommitError extends Error {
  override readonly name = "CommitError";
}

/** Commits the transaction that there is. Throws {@linkcode CommitError}. */
export function commit(database: DatabaseSync): void {
  try {
    database.exec("COMMIT");
  } catch (cause) {
    throw new CommitError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** Makes a write in the transaction that there is. */
export function runWrite({ statement, values, mustChange }: Write, prepared: Prepared): void {
  const { changes } = prepared.get(statement).run(...values);
  if (mustChange && Number(changes) === 0) {
    throw new Error("there is no such route or session of this connection");
  }
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
  { whole, dataAlone }: ReturnType<typeof routeStatements>,
): Write {
  return keys === null
    ? { statement: dataAlone, values: [data, id, connection], mustChange: true }
    : { statement: whole, values: [id, connection, keys, data], mustChange: true };
}

/** A route stays with its connection: with another one nothing is changed. */
function routeStatements(table: rows.RouteTable) {
  const text = upsert(table, ["id", "connection", "keys", "data"], ["id"]);
  return {
    whole: `${text} WHERE connection = excluded.connection`,
    dataAlone: `UPDATE ${table} SET data = ? WHERE id = ? AND connection = ?`,
    delete: `DELETE FROM ${table} WHERE connection = ? AND id = ?`,
  };
}

/** The text is made of names in this program alone. */
function upsert(table: rows.TableName, columns: readonly string[], key: readonly string[]): string {
  const updates = columns.filter((name) => !key.includes(name)).map((name) => `${name} = excluded.${name}`);
  return `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")}) ` +
    `ON CONFLICT (${key.join(", ")}) DO UPDATE SET ${updates.join(", ")}`;
}
