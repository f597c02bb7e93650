/**
 * A store for agents in one SQLite file (docs/agent-store.md).
 *
 * @example An agent that survives restarts
 * ```ts
 * import { Agent } from "@simplexmq/smp/agent";
 * import { SqliteStore } from "@simplexmq/smp/agent/sqlite";
 *
 * const store = await SqliteStore.open("agent.db");
 * await using agent = await Agent.start({ servers: ["localhost:5223"], store });
 * console.log(agent.connections().length);
 * ```
 *
 * @module
 */
import { closeSync, openSync } from "node:fs";
import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";
import type * as NodeSqlite from "node:sqlite";
import { migrations } from "./migrations.ts";
import {
  connectionColumns,
  messageColumns,
  outboxColumns,
  readConnection,
  readMessage,
  readOutboxEntry,
  receivingColumns,
  type Row,
  sendingColumns,
} from "./rows.ts";
import {
  type AgentStore,
  type ConnectionRecord,
  type MessageQuery,
  type MessageRecord,
  type OutboxEntry,
  type StoreChange,
  StoreError,
} from "./store.ts";
import { type PassphraseOptions, type PassphraseRecord, type Vault, vaultFor } from "./vault.ts";

export { StoreError };

/** How a store is opened. */
export type SqliteStoreOptions = PassphraseOptions;

const runtime = globalThis as { process?: { getBuiltinModule?(id: string): unknown } };

