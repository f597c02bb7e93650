import { closeSync, openSync, readSync, statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import type * as NodeSqlite from "node:sqlite";
import { whyNotRegular } from "../../cli/file_kind.ts";
import { applicationId, schemaVersion } from "./schema.ts";
import { StoreError } from "./store.ts";

const runtime = globalThis as { process?: { getBuiltinModule?(id: string): unknown } };

/** Milliseconds for which a statement waits for another program that writes to the file. */
export const busyTimeout = 1000;

/** The tables of a file of version 1, which had no application ID. */
const firstTables = ["connections", "messages", "outbox", "passphrase", "receiving_queues", "sending_queues"];

/** A file is another program's. */
export class ForeignFileError extends StoreError {}

/** What is in a file. */
export type FileState = "new" | "version 1" | "version 2" | "current";

/** SQLite. Throws what says how to get `node:sqlite` where there is none. */
export function loadSqlite(): typeof NodeSqlite {
  // Not imported, so that older versions of Node get an error that says what to do.
  const sqlite = runtime.process?.getBuiltinModule?.("node:sqlite") as typeof NodeSqlite | undefined;
  if (sqlite === undefined) throw new Error("there is no node:sqlite here; Node has it since version 22.13");
  return sqlite;
}

/** Opens a database. Throws what {@linkcode loadSqlite} throws, and `StoreError` (`OPEN`) when it is no regular file. */
export function openDatabase(path: string, options: { readonly readOnly: boolean }): DatabaseSync {
  const { DatabaseSync } = loadSqlite();
  // SQLite would wait for who writes to a named pipe.
  checkRegular(path);
  const database = new DatabaseSync(path, options);
  try {
    const file = fileOf(database);
    for (const end of ["-wal", "-shm", "-journal"]) checkRegular(`${file}${end}`);
    database.exec(`PRAGMA busy_timeout = ${busyTimeout}`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Links to regular files are good, and what is not there is for SQLite to judge. */
function checkRegular(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || found.isFile()) return;
  const why = whyNotRegular({ mode: found.mode, isDirectory: found.isDirectory() });
  throw new StoreError("OPEN", `Cannot open ${path}: ${why}`);
}

/** The absolute path of a database, as SQLite has found it by following links. */
export function fileOf(database: DatabaseSync): string {
  return String(database.prepare("PRAGMA database_list").get()!.file);
}

/**
 * Makes an empty file that nobody else can read, unless it is there; gives whether it was made. What SQLite makes beside
 * it gets the same mode.
 */
export function makeFile(path: string): boolean {
  try {
    // Never opened when it is there: closing it would give up all locks that this process has on it.
    closeSync(openSync(path, "wx", 0o600));
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

/**
 * Refuses a file of another program or of a newer version, as far as its first bytes tell, without SQLite, which would
 * tidy up beside it. Only for who has the lock: see {@linkcode makeFile}.
 */
export function checkHeader(path: string): void {
  const header = new Uint8Array(100);
  const file = openSync(path, "r");
  try {
    // Whatever is shorter is for SQLite to judge.
    if (readSync(file, header, 0, header.length, 0) < header.length) return;
  } finally {
    closeSync(file);
  }
  const view = new DataView(header.buffer);
  // https://www.sqlite.org/fileformat2.html#the_database_header
  checkNumbers(path, { id: view.getInt32(68), version: view.getInt32(60) });
}

/** What is in a database. Throws `StoreError` (`OPEN`) when it belongs to another program or to a newer version. */
export function checkDatabase(database: DatabaseSync, path: string): FileState {
  const pragma = (name: string) => Number(database.prepare(`PRAGMA ${name}`).get()![name]);
  const [id, version] = [pragma("application_id"), pragma("user_version")];
  checkNumbers(path, { id, version });
  if (id === applicationId) return version < schemaVersion ? "version 2" : "current";
  const query =
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
  const tables = database.prepare(query).all().map(({ name }) => String(name));
  if (version === 0 && tables.length === 0) return "new";
  if (version === 1 && tables.join() === firstTables.join()) return "version 1";
  throw foreignError(path);
}

/** The error of a file that cannot be opened. */
export function openError(path: string, cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  if (/database is locked/i.test(message)) {
    return new StoreError("IN_USE", `Cannot open ${path}: another agent uses it`, { cause });
  }
  return new StoreError("OPEN", `Cannot open ${path}: ${message}`, { cause });
}

function checkNumbers(
  path: string,
  { id, version }: { readonly id: number; readonly version: number },
): void {
  if (id !== 0 && id !== applicationId) throw foreignError(path);
  if (id === applicationId && version > schemaVersion) {
    throw new StoreError("OPEN", `Cannot open ${path}: it was written by a newer version of the agent`);
  }
}

function foreignError(path: string): ForeignFileError {
  return new ForeignFileError("OPEN", `Cannot open ${path}: it belongs to another program`);
}
