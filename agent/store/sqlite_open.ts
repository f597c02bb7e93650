import type { DatabaseSync } from "node:sqlite";
import { migrateV1 } from "./migrate_v1.ts";
import { putPassphrase } from "./reseal.ts";
import { applicationId, schema, schemaVersion, version3 } from "./schema.ts";
import {
  busyTimeout,
  checkDatabase,
  checkHeader,
  fileOf,
  ForeignFileError,
  loadSqlite,
  openError,
} from "./sqlite_file.ts";
import { type Locked, lockPathOf, openLocked, removeLock } from "./sqlite_lock.ts";
import { queryOf, readPassphrase } from "./sqlite_reads.ts";
import { rollBack } from "./sqlite_writes.ts";
import { StoreError } from "./store.ts";
import { type PassphraseOptions, type PassphraseRecord, type Vault, vaultFor } from "./vault.ts";

/** Of the log, after which SQLite writes it to the file when something is committed: as it does by default. */
const pagesOfLog = 1000;

/** A file that is open. */
export interface Opened extends Pick<Locked, "database" | "lock" | "place"> {
  readonly vault: Vault;
}

/** Opens or makes a file, locks it and brings it up to date. Throws `StoreError`. */
export async function openFile(path: string, options: PassphraseOptions): Promise<Opened> {
  if (path === "" || path === ":memory:") {
    throw new StoreError("OPEN", "Cannot open a store in memory with SQLite: use MemoryStore");
  }
  let locked: Locked | null = null;
  try {
    // No file is made where it cannot be opened.
    loadSqlite();
    locked = openLocked(path);
    const { database, lock, place } = locked;
    checkHeader(fileOf(database));
    return { database, lock, place, vault: await prepare(database, path, options) };
  } catch (error) {
    if (locked !== null) giveUp(locked, error);
    throw openError(path, error);
  }
}

function giveUp({ database, lock, isNewLock }: Locked, error: unknown): void {
  const lockPath = lockPathOf(database);
  database.close();
  // Beside a file of another program none is left.
  if (isNewLock && error instanceof ForeignFileError) removeLock(lock, lockPath);
  else lock.close();
}

/** Makes or migrates the tables and opens their vault. */
async function prepare(database: DatabaseSync, path: string, options: PassphraseOptions): Promise<Vault> {
  const state = checkDatabase(database, path);
  setPragmas(database);
  if (state === "current") {
    const { vault, record } = await openVault(database, options);
    if (record !== null) putPassphrase(database, record);
    truncateLog(database);
    return vault;
  }
  database.exec("BEGIN EXCLUSIVE");
  let vault: Vault, record: PassphraseRecord | null;
  try {
    if (state === "new") {
      database.exec(schema);
      const opened = await vaultFor(options, { record: null, isEmpty: true });
      [vault, record] = [opened.vault, opened.created];
    } else if (state === "version 1") {
      ({ vault, record } = await migrateV1(database, options));
    } else {
      ({ vault, record } = await openVault(database, options));
      database.exec(version3);
    }
    if (record !== null) putPassphrase(database, record);
    // A pragma takes no parameters; these are numbers.
    database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${schemaVersion}`);
    database.exec("COMMIT");
  } catch (error) {
    rollBack(database);
    throw error;
  }
  truncateLog(database);
  return vault;
}

/** The vault of what is there, and what is to be kept of its passphrase if that is new. */
async function openVault(
  database: DatabaseSync,
  options: PassphraseOptions,
): Promise<{ readonly vault: Vault; readonly record: PassphraseRecord | null }> {
  const query = queryOf((text) => database.prepare(text));
  const isEmpty = ["connections", "discarded_queues"].every((table) =>
    query(`SELECT 1 FROM ${table} LIMIT 1`).length === 0
  );
  const { vault, created } = await vaultFor(options, { record: readPassphrase(query), isEmpty });
  return { vault, record: created };
}

/** Makes a connection one that may write. */
export function setPragmas(database: DatabaseSync): void {
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  database.exec("PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON");
}

/**
 * Does not wait for the disk: a power cut undoes what `write` commits, unless more is committed later. What is in the log
 * goes to the file later, as SQLite tells nobody of a sync that fails when it does that by itself.
 */
export function unsynced(database: DatabaseSync, write: () => void): void {
  database.exec("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0");
  try {
    write();
  } finally {
    database.exec(`PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = ${pagesOfLog}`);
  }
}

/**
 * Writes all that is in the log to the file and empties it; gives whether nobody hinders that by reading. It does not
 * wait for readers: that would stop the program.
 */
export function truncateLog(database: DatabaseSync): boolean {
  database.exec("PRAGMA busy_timeout = 0");
  try {
    return database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get()!.busy === 0;
  } finally {
    database.exec(`PRAGMA busy_timeout = ${busyTimeout}`);
  }
}