interface Pending {
  readonly changes: readonly StoreChange[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** A statement with its values. */
type Write = readonly [statement: string, values: readonly SQLInputValue[]];

const statements = {
  putConnection: upsert("connections", connectionColumns, ["alias"]),
  putReceiving: upsert("receiving_queues", receivingColumns, ["alias"]),
  putSending: upsert("sending_queues", sendingColumns, ["alias"]),
  putOutbox: upsert("outbox", outboxColumns, ["alias", "position"]),
  putMessage: upsert("messages", messageColumns, ["alias", "id"]),
  deleteConnection: "DELETE FROM connections WHERE alias = ?",
  deleteOutbox: "DELETE FROM outbox WHERE alias = ? AND position = ?",
  messageDone: "UPDATE messages SET done = 1 WHERE alias = ? AND id = ?",
} as const;

/** Keeps connections and messages in one SQLite file of mode 0600, which one program at a time can use. */
export class SqliteStore implements AgentStore {
  readonly #database: DatabaseSync;
  readonly #vault: Vault;
  readonly #statements = new Map<string, StatementSync>();
  #pending: Pending[] = [];
  #flushing: Promise<void> | null = null;
  #isClosed = false;

  private constructor(database: DatabaseSync, vault: Vault) {
    this.#database = database;
    this.#vault = vault;
  }

  /** Opens or makes the file at `path`, and brings an older one up to date. Throws {@linkcode StoreError}. */
  static async open(path: string, options: SqliteStoreOptions = {}): Promise<SqliteStore> {
    let database;
    try {
      const sqlite = loadSqlite();
      // What SQLite makes beside it gets the same mode.
      if (path !== ":memory:") closeSync(openSync(path, "a", 0o600));
      database = new sqlite.DatabaseSync(path, { timeout: 0 });
      prepare(database, path);
      return new SqliteStore(database, await openVaultOf(database, options));
    } catch (error) {
      database?.close();
      throw openError(path, error);
    }
  }

  /** See {@linkcode AgentStore}. */
  async connections(): Promise<ConnectionRecord[]> {
    const byAlias = (table: string) =>
      new Map(this.#all(`SELECT * FROM ${table}`).map((row) => [row.alias, row]));
    const [receiving, sending] = [byAlias("receiving_queues"), byAlias("sending_queues")];
    const records = [];
    for (const row of this.#all("SELECT * FROM connections ORDER BY created_at, rowid")) {
      records.push(await readConnection(row, receiving.get(row.alias), sending.get(row.alias), this.#vault));
    }
    return records;
  }

  /** See {@linkcode AgentStore}. */
  outboxAliases(): Promise<string[]> {
    return Promise.resolve(this.#all("SELECT DISTINCT alias FROM outbox").map((row) => String(row.alias)));
  }

  /** See {@linkcode AgentStore}. */
  async outbox(alias: string, limit: number): Promise<OutboxEntry[]> {
    const rows = this.#all("SELECT * FROM outbox WHERE alias = ? ORDER BY position LIMIT ?", alias, limit);
    return await Promise.all(rows.map((row) => readOutboxEntry(row, this.#vault)));
  }

  /** See {@linkcode AgentStore}. */
  async message(alias: string, id: number): Promise<MessageRecord | null> {
    const [row] = this.#all("SELECT * FROM messages WHERE alias = ? AND id = ?", alias, id);
    return row === undefined ? null : await readMessage(row, this.#vault);
  }

  /** See {@linkcode AgentStore}. */
  async messages(
    alias: string,
    { before = Number.MAX_SAFE_INTEGER, limit = 100 }: MessageQuery = {},
  ): Promise<MessageRecord[]> {
    const query = "SELECT * FROM messages WHERE alias = ? AND id < ? ORDER BY id DESC LIMIT ?";
    const rows = this.#all(query, alias, before, limit).toReversed();
    return await Promise.all(rows.map((row) => readMessage(row, this.#vault)));
  }

  /** See {@linkcode AgentStore}. */
  commit(changes: readonly StoreChange[]): Promise<void> {
    if (this.#isClosed) {
      return Promise.reject(new StoreError("WRITE", "Cannot write to the store: it is closed"));
    }
    return new Promise((resolve, reject) => {
      this.#pending.push({ changes, resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  /** See {@linkcode AgentStore}. */
  prune(before: number): Promise<number> {
    const { changes } = this.#statement("DELETE FROM messages WHERE done = 1 AND at < ?").run(before);
    return Promise.resolve(Number(changes));
  }

  /** Writes what waits and closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#flushing;
    this.#database.close();
  }

  /** Writes all commits that wait in one transaction, until none waits. */
  async #flush(): Promise<void> {
    await Promise.resolve();
    while (this.#pending.length > 0) {
      const batch = this.#pending.splice(0);
      const writes: Write[][] = [];
      for (const { changes } of batch) {
        writes.push((await Promise.all(changes.map((c) => this.#writes(c)))).flat());
      }
      try {
        this.#transact(writes.flat());
        for (const { resolve } of batch) resolve();
      } catch {
        // One of them is at fault: the others must not fail with it.
        batch.forEach(({ resolve, reject }, i) => {
          try {
            this.#transact(writes[i]!);
            resolve();
          } catch (cause) {
            reject(new StoreError("WRITE", `Cannot write to the store: ${messageOf(cause)}`, { cause }));
          }
        });
      }
    }
    this.#flushing = null;
  }

  #transact(writes: readonly Write[]): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      for (const [statement, values] of writes) this.#statement(statement).run(...values);
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  async #writes(change: StoreChange): Promise<Write[]> {
    const vault = this.#vault;
    switch (change.type) {
      case "put connection": {
        const { record, withQueues } = change;
        const writes: Write[] = [[statements.putConnection, await values(connectionColumns, record, vault)]];
        if (!withQueues) return writes;
        const { alias, receiving, sending } = record;
        if (receiving !== null) {
          writes.push([
            statements.putReceiving,
            await values(receivingColumns, { alias, ...receiving }, vault),
          ]);
        }
        if (sending !== null) {
          writes.push([statements.putSending, await values(sendingColumns, { alias, ...sending }, vault)]);
        }
        return writes;
      }
      case "delete connection":
        return [[statements.deleteConnection, [change.alias]]];
      case "put outbox":
        return [[statements.putOutbox, await values(outboxColumns, change.entry, vault)]];
      case "delete outbox":
        return [[statements.deleteOutbox, [change.alias, change.position]]];
      case "put message":
        return [[statements.putMessage, await values(messageColumns, change.message, vault)]];
      case "message done":
        return [[statements.messageDone, [change.alias, change.id]]];
      default:
        return change satisfies never;
    }
  }

  #all(query: string, ...parameters: SQLInputValue[]): Row[] {
    try {
      return this.#statement(query).all(...parameters) as Record<string, SQLOutputValue>[];
    } catch (cause) {
      throw new StoreError("READ", `Cannot read the store: ${messageOf(cause)}`, { cause });
    }
  }

  #statement(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (statement === undefined) this.#statements.set(text, statement = this.#database.prepare(text));
    return statement;
  }
}

/** How a value of `T` becomes the columns of a table. */
type Columns<T> = Readonly<
  Record<string, (value: T, vault: Vault) => SQLInputValue | Promise<SQLInputValue>>
>;

function values<T>(columns: Columns<T>, value: T, vault: Vault): Promise<SQLInputValue[]> {
  return Promise.all(Object.values(columns).map((read) => read(value, vault)));
}

/** The text is made of names in this program alone. */
function upsert(table: string, columns: Readonly<Record<string, unknown>>, key: readonly string[]): string {
  const names = Object.keys(columns);
  const updates = names.filter((name) => !key.includes(name)).map((name) => `${name} = excluded.${name}`);
  return `INSERT INTO ${table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")}) ` +
    `ON CONFLICT (${key.join(", ")}) DO UPDATE SET ${updates.join(", ")}`;
}

/** Not imported, so that older versions of Node get an error that says what to do. */
function loadSqlite(): typeof NodeSqlite {
  const sqlite = runtime.process?.getBuiltinModule?.("node:sqlite");
  if (sqlite === undefined) throw new Error("there is no node:sqlite here; Node has it since version 22.13");
  return sqlite as typeof NodeSqlite;
}

function prepare(database: DatabaseSync, path: string): void {
  // Exclusive from the first access on: a second agent on the same file would lose messages.
  database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  database.exec("PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON");
  const version = Number(database.prepare("PRAGMA user_version").get()!.user_version);
  if (version > migrations.length) {
    throw new StoreError("OPEN", `Cannot open ${path}: it was written by a newer version of the agent`);
  }
  database.exec("BEGIN EXCLUSIVE");
  try {
    for (const step of migrations.slice(version)) database.exec(step);
    // A pragma takes no parameters; this is a number.
    database.exec(`PRAGMA user_version = ${migrations.length}`);
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

async function openVaultOf(database: DatabaseSync, options: SqliteStoreOptions): Promise<Vault> {
  const row = database.prepare("SELECT * FROM passphrase").get();
  const record = row === undefined ? null : row as unknown as PassphraseRecord;
  const { count } = database.prepare("SELECT count(*) AS count FROM connections").get()!;
  const { vault, created } = await vaultFor(options, { record, isEmpty: count === 0 });
  if (created === null) return vault;
  const insert = "INSERT INTO passphrase (only, salt, iterations, proof) VALUES (1, ?, ?, ?)";
  database.prepare(insert).run(created.salt, created.iterations, created.proof);
  return vault;
}

function openError(path: string, cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const message = messageOf(cause);
  if (/database is locked/i.test(message)) {
    return new StoreError("IN_USE", `Cannot open ${path}: another agent uses it`, { cause });
  }
  return new StoreError("OPEN", `Cannot open ${path}: ${message}`, { cause });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
