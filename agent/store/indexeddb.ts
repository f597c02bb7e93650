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
import { deferred, encodeBase64, randomBytes } from "../../protocol/mod.ts";
import { GroupCommit, writeError } from "./group_commit.ts";
import { deleteDatabase, openDatabase } from "./indexeddb_database.ts";
import { deleteOld } from "./indexeddb_deletes.ts";
import { changesOfFirst, openFirst, readFirst } from "./indexeddb_first.ts";
import { type Lock, lock, whileOpening } from "./indexeddb_lock.ts";
import * as reads from "./indexeddb_reads.ts";
import { changesOf, readRaw } from "./indexeddb_snapshot.ts";
import { allTables, type Database, type WriteTransaction } from "./indexeddb_tables.ts";
import { putPassphrase, type Write, writeOf } from "./indexeddb_writes.ts";
import {
  type AgentStore,
  type Connection,
  type Discarded,
  type EventRecord,
  type FrameRecord,
  type HeldFrame,
  type MessageQuery,
  type MessageRecord,
  type PieceRecord,
  type QueuedDelivery,
  type StoreChange,
  StoreError,
  type UndeliveredMessage,
} from "./store.ts";
import {
  createVault,
  isLocked,
  type PassphraseOptions,
  type PassphraseRecord,
  plainVault,
  type Vault,
  vaultFor,
} from "./vault.ts";

export { type PassphraseOptions, StoreError };

/** How a store is opened. */
export interface IndexedDbStoreOptions extends PassphraseOptions {
  /** Takes the database from the page that has it, whose store closes itself. @default false */
  readonly steal?: boolean;
  /**
   * Called when the browser has no room for what is to be written; `true` when it has some by now: then that is written
   * once more. @default there is none
   */
  readonly makeRoom?: () => Promise<boolean>;
}

/**
 * Keeps connections and messages in an IndexedDB database, which one page at a time can use. Browsers may remove it when
 * their disk is short, unless the page was granted `navigator.storage.persist()`.
 */
