import { deleteDB, openDB } from "idb";
import { inUse, lockPatience } from "./indexeddb_lock.ts";
import { createTables, type Database, databaseVersion, type Tables } from "./indexeddb_tables.ts";

/** Milliseconds for a request that may stand behind one that waits for another page, which nobody is told. */
const requestPatience = 5_000;

/** What may happen to an open database. */
export interface DatabaseEvents {
  /** Another page waits until it is closed, to delete it or to bring it up to date. */
  taken(): void;
  /** The browser has closed it. */
  removed(): void;
}

/**
 * Opens a database and brings it up to date. Throws `StoreError` (`IN_USE`) when a page with an older version of the
 * agent has it open.
 */
export async function openDatabase(name: string, { taken, removed }: DatabaseEvents): Promise<Database> {
  let isGivenUp = false, isWanted = false;
  const opened = await patiently(name, (blocked) =>
    openDB<Tables>(name, databaseVersion, {
      upgrade: (database, oldVersion, _, transaction) => createTables(database, oldVersion, transaction),
      blocked,
      blocking() {
        isWanted = true;
        taken();
      },
      terminated: removed,
    }).then((database) => {
      if (isGivenUp) database.close();
      return database;
    }), () => isGivenUp = true);
  if (!isWanted) return opened;
  opened.close();
  throw inUse(name);
}

/** Deletes a database. Throws `StoreError` (`IN_USE`) when a page does not close it in time. */
export function deleteDatabase(name: string): Promise<void> {
  return patiently(name, (blocked) => deleteDB(name, { blocked }), () => {});
}

/** Waits for a request, but not for ever, as it may wait for another page. */
function patiently<T>(
  name: string,
  request: (blocked: () => void) => Promise<T>,
  giveUp: () => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => {
      giveUp();
      reject(inUse(name));
    };
    let timer = setTimeout(late, requestPatience);
    const blocked = () => {
      clearTimeout(timer);
      timer = setTimeout(late, lockPatience);
    };
    request(blocked).then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
