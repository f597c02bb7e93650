import type { DatabaseSync } from "node:sqlite";
import { checkDatabase, openDatabase, openError } from "./sqlite_file.ts";
import { type Query, queryOf, readAll, readError, readPassphrase } from "./sqlite_reads.ts";
import { type StoreChange, StoreError } from "./store.ts";
import { type PassphraseOptions, type PassphraseRecord, type Vault, vaultFor } from "./vault.ts";

/** Something that a snapshot can be taken of. */
export interface SnapshotSource {
  /** All that is stored, as changes that make it in an empty store: the state of one moment, while commits go on. */
  snapshot(): AsyncIterable<StoreChange>;
}

/**
 * Reads a database in one transaction of a connection of its own, which is closed at the end. `vault` is asked for when
 * the transaction has begun.
 */
export async function* readSnapshot(
  path: string,
  { vault, open }: {
    readonly vault: (query: Query) => Vault;
    /** Has the connection as long as it is open. */
    readonly open?: Set<DatabaseSync>;
  },
): AsyncGenerator<StoreChange> {
  let database;
  try {
    database = openDatabase(path, { readOnly: true });
    open?.add(database);
    const connection = database;
    connection.exec("BEGIN");
    const query = queryOf((text) => connection.prepare(text));
    // The transaction sees what there is when it reads for the first time: not an await after the vault is known.
    readPassphrase(query);
    yield* readAll(query, vault(query));
  } catch (error) {
    throw readError(error);
  } finally {
    if (database !== undefined) closeReader(database);
    if (database !== undefined) open?.delete(database);
  }
}

/** Closes a connection of a snapshot, which may be closed. */
export function closeReader(database: DatabaseSync): void {
  try {
    database.close();
  } catch {
    // The store was closed meanwhile.
  }
}

/** See `SqliteStore.openForReading`. */
export async function openSnapshotSource(
  path: string,
  { passphrase }: Pick<PassphraseOptions, "passphrase">,
): Promise<SnapshotSource> {
  let database;
  try {
    database = openDatabase(path, { readOnly: true });
    const state = checkDatabase(database, path);
    if (state === "new") throw new StoreError("OPEN", `Cannot open ${path}: it is empty`);
    if (state !== "current") {
      const reason = "it was written by an older version of the agent; start the agent with it first";
      throw new StoreError("OPEN", `Cannot open ${path}: ${reason}`);
    }
    const connection = database;
    const record = readPassphrase(queryOf((text) => connection.prepare(text)));
    const { vault } = await vaultFor({ ...(passphrase !== undefined && { passphrase }) }, {
      record,
      isEmpty: false,
    });
    return { snapshot: () => readSnapshot(path, { vault: (query) => checkSame(query, record) ?? vault }) };
  } catch (error) {
    throw openError(path, error);
  } finally {
    database?.close();
  }
}

/** The agent that uses the database may change its passphrase. */
function checkSame(query: Query, record: PassphraseRecord | null): null {
  const bytesOf = (one: PassphraseRecord | null) => one === null ? "" : one.key.join();
  if (bytesOf(readPassphrase(query)) === bytesOf(record)) return null;
  throw new StoreError("PASSPHRASE", "Cannot read the store: its passphrase was changed meanwhile");
}
