/**
 * A store for agents in browsers, in one IndexedDB database (docs/agent-store.md).
 *
 * @example An agent that survives reloads of its page
 * ```ts
 * import { Agent } from "@simplexmq/smp/agent";
 * import { IndexedDbStore } from "@simplexmq/smp/agent/indexeddb";
 * import { webSocketTransport } from "@simplexmq/smp";
 *
 * const store = await IndexedDbStore.open("agent", { passphrase: "…" });
 * const client = { transport: webSocketTransport };
 * await using agent = await Agent.start({ servers: ["localhost:5280#x8…"], client, store });
 * await agent.subscribeAll();
 * ```
 *
 * @module
 */
import { deferred } from "../../protocol/mod.ts";
import { type IDBPDatabase, openDB } from "idb";
import {
  apply,
  createTables,
  databaseVersion,
  ofConnection,
  openConnection,
  openEntry,
  openMessage,
  sealChange,
  type Tables,
  tables,
} from "./indexeddb_tables.ts";
import {
  type AgentStore,
  type ConnectionRecord,
  type MessageQuery,
  type MessageRecord,
  type OutboxEntry,
  type StoreChange,
  StoreError,
} from "./store.ts";
import { type PassphraseOptions, type Vault, vaultFor } from "./vault.ts";

export { StoreError };

/** How a store is opened. */
export type IndexedDbStoreOptions = PassphraseOptions;

/** Milliseconds for which a page that is being left may keep a database from the one that follows. */
const lockPatience = 2_000;

interface Pending {
  readonly changes: readonly StoreChange[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Keeps connections and messages in an IndexedDB database, which one page at a time can use. Browsers may remove it when
 * their disk is short, unless the page was granted `navigator.storage.persist()`.
 */
export class IndexedDbStore implements AgentStore {
  readonly #database: IDBPDatabase<Tables>;
  readonly #vault: Vault;
  readonly #unlock: () => Promise<void>;
  #pending: Pending[] = [];
  #flushing: Promise<void> | null = null;
  #isClosed = false;

  private constructor(database: IDBPDatabase<Tables>, vault: Vault, unlock: () => Promise<void>) {
    this.#database = database;
    this.#vault = vault;
    this.#unlock = unlock;
  }

  /** Opens or makes the database of this origin that is called `name`. Throws {@linkcode StoreError}. */
  static async open(name: string, options: IndexedDbStoreOptions = {}): Promise<IndexedDbStore> {
    const unlock = await lock(name);
    let database;
    try {
      database = await openDB<Tables>(name, databaseVersion, { upgrade: createTables });
      const record = await database.get("passphrase", 1) ?? null;
      const isEmpty = await database.count("connections") === 0;
      const { vault, created } = await vaultFor(options, { record, isEmpty });
      if (created !== null) await database.put("passphrase", created, 1);
      return new IndexedDbStore(database, vault, unlock);
    } catch (error) {
      database?.close();
      await unlock();
      throw openError(name, error);
    }
  }

  /** See {@linkcode AgentStore}. */
  connections(): Promise<ConnectionRecord[]> {
    return this.#read(async () => {
      const transaction = this.#database.transaction(["connections", "receiving", "sending"]);
      const [rows, receiving, sending] = await Promise.all([
        transaction.objectStore("connections").getAll(),
        transaction.objectStore("receiving").getAll(),
        transaction.objectStore("sending").getAll(),
      ]);
      const queues = {
        receiving: new Map(receiving.map((queue) => [queue.alias, queue])),
        sending: new Map(sending.map((queue) => [queue.alias, queue])),
      };
      rows.sort((a, b) => a.createdAt - b.createdAt);
      return await Promise.all(rows.map((row) => openConnection(row, queues, this.#vault)));
    });
  }

  /** See {@linkcode AgentStore}. */
  outboxAliases(): Promise<string[]> {
    return this.#read(async () => {
      const keys = await this.#database.getAllKeys("outbox");
      return [...new Set(keys.map(([alias]) => alias))];
    });
  }

  /** See {@linkcode AgentStore}. */
  outbox(alias: string, limit: number): Promise<OutboxEntry[]> {
    return this.#read(async () => {
      // What the interface of browsers takes at most; it would take the rest of the number above that.
      const entries = await this.#database.getAll(
        "outbox",
        ofConnection(alias),
        Math.min(limit, 2 ** 32 - 1),
      );
      return await Promise.all(entries.map((entry) => openEntry(entry, this.#vault)));
    });
  }

  /** See {@linkcode AgentStore}. */
  message(alias: string, id: number): Promise<MessageRecord | null> {
    return this.#read(async () => {
      const message = await this.#database.get("messages", [alias, id]);
      return message === undefined ? null : await openMessage(message, this.#vault);
    });
  }