export class IndexedDbStore implements AgentStore {
  /**
   * Resolves when the store is closed: with `null` by its owner, with the error that every later call rejects with when
   * it was lost, to another page that has taken the database (`IN_USE`), or to the browser, which has removed it. What
   * was not committed then never is.
   */
  readonly closed: Promise<StoreError | null>;
  readonly #name: string;
  readonly #database: Database;
  readonly #lock: Lock;
  readonly #iterations: number | undefined;
  /** What says in the database that it is this store's. */
  readonly #token = encodeBase64(randomBytes(12));
  readonly #close: (error: StoreError | null) => void;
  readonly #commits = new GroupCommit<readonly Write[]>({
    prepare: (changes) => Promise.all(changes.map((change) => writeOf(change, this.#vault))),
    write: async (prepared) => {
      const write = async (transaction: WriteTransaction) => {
        for (const one of prepared.flat()) await one(transaction);
      };
      try {
        await this.#transact(write);
      } catch (error) {
        if (!isQuotaError(error) || !await this.#makeRoom()) throw error;
        await this.#transact(write);
      }
    },
  });
  readonly #makeRoom: () => Promise<boolean>;
  #vault: Vault = plainVault;
  /** What reads wait for: values are sealed anew. */
  #resealing: Promise<unknown> | null = null;
  #error: StoreError | null = null;
  #isClosed = false;

  private constructor(
    { name, database, lock }: {
      readonly name: string;
      readonly database: Database;
      readonly lock: Lock;
    },
    { iterations, makeRoom = () => Promise.resolve(false) }: IndexedDbStoreOptions,
  ) {
    const closed = deferred<StoreError | null>();
    this.closed = closed.promise;
    this.#close = closed.resolve;
    this.#name = name;
    this.#database = database;
    this.#lock = lock;
    this.#iterations = iterations;
    this.#makeRoom = makeRoom;
    lock.lost.then(() => this.#lose());
  }

  /**
   * Opens or makes the database of this origin that is called `name`. Throws {@linkcode StoreError}: `IN_USE` while
   * another page has it.
   */
  static open(name: string, options: IndexedDbStoreOptions = {}): Promise<IndexedDbStore> {
    return whileOpening(name, async () => {
      const held = await lock(name, { steal: options.steal ?? false });
      let store: IndexedDbStore | null = null;
      const lose = (error?: StoreError) => {
        if (store !== null) store.#lose(error);
      };
      try {
        const database = await openDatabase(name, {
          taken: lose,
          removed: () => lose(new StoreError("READ", `Cannot use ${name}: the browser has closed it`)),
        });
        store = new IndexedDbStore({ name, database, lock: held }, options);
        await store.#start(options);
        return store;
      } catch (error) {
        const reason = store === null ? error : store.#error ?? error;
        if (store !== null) store.#database.close();
        await held.release();
        throw openError(name, reason);
      }
    });
  }

  /**
   * Deletes the database of this origin that is called `name`, also while another page has it, whose store closes
   * itself. Throws {@linkcode StoreError} (`IN_USE`) when that page does not let go of it: it is deleted when that page
   * is closed.
   */
  static delete(name: string): Promise<void> {
    return whileOpening(name, async () => {
      const held = await lock(name, { steal: true });
      try {
        await deleteDatabase(name);
      } catch (error) {
        throw openError(name, error);
      } finally {
        await held.release();
      }
    });
  }

  /** See {@linkcode AgentStore}. */
  connections(): Promise<Connection[]> {
    return this.#read(reads.readConnections);
  }

  /** See {@linkcode AgentStore}. */
  discarded(): Promise<Discarded[]> {
    return this.#read(reads.readDiscarded);
  }

  /** See {@linkcode AgentStore}. */
  waitingRoutes(): Promise<string[]> {
    return this.#read(reads.readWaitingRoutes);
  }

  /** See {@linkcode AgentStore}. */
  deliveries(route: string, limit: number): Promise<QueuedDelivery[]> {
    return this.#read((database, vault) => reads.readDeliveries(database, vault, { route, limit }));
  }

  /** See {@linkcode AgentStore}. */
  frames(connection: string, after: number, limit: number): Promise<FrameRecord[]> {
    return this.#read((database, vault) => reads.readFrames(database, vault, { connection, after, limit }));
  }

  /** See {@linkcode AgentStore}. */
  held(connection: string, number: number): Promise<HeldFrame | null> {
    return this.#read((database, vault) => reads.readHeld(database, vault, { connection, number }));
  }

  /** See {@linkcode AgentStore}. */
  pieces(connection: string): Promise<PieceRecord[]> {
    return this.#read((database, vault) => reads.readPieces(database, vault, connection));
  }

  /** See {@linkcode AgentStore}. */
  undelivered(connection: string, from: number, to: number, limit: number): Promise<UndeliveredMessage[]> {
    return this.#read((database) => reads.readUndelivered(database, { connection, from, to, limit }));
  }

  /** See {@linkcode AgentStore}. */
  message(connection: string, id: number): Promise<MessageRecord | null> {
    return this.#read((database, vault) => reads.readMessage(database, vault, { connection, id }));
  }

  /** See {@linkcode AgentStore}. */
  messages(connection: string, query: MessageQuery = {}): Promise<MessageRecord[]> {
    return this.#read((database, vault) => reads.readMessages(database, vault, { connection, ...query }));
  }

  /** See {@linkcode AgentStore}. */
  events(after: number, limit: number): Promise<EventRecord[]> {
    return this.#read((database, vault) => reads.readEvents(database, vault, { after, limit }));
  }

  /** See {@linkcode AgentStore}. */
  commit(changes: readonly StoreChange[]): Promise<void> {
    return this.#commits.commit(changes);
  }

  /** See {@linkcode AgentStore}. */
  prune(before: number): Promise<number> {
    return this.#exclusively(() => this.#transact((transaction) => deleteOld(transaction, before)));
  }

  /**
   * See {@linkcode AgentStore}. All is read at once, but what is large of it is in blobs, which browsers keep on their
   * disk; so commits need not wait until it is taken.
   */
  async *snapshot(): AsyncGenerator<StoreChange, void> {
    const { raw, vault } = await this.#read(async (database, vault) => ({
      raw: await readRaw(database),
      vault,
    }));
    yield* changesOf(raw, vault);
  }

