import { deleteDB, openDB } from "idb";

/** The database that has it, of so many entries of so many bytes: Chromium does not count all of a large Blob. */
const databaseName = "smp-web-chat-reserve", count = 8, length = 1024 * 1024;

/** Bytes that can be had at once of `crypto`. */
const mostRandom = 65_536;

/** Room that files do not get, for messages when there is none left: some browsers do not say how much there is. */
export class Reserve {
  readonly #changed: (isUsed: boolean) => void;
  #isUsed = false;

  /** `changed` is told when messages have it, and when it is there again. */
  constructor(changed: (isUsed: boolean) => void) {
    this.#changed = changed;
  }

  /** Whether it could be taken, or was before. */
  async take(): Promise<boolean> {
    const isThere = await takeReserve();
    if (isThere) this.#set(false);
    return isThere;
  }

  /** Takes it, when it was there before, of this page or of one that was closed. */
  async restore(): Promise<void> {
    if (!await this.take()) this.#set(true);
  }

  /** Takes it again when messages have got it. */
  async retake(): Promise<void> {
    if (this.#isUsed) await this.take();
  }

  /** Gives it to messages; whether there was any. */
  async give(): Promise<boolean> {
    const wasThere = await deleteReserve();
    if (wasThere) this.#set(true);
    return wasThere;
  }

  /** There are no files any more that would leave messages no room. */
  async drop(): Promise<void> {
    await deleteReserve();
    this.#set(false);
  }

  #set(isUsed: boolean): void {
    if (isUsed === this.#isUsed) return;
    this.#isUsed = isUsed;
    this.#changed(isUsed);
  }
}

/** Deletes it; whether there was any. */
export async function deleteReserve(): Promise<boolean> {
  const names = await indexedDB.databases().catch(() => []);
  if (!names.some(({ name }) => name === databaseName)) return false;
  return await deleteDB(databaseName).then(() => true, () => false);
}

async function takeReserve(): Promise<boolean> {
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
    database.close();
    await deleteReserve();
    return false;
  } finally {
    database.close();
  }
}

function incompressible(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += mostRandom) {
    crypto.getRandomValues(bytes.subarray(at, at + mostRandom));
  }
  return bytes;
}
