import { type DBSchema, deleteDB, type IDBPDatabase, openDB } from "idb";
import { deleteReserve, type Reserve } from "./reserve.ts";

/** The database of files, beside that of the agent. */
const databaseName = "smp-web-chat-files";

/**
 * Bytes of the browser's room for this page that are left to the agent: without any it cannot store a message. Of little
 * room a quarter.
 */
const reserved = 64 * 1024 * 1024;

/** How much room there is, in bytes, and what of it is taken; what is missing is not known. */
export type Estimate = () => Promise<{ readonly quota?: number; readonly usage?: number }>;

/** A file of a conversation. */
export interface FileEntry {
  /** {@linkcode keyOf}. */
  readonly key: string;
  /** The stream's ID. */
  readonly id: string;
  /** The connection's ID. */
  readonly conversation: string;
  readonly direction: "sending" | "receiving";
  /** As it is shown and saved, whatever its sender calls it. */
  readonly name: string;
  readonly type: string;
  readonly size: number | null;
  /** When it was offered. */
  readonly at: number;
  /** The number of the last message before it. */
  readonly after: number;
  /** `offered`: nobody has accepted it; `going`: it is on its way; `done`: all is there; `ended`: it never will be. */
  readonly status: "offered" | "going" | "done" | "ended";
  readonly isPaused: boolean;
  /** Why it has ended; what became of one that is done. */
  readonly note: string;
  /** Whether it is written to a place that the person has chosen, and not kept by the page. */
  readonly isElsewhere: boolean;
  /** Whether all of it has come and was compared with the SHA-256 that its sender has told. @default false */
  readonly isWhole?: boolean;
}

/** What tells the files of all conversations apart. */
export function keyOf(
  { conversation, direction, id }: Pick<FileEntry, "conversation" | "direction" | "id">,
): string {
  return `${conversation} ${direction} ${id}`;
}

interface Schema extends DBSchema {
  files: { key: string; value: FileEntry };
  /** Content, in order: by key and number. */
  parts: { key: [string, number]; value: Blob };
}

/**
 * Files of all conversations with their content: in memory alone, or in this browser too, where they last. The agent's
 * passphrase does not encrypt them, so that with one they are kept in memory.
 */
export class FileStore {
  readonly #entries = new Map<string, FileEntry>();
  readonly #parts = new Map<string, Blob[]>();
  /** Files of which a part could not be stored: the others are of no use after a restart. */
  readonly #incomplete = new Set<string>();
  #database: IDBPDatabase<Schema> | null;
  readonly #reserve: Reserve;
  readonly #estimate: Estimate;
  /** Bytes that may be stored. */
  #free = Infinity;

  private constructor(database: IDBPDatabase<Schema> | null, reserve: Reserve, estimate: Estimate) {
    this.#database = database;
    this.#reserve = reserve;
    this.#estimate = estimate;
  }

