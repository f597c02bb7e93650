import { deleteDB, openDB } from "idb";

/** The database that has it, of so many entries of so many bytes: Chromium does not count all of a large Blob. */
const databaseName = "smp-web-chat-reserve", count = 8, length = 1024 * 1024;

/** Bytes that can be had at once of `crypto`. */
const mostRandom = 65_536;

/**
 * Takes room that files do not get, for messages when there is none left: some browsers do not say how much there is. Whether it
 * could be taken, or was before.
 */
export async function takeReserve(): Promise<boolean> {
  const database = await openDB(databaseName, 1, {
    upgrade: (upgraded) => void upgraded.createObjectStore("bytes"),
  }).catch(() => null);
  if (database === null) return false;
  try {
    if (await database.count("bytes") > 0) return true;
    const { store, done } = database.transaction("bytes", "readwrite");
    const all = Array.from({ length: count }, (_, at) => store.put(incompressible(), at));
    await Promise.all([...all, done]);
    return true;
  } catch {
    return false;
  } finally {
    database.close();
  }
}

/** Gives it back; whether there was any. */
export async function giveReserve(): Promise<boolean> {
  const names = await indexedDB.databases().catch(() => []);
  if (!names.some(({ name }) => name === databaseName)) return false;
  return await deleteDB(databaseName).then(() => true, () => false);
}

function incompressible(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += mostRandom) {
    crypto.getRandomValues(bytes.subarray(at, at + mostRandom));
  }
  return bytes;
}
