/**
 * A store for agents in one SQLite file (docs/agent-store.md).
 *
 * @example An agent that survives restarts
 * ```ts
 * import { Agent } from "@simplexmq/smp/agent";
 * import { SqliteStore } from "@simplexmq/smp/agent/sqlite";
 *
 * const store = await SqliteStore.open("agent.db");
 * await using agent = await Agent.start({ servers: ["localhost:5223"], store });
 * console.log(agent.connections().length);
 * ```
 *
 * @module
 */
import type { DatabaseSync } from "node:sqlite";
import { GroupCommit, writeError } from "./group_commit.ts";
import { putPassphrase, reseal } from "./reseal.ts";
import { fileOf, openDatabase } from "./sqlite_file.ts";
import { isAt, type Place, removeLocked } from "./sqlite_lock.ts";
import { type Opened, openFile, setPragmas, unsynced } from "./sqlite_open.ts";
import * as reads from "./sqlite_reads.ts";
import { closeReader, openSnapshotSource, readSnapshot, type SnapshotSource } from "./sqlite_snapshot.ts";
import { SyncedLog } from "./sqlite_sync.ts";
import { Prepared, transact, type Write, writeOf } from "./sqlite_writes.ts";
import {
  type AgentStore,
  type CommitOptions,
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
import { createVault, isLocked, type PassphraseOptions, plainVault, type Vault } from "./vault.ts";

export { type SnapshotSource, StoreError };

/** How a store is opened. */
export type SqliteStoreOptions = PassphraseOptions;

/**
 * Milliseconds without commits after which what was written goes from the log to the file, and the log is emptied: it has
 * former states of ratchets, which are to open nothing that was sent before.
 */
const quietTime = 1000;

/** The same however many commits there are. */
const busyTime = 60_000;

/** Transactions that do not wait for the disk before one does: only then a long log goes to the file. */
const mostUnsynced = 100;

/**
 * Keeps connections and messages in one SQLite file of mode 0600. One agent at a time can use it; other programs can read
 * it meanwhile.
 */
export class SqliteStore implements AgentStore {
  readonly #database: DatabaseSync;
  readonly #lock: DatabaseSync;
  readonly #log: SyncedLog;
  readonly #path: string;
  readonly #place: Place;
  readonly #prepared: Prepared;
  readonly #query: reads.Query;
  readonly #iterations: number | undefined;
  /** The connections of snapshots. */
  readonly #readers = new Set<DatabaseSync>();
  readonly #commits = new GroupCommit<readonly Write[]>({
    prepare: (changes) => Promise.all(changes.map((change) => writeOf(change, this.#vault))),
    write: (writes, { mayBeLost }) => {
      const write = () => transact(this.#database, writes.flat(), this.#prepared);
      const isUnsynced = mayBeLost && this.#unsynced < mostUnsynced;
      this.#unsynced = isUnsynced ? this.#unsynced + 1 : 0;
      this.#write(() => isUnsynced ? unsynced(this.#database, write) : write());
      this.#checkpointSoon();
    },
  });
  /** Transactions in a row that did not wait for the disk. */
  #unsynced = 0;
  #vault: Vault;
  #checkpointTimer: ReturnType<typeof setTimeout> | undefined;
  /** When the first commit came of those whose log is still there. */
  #loggedSince: number | null = null;
  #isClosed = false;

  private constructor({ database, lock, place, vault }: Opened, { iterations }: SqliteStoreOptions) {
    this.#database = database;
    this.#lock = lock;
    this.#log = new SyncedLog(database);
    this.#vault = vault;
    this.#iterations = iterations;
    this.#path = fileOf(database);
    this.#place = place;
    this.#prepared = new Prepared(database);
    this.#query = reads.queryOf((text) => this.#prepared.get(text));
  }

  /**
   * Opens or makes the file at `path`, and brings an older one up to date. Throws {@linkcode StoreError}: `OPEN` for a
   * file of another program or of a newer version, which is left as it is, `IN_USE`, `PASSPHRASE`.
   */
  static async open(path: string, options: SqliteStoreOptions = {}): Promise<SqliteStore> {
    return new SqliteStore(await openFile(path, options), options);
  }

  /**
   * Opens the file at `path` for a snapshot alone, while an agent may be using it, in this process or another one.
   * Throws {@linkcode StoreError}: `OPEN` also for a file that an older version has made, `PASSPHRASE`.
   */
  static openForReading(
    path: string,
    options: Pick<SqliteStoreOptions, "passphrase"> = {},
  ): Promise<SnapshotSource> {
    return openSnapshotSource(path, options);
  }

  /** See {@linkcode AgentStore}. */
  async connections(): Promise<Connection[]> {
    return await reads.readConnections(this.#query, this.#vault);
  }

  /** See {@linkcode AgentStore}. */
  async discarded(): Promise<Discarded[]> {
    return await reads.readDiscarded(this.#query, this.#vault);
  }

  /** See {@linkcode AgentStore}. */
  // deno-lint-ignore require-await -- rejects rather than throws
  async waitingRoutes(): Promise<string[]> {
    return reads.readWaitingRoutes(this.#query);
  }

  /** See {@linkcode AgentStore}. */
  async deliveries(route: string, limit: number): Promise<QueuedDelivery[]> {
    return await reads.readDeliveries(this.#query, this.#vault, { route, limit });
  }

  /** See {@linkcode AgentStore}. */
  async frames(connection: string, after: number, limit: number): Promise<FrameRecord[]> {
    return await reads.readFrames(this.#query, this.#vault, { connection, after, limit });
  }

  /** See {@linkcode AgentStore}. */
  async held(connection: string, number: number): Promise<HeldFrame | null> {
    return await reads.readHeld(this.#query, this.#vault, { connection, number });
  }

  /** See {@linkcode AgentStore}. */
  async pieces(connection: string): Promise<PieceRecord[]> {
    return await reads.readPieces(this.#query, this.#vault, connection);
  }

  /** See {@linkcode AgentStore}. */
  // deno-lint-ignore require-await -- rejects rather than throws
  async undelivered(
    connection: string,
    from: number,
    to: number,
    limit: number,
  ): Promise<UndeliveredMessage[]> {
    return reads.readUndelivered(this.#query, { connection, from, to, limit });
  }

  /** See {@linkcode AgentStore}. */
  async message(connection: string, id: number): Promise<MessageRecord | null> {
    return await reads.readMessage(this.#query, this.#vault, { connection, id });
  }

  /** See {@linkcode AgentStore}. */
  async messages(connection: string, query: MessageQuery = {}): Promise<MessageRecord[]> {
    return await reads.readMessages(this.#query, this.#vault, { ...query, connection });
  }

  /** See {@linkcode AgentStore}. */
  async events(after: number, limit: number): Promise<EventRecord[]> {
    return await reads.readEvents(this.#query, this.#vault, { after, limit });
  }

  /** See {@linkcode AgentStore}. */
  commit(changes: readonly StoreChange[], options?: CommitOptions): Promise<void> {
    return this.#commits.commit(changes, options);
  }

  /** See {@linkcode AgentStore}. */
  prune(before: number): Promise<number> {
    return this.#commits.exclusively(() => {
      try {
        const prune = this.#prepared.get("DELETE FROM messages WHERE done = 1 AND at < ?");
        const { changes } = this.#write(() => prune.run(before));
        this.#checkpointSoon();
        return Number(changes);
      } catch (cause) {
        throw writeError(cause);
      }
    });
  }

  /** See {@linkcode AgentStore}. Rows are read in pages, by a connection of its own. */
  async *snapshot(): AsyncIterable<StoreChange> {
    if (this.#isClosed) throw new StoreError("READ", "Cannot read the store: it is closed");
    yield* readSnapshot(this.#path, { vault: () => this.#vault, open: this.#readers });
  }

  /**
   * Sets, changes or (`null`) removes the passphrase. A change rewrites one row; setting and removing rewrite all, in one
   * transaction, and leave nothing in the files of what was there before. Throws {@linkcode StoreError}: `PASSPHRASE`
   * when there is none to remove or the new one is empty, `IN_USE` while a snapshot or another program reads the file.
   */
  changePassphrase(next: string | null): Promise<void> {
    return this.#commits.exclusively(async () => {
      try {
        await this.#changePassphrase(next);
      } catch (cause) {
        this.#log.failed(cause);
        throw writeError(cause);
      }
    });
  }

  /** Writes what waits, closes the file and gives up its lock; ends snapshots. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!await this.#end()) return;
    this.#database.close();
    this.#lock.close();
  }

  /**
   * Closes the store for good and removes its files, while no other agent can use them. Does nothing when the store is
   * closed. What cannot be removed stays.
   */
  async remove(): Promise<void> {
    if (await this.#end()) removeLocked({ database: this.#database, lock: this.#lock });
  }

  /** Whether it was open until now. */
  async #end(): Promise<boolean> {
    if (this.#isClosed) return false;
    this.#isClosed = true;
    await this.#commits[Symbol.asyncDispose]();
    clearTimeout(this.#checkpointTimer);
    for (const reader of this.#readers) closeReader(reader);
    return true;
  }

  #write<R>(write: () => R): R {
    this.#checkPlace();
    return this.#log.write(write);
  }

  /** SQLite would go on in a file that nobody finds again: what a server was told to be stored would be gone. */
  #checkPlace(): void {
    if (isAt(this.#place, this.#path)) return;
    throw new Error(`${this.#path} was removed or replaced while it is used; start the agent again`);
  }

  async #changePassphrase(next: string | null): Promise<void> {
    this.#checkPlace();
    const vault = this.#vault;
    if (next === null && !isLocked(vault)) {
      throw new StoreError("PASSPHRASE", "Cannot remove the passphrase: the store has none");
    }
    // The old state would stay in the log as long as somebody reads it.
    if (!this.#log.truncate()) {
      throw new StoreError(
        "IN_USE",
        "Cannot change the passphrase: the database is being read; try again later",
      );
    }
    if (next !== null && isLocked(vault)) {
      putPassphrase(this.#database, await vault.wrap(next, this.#iterations));
    } else {
      await this.#reseal(next);
    }
    this.#log.truncate();
    this.#checkpointSoon();
  }

  async #reseal(next: string | null): Promise<void> {
    const created = next === null ? null : await createVault(next, this.#iterations);
    const { vault: to, record } = created ?? { vault: plainVault, record: null };
    // On a connection of its own, so that others read what there was until all is there.
    const database = openDatabase(this.#path, { readOnly: false });
    try {
      setPragmas(database);
      await reseal(database, { from: this.#vault, to, record });
      this.#vault = to;
    } finally {
      database.close();
    }
  }

  #checkpointSoon(): void {
    clearTimeout(this.#checkpointTimer);
    if (this.#isClosed) return;
    const now = performance.now();
    const latest = (this.#loggedSince ??= now) + busyTime;
    this.#checkpointTimer = setTimeout(() => this.#checkpoint(), Math.min(quietTime, latest - now));
  }

  #checkpoint(): void {
    try {
      this.#loggedSince = null;
      // Somebody reads it.
      if (!this.#log.truncate()) this.#checkpointSoon();
    } catch {
      // The log stays longer; the next commit tells when the disk is full.
    }
  }
}