  /** Opens it; `lasts`: whether they last longer than the page. Where the browser has no room they do not. */
  static async open(
    lasts: boolean,
    reserve: Reserve,
    estimate: Estimate = roomOfPage,
  ): Promise<FileStore> {
    if (!lasts) {
      await FileStore.delete();
      return new FileStore(null, reserve, estimate);
    }
    const database = await openDB<Schema>(databaseName, 1, {
      upgrade(upgraded) {
        upgraded.createObjectStore("files", { keyPath: "key" });
        upgraded.createObjectStore("parts");
      },
      blocking: (_current, _blocked, event) => (event.target as IDBDatabase).close(),
    }).catch(() => null);
    const store = new FileStore(database, reserve, estimate);
    if (database !== null) await store.#read(database);
    if (store.#parts.size > 0) await reserve.restore();
    await store.#look();
    return store;
  }

  /** Deletes what is stored, also while another tab has it open. */
  static async delete(): Promise<void> {
    await deleteReserve();
    await deleteDB(databaseName).catch(() => {});
  }

  /** All of them, in no order. */
  all(): FileEntry[] {
    return [...this.#entries.values()];
  }

  /** One of them. */
  get(key: string): FileEntry | undefined {
    return this.#entries.get(key);
  }

  /** Whether a file lasts longer than the page. */
  lasts(key: string): boolean {
    return this.#database !== null && !this.#incomplete.has(key);
  }

  /** What is there of a file. */
  content(key: string): Blob {
    return new Blob(this.#parts.get(key) ?? []);
  }

  /** Whether there is anything of a file. */
  hasContent(key: string): boolean {
    return this.#parts.has(key);
  }

  /** Adds or changes a file. */
  async put(entry: FileEntry): Promise<void> {
    this.#entries.set(entry.key, entry);
    await this.#write((database) => database.put("files", entry));
  }

  /** Adds to the content of a file; nothing when it was removed, or is meanwhile. */
  async append(key: string, part: Blob): Promise<void> {
    if (!this.#entries.has(key)) return;
    const parts = this.#parts.get(key) ?? [];
    this.#parts.set(key, [...parts, part]);
    if (this.#incomplete.has(key)) return;
    // It may be cleared or removed while it waits, and another one be there by then.
    const isWanted = () => this.#parts.get(key)?.includes(part) ?? false;
    const hasRoom = part.size <= this.#free && this.#database !== null && await this.#reserve.take();
    if (!isWanted()) return;
    // What browsers say of their room need not be true.
    if (hasRoom && await this.#write((database) => database.put("parts", part, [key, parts.length]))) {
      return await this.#look();
    }
    if (!isWanted()) return;
    this.#incomplete.add(key);
    await this.#write((database) => database.delete("parts", partsOf(key)));
    await this.#freed();
  }

  /** Removes the content of a file. */
  async clear(key: string): Promise<void> {
    this.#parts.delete(key);
    this.#incomplete.delete(key);
    await this.#write((database) => database.delete("parts", partsOf(key)));
    await this.#freed();
  }

  /** Removes a file, all of it at once: the page may be left at any moment. */
  async remove(key: string): Promise<void> {
    this.#entries.delete(key);
    this.#parts.delete(key);
    this.#incomplete.delete(key);
    await this.#write((database) => {
      const transaction = database.transaction(["files", "parts"], "readwrite");
      return Promise.all([
        transaction.objectStore("files").delete(key),
        transaction.objectStore("parts").delete(partsOf(key)),
        transaction.done,
      ]);
    });
    await this.#freed();
  }

  /** From now on they are in memory alone, and nothing is stored any more. */
  async stopLasting(): Promise<void> {
    if (this.#database === null) return;
    // What was read from there stays until nobody has it any more.
    this.close();
    await FileStore.delete();
    await this.#reserve.drop();
  }

  /** Lets another page have it. */
  close(): void {
    this.#database?.close();
    this.#database = null;
  }

  /** Reads what is there; parts without a file are from a page that was left at that moment. */
  async #read(database: IDBPDatabase<Schema>): Promise<void> {
    for (const entry of await database.getAll("files")) {
      this.#entries.set(entry.key, entry);
    }
    for (const [key] of await database.getAllKeys("parts")) {
      if (!this.#entries.has(key)) await database.delete("parts", partsOf(key));
      else if (!this.#parts.has(key)) this.#parts.set(key, await database.getAll("parts", partsOf(key)));
    }
  }

  /** There may be more room. */
  async #freed(): Promise<void> {
    if (this.#database === null) return;
    await this.#reserve.retake();
    await this.#look();
  }

  /** Looks how much may be stored. */
  async #look(): Promise<void> {
    if (this.#database === null) return;
    const { quota, usage } = await this.#estimate().catch(() => ({ quota: undefined, usage: undefined }));
    this.#free = quota === undefined || usage === undefined
      ? Infinity
      : quota - usage - Math.min(reserved, quota / 4);
  }

  /** Whether it was written; what cannot be is in memory. */
  async #write(write: (database: IDBPDatabase<Schema>) => Promise<unknown>): Promise<boolean> {
    if (this.#database === null) return false;
    try {
      await write(this.#database);
      return true;
    } catch {
      return false;
    }
  }
}

async function roomOfPage(): ReturnType<Estimate> {
  return await navigator.storage?.estimate() ?? {};
}

function partsOf(key: string): IDBKeyRange {
  return IDBKeyRange.bound([key, 0], [key, Infinity]);
}