  /** Whether it has a passphrase, with which keys and bodies are encrypted. */
  get isEncrypted(): boolean {
    return isLocked(this.#vault);
  }

  /**
   * Sets, changes or (`null`) removes the passphrase. A change rewrites one row; setting and removing rewrite all in one
   * transaction, and have all in memory meanwhile. What was there before is gone when the browser next tidies its files.
   * Throws {@linkcode StoreError}: `PASSPHRASE` when there is none to remove or the new one is empty.
   */
  changePassphrase(next: string | null): Promise<void> {
    return this.#exclusively(async () => {
      const vault = this.#vault;
      if (next === null && !isLocked(vault)) {
        throw new StoreError("PASSPHRASE", "Cannot remove the passphrase: the store has none");
      }
      if (next !== null && isLocked(vault)) {
        const record = await vault.wrap(next, this.#iterations);
        await this.#transact((transaction) => putPassphrase(transaction, record));
        return;
      }
      const created = next === null ? null : await createVault(next, this.#iterations);
      const resealing = this.#reseal(created?.vault ?? plainVault, created?.record ?? null);
      this.#resealing = resealing.catch(() => {});
      try {
        await resealing;
      } finally {
        this.#resealing = null;
      }
    });
  }

  /** Writes what waits, closes the database and lets another page use it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#commits[Symbol.asyncDispose]();
    this.#database.close();
    this.#close(this.#error);
    await this.#lock.release();
  }

  /** Makes the database this store's, and what is in it readable. */
  async #start(options: IndexedDbStoreOptions): Promise<void> {
    // From here on another store cannot write: its transactions come before this one or see that they come after it.
    const claim = this.#database.transaction("owner", "readwrite", { durability: "strict" });
    await claim.store.put(this.#token, 1);
    await claim.done;
    const first = await readFirst(this.#database);
    if (first !== null) {
      const open = await openFirst(first, options.passphrase);
      const { passphrase, iterations = first.passphrase?.iterations } = options;
      const created = passphrase === undefined ? null : await createVault(passphrase, iterations);
      return await this.#fill(
        changesOfFirst(first, open),
        created?.vault ?? plainVault,
        created?.record ?? null,
      );
    }
    const record = await this.#database.get("passphrase", 1) ?? null;
    const counts = await Promise.all(
      (["connections", "discarded_queues"] as const).map((name) => this.#database.count(name)),
    );
    const { vault, created } = await vaultFor(options, { record, isEmpty: counts.every((n) => n === 0) });
    if (created !== null) await this.#transact((transaction) => putPassphrase(transaction, created));
    this.#vault = vault;
  }

  async #reseal(to: Vault, record: PassphraseRecord | null): Promise<void> {
    await this.#fill(changesOf(await readRaw(this.#database), this.#vault), to, record);
  }

  /** Puts these changes, sealed by a vault, in the place of all that there is. */
  async #fill(
    changes: AsyncIterable<StoreChange>,
    vault: Vault,
    record: PassphraseRecord | null,
  ): Promise<void> {
    // All before the transaction, which would end while it waits for cryptography.
    const writes: Write[] = [];
    for await (const change of changes) writes.push(await writeOf(change, vault));
    await this.#transact(async (transaction) => {
      for (const name of allTables) if (name !== "owner") await transaction.objectStore(name).clear();
      for (const write of writes) await write(transaction);
      await putPassphrase(transaction, record);
    });
    this.#vault = vault;
  }

  async #read<T>(read: (database: Database, vault: Vault) => Promise<T>): Promise<T> {
    while (this.#resealing !== null) await this.#resealing;
    try {
      if (this.#error !== null) throw this.#error;
      if (this.#isClosed) throw new StoreError("READ", "Cannot read the store: it is closed");
      // The transaction begins in the same turn as the vault is looked at.
      return await read(this.#database, this.#vault);
    } catch (cause) {
      if (this.#error !== null) throw this.#error;
      if (cause instanceof StoreError) throw cause;
      throw new StoreError("READ", `Cannot read the store: ${messageOf(cause)}`, { cause });
    }
  }

  /** Does what changes everything or anything, between commits. */
  #exclusively<T>(task: () => Promise<T>): Promise<T> {
    return this.#commits.exclusively(async () => {
      try {
        if (this.#error !== null) throw this.#error;
        return await task();
      } catch (cause) {
        throw this.#error ?? writeError(cause);
      }
    });
  }

  /** Makes all changes or none, and none when the database has become another store's. */
  async #transact<T>(change: (transaction: WriteTransaction) => Promise<T>): Promise<T> {
    if (this.#error !== null) throw this.#error;
    // Strict: a message is acknowledged to its server after this, and must survive a power cut then.
    const transaction = this.#database.transaction(allTables, "readwrite", { durability: "strict" });
    let result;
    try {
      if (await transaction.objectStore("owner").get(1) !== this.#token) throw this.#lose();
      result = await change(transaction);
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
    return result;
  }

  /** Ends it from outside; gives why. What has begun to be written is written before others have the database. */
  #lose(
    error: StoreError = new StoreError("IN_USE", `Cannot use ${this.#name}: another page has taken it`),
  ): StoreError {
    if (this.#error !== null || this.#isClosed) return this.#error ?? error;
    this.#error = error;
    this.#database.close();
    this.#lock.release();
    this.#close(error);
    return error;
  }
}

function openError(name: string, cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const isNewer = cause instanceof DOMException && cause.name === "VersionError";
  const reason = isNewer ? "it was written by a newer version of the agent" : messageOf(cause);
  return new StoreError("OPEN", `Cannot open ${name}: ${reason}`, { cause });
}

function isQuotaError(error: unknown): boolean {
  return error instanceof DOMException && error.name === "QuotaExceededError";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