  /** See {@linkcode AgentStore}. */
  messages(alias: string, { before, limit = 100 }: MessageQuery = {}): Promise<MessageRecord[]> {
    return this.#read(async () => {
      const found: MessageRecord[] = [];
      const { store } = this.#database.transaction("messages");
      let cursor = limit > 0 ? await store.openCursor(ofConnection(alias, before), "prev") : null;
      while (cursor !== null && found.push(cursor.value) < limit) cursor = await cursor.continue();
      return await Promise.all(found.toReversed().map((message) => openMessage(message, this.#vault)));
    });
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
  async prune(before: number): Promise<number> {
    try {
      const { store, done } = this.#database.transaction("messages", "readwrite", { durability: "strict" });
      let count = 0;
      const old = IDBKeyRange.upperBound(before, true);
      for (
        let cursor = await store.index("at").openCursor(old);
        cursor !== null;
        cursor = await cursor.continue()
      ) {
        if (!cursor.value.done) continue;
        await cursor.delete();
        count++;
      }
      await done;
      return count;
    } catch (cause) {
      throw writeError(cause);
    }
  }

  /** Writes what waits, closes the database and lets another page use it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#flushing;
    this.#database.close();
    await this.#unlock();
  }

  async #read<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (cause) {
      if (cause instanceof StoreError) throw cause;
      throw new StoreError("READ", `Cannot read the store: ${messageOf(cause)}`, { cause });
    }
  }

  /** Writes all commits that wait in one transaction, until none waits. */
  async #flush(): Promise<void> {
    await Promise.resolve();
    while (this.#pending.length > 0) {
      const batch = this.#pending.splice(0);
      // Before the transaction, which would end while it waits for cryptography.
      const sealed = await Promise.all(
        batch.map(({ changes }) => Promise.all(changes.map((change) => sealChange(change, this.#vault)))),
      );
      try {
        await this.#transact(sealed.flat());
        for (const { resolve } of batch) resolve();
      } catch {
        // One of them is at fault: the others must not fail with it.
        for (const [i, { resolve, reject }] of batch.entries()) {
          await this.#transact(sealed[i]!).then(resolve, (cause) => reject(writeError(cause)));
        }
      }
    }
    this.#flushing = null;
  }

  /** Makes all changes or none. */
  async #transact(changes: readonly StoreChange[]): Promise<void> {
    // Strict: a message is acknowledged to its server after this, and must survive a power cut then.
    const transaction = this.#database.transaction(tables, "readwrite", { durability: "strict" });
    try {
      for (const change of changes) await apply(transaction, change);
    } catch (error) {
      transaction.done.catch(() => {});
      try {
        transaction.abort();
      } catch {
        // The failure has ended it already.
      }
      throw error;
    }
    await transaction.done;
  }
}

/** Keeps other pages from a database until the function that it gives is called. */
async function lock(name: string): Promise<() => Promise<void>> {
  const { promise: held, resolve: release } = deferred<void>();
  const { promise: granted, resolve: grant, reject: refuse } = deferred<void>();
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), lockPatience);
  const released = navigator.locks.request(`smp-agent-store ${name}`, { signal: late.signal }, () => {
    grant();
    return held;
  });
  released.catch(refuse);
  try {
    await granted;
  } catch (cause) {
    throw new StoreError("IN_USE", `Cannot open ${name}: another agent uses it`, { cause });
  } finally {
    clearTimeout(timer);
  }
  return async () => {
    release();
    await released;
  };
}

function openError(name: string, cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const isNewer = cause instanceof DOMException && cause.name === "VersionError";
  const reason = isNewer ? "it was written by a newer version of the agent" : messageOf(cause);
  return new StoreError("OPEN", `Cannot open ${name}: ${reason}`, { cause });
}

function writeError(cause: unknown): StoreError {
  return new StoreError("WRITE", `Cannot write to the store: ${messageOf(cause)}`, { cause });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
