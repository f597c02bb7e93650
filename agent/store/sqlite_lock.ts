import { rmSync, statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { fileOf, makeFile, openDatabase } from "./sqlite_file.ts";
import { StoreError } from "./store.ts";

/** Each time another agent has to remove its files in the moment in which they are opened. */
const mostTries = 100;

/** What tells a file from any other that has its path later. */
export interface Place {
  readonly dev: number;
  readonly ino: number;
}

/** A database that no other agent can use. */
export interface Locked {
  readonly database: DatabaseSync;
  /** Holds the lock until it is closed. */
  readonly lock: DatabaseSync;
  /** Which file the database is. */
  readonly place: Place;
  /** Whether there was no file of the lock. */
  readonly isNewLock: boolean;
}

/**
 * Opens or makes a database and keeps other agents from it. The lock is an exclusive one on a file of its own (`…-lock`),
 * so that other programs can read the database meanwhile; it ends with the process, however that ends. Throws `StoreError`
 * (`OPEN`), and what SQLite throws for a lock that is taken.
 */
export function openLocked(path: string): Locked {
  for (let tries = 0; tries < mostTries; tries++) {
    makeFile(path);
    const file = placeOf(path);
    const database = openDatabase(path, { readOnly: false });
    let lock;
    try {
      const lockPath = lockPathOf(database);
      const isNewLock = makeFile(lockPath);
      const lockFile = placeOf(lockPath);
      lock = takeLock(lockPath);
      // Whoever had the lock before may have removed what was opened here.
      if (isAt(file, path) && isAt(lockFile, lockPath)) return { database, lock, place: file, isNewLock };
    } catch (error) {
      database.close();
      throw error;
    }
    database.close();
    lock.close();
  }
  throw new StoreError("OPEN", `Cannot open ${path}: its files are replaced all the time`);
}

/** Closes a database and removes its files, the lock last: who opens them meanwhile finds it, or makes all anew. */
export function removeLocked({ database, lock }: Pick<Locked, "database" | "lock">): void {
  const path = fileOf(database), lockPath = lockPathOf(database);
  database.close();
  for (const end of ["", "-wal", "-shm"]) tryRemove(`${path}${end}`);
  removeLock(lock, lockPath);
}

/** Gives up a lock and removes its file. */
export function removeLock(lock: DatabaseSync, path: string): void {
  const isGone = tryRemove(path);
  lock.close();
  // On Windows no file is removed that is open: then none that another agent has opened meanwhile either.
  if (!isGone) tryRemove(path);
}

/** The path of the file that is locked for a database. */
export function lockPathOf(database: DatabaseSync): string {
  return `${fileOf(database)}-lock`;
}

function takeLock(path: string): DatabaseSync {
  const lock = openDatabase(path, { readOnly: false });
  try {
    // Without a journal file: nothing is ever written.
    lock.exec("PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** Which file has that name. It is not opened: closing it would give up all locks that this process has on it. */
function placeOf(path: string): Place | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

/** Whether a file still has its path. Throws what the system says. */
export function isAt(file: Place | undefined, path: string): file is Place {
  const there = placeOf(path);
  return file !== undefined && there !== undefined && file.dev === there.dev && file.ino === there.ino;
}

function tryRemove(path: string): boolean {
  try {
    rmSync(path, { force: true });
    return true;
  } catch {
    return false;
  }
}
