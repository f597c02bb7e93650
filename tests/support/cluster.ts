import type { Bucket, BucketEntry } from "../../server/cluster/bucket.ts";
import type { ClusterClock } from "../../server/cluster/clock.ts";
import type { EngineEvent } from "../../server/cluster/engine.ts";
import type { Connectivity } from "../../server/cluster/lease_options.ts";

/** Time that goes on when a test says so. */
export class ManualClock implements ClusterClock {
  readonly #waiting = new Set<{ readonly at: number; readonly end: () => void }>();
  #now = 0;

  now(): number {
    return this.#now;
  }

  wait(milliseconds: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const waiting = {
        at: this.#now + Math.max(0, milliseconds),
        end: () => {
          this.#waiting.delete(waiting);
          signal.removeEventListener("abort", waiting.end);
          resolve();
        },
      };
      this.#waiting.add(waiting);
      signal.addEventListener("abort", waiting.end);
    });
  }

  /** Lets time go by in steps of 50 ms, and what waits for it go on; `look` is called after each. */
  async advance(milliseconds: number, look: () => void = () => {}): Promise<void> {
    const end = this.#now + milliseconds;
    while (this.#now < end) {
      this.#now = Math.min(end, this.#now + 50);
      for (const waiting of [...this.#waiting].filter(({ at }) => at <= this.#now)) waiting.end();
      await settle();
      look();
    }
  }
}

/** Lets everything go on that waits for no clock. */
export async function settle(): Promise<void> {
  // Nothing here waits for more than promises.
  for (let i = 0; i < 200; i++) await Promise.resolve();
}

/** What the buckets of all nodes of a test share. */
export class BucketStore {
  readonly entries = new Map<string, BucketEntry>();
  readonly watchers = new Set<(entry: BucketEntry) => void>();
  /** Without a leader nothing can be read or stored. */
  hasLeader = true;
  #revision = 0;

  /** Keeps what is stored, and gives what puts it back, as who restores a backup does. */
  backUp(): () => void {
    const [revision, entries] = [this.#revision, new Map(this.entries)];
    return () => {
      this.#revision = revision;
      this.entries.clear();
      for (const [key, entry] of entries) this.entries.set(key, entry);
    };
  }

  /** As the bucket of a node does when nothing is wrong. */
  write(key: string, value: string, expected: number): number | null {
    if ((this.entries.get(key)?.revision ?? 0) !== expected) return null;
    const entry = { key, value, revision: ++this.#revision };
    this.entries.set(key, entry);
    for (const watcher of this.watchers) watcher(entry);
    return entry.revision;
  }
}

/**
 * The bucket and the machine of a node in a test: its connection can be lost, its acknowledgements too, and it can be
 * frozen as a process is by SIGSTOP.
 */
export class TestMachine implements Bucket, Connectivity {
  /** What is stored is not acknowledged. */
  losesAnswers = false;
  /** Its server is cut off from the one that stores, until it is changed. */
  hasDeafServer = false;
  /** Its server is cut off from what others send, until it is changed. */
  hasMuteServer = false;
  /** How often it has changed its server. */
  serverChanges = 0;
  /** Milliseconds that requests and answers take, each. */
  latency = 0;
  /** Milliseconds for which its clock stood still, as that of a virtual machine that was paused. */
  behind = 0;
  /** Has another server lead the bucket; there is none. */
  stepDown = (): Promise<boolean> => Promise.resolve(false);
  /** Called before something is stored. */
  onWrite: (key: string) => void = () => {};
  /** Milliseconds until a request gives up. */
  readonly #time = 1000;
  readonly #store: BucketStore;
  readonly #world: ClusterClock;
  readonly #listeners = new Set<(event: EngineEvent) => void>();
  readonly #held: (() => void)[] = [];
  readonly #heldTimers: (() => void)[] = [];
  #isFrozen = false;
  #lostAt: number | null = null;
  /** Whether nothing comes through, as it may not know yet. */
  #isCut = false;

  constructor(store: BucketStore, world: ClusterClock) {
    this.#store = store;
    this.#world = world;
  }

  get lostAt(): number | null {
    return this.#lostAt;
  }

  /** What a process on it sees of time. */
  get clock(): ClusterClock {
    return {
      now: () => this.#world.now() - this.behind,
      wait: async (milliseconds, signal) => {
        await this.#world.wait(milliseconds, signal);
        await this.#thawed(this.#heldTimers);
      },
    };
  }

  freeze(): void {
    this.#isFrozen = true;
  }

  /** A process that goes on runs its timers before it looks what has come. */
  async thaw(): Promise<void> {
    this.#isFrozen = false;
    for (const run of this.#heldTimers.splice(0)) run();
    await settle();
    for (const run of this.#held.splice(0)) run();
  }

  lose(): void {
    this.#isCut = true;
    if (this.#isFrozen) return void this.#held.push(() => this.lose());
    if (this.#lostAt !== null) return;
    this.#lostAt = this.clock.now();
    this.#tell({ type: "lost", at: this.#lostAt });
  }

  reconnect(): void {
    if (this.#isFrozen) return void this.#held.push(() => this.reconnect());
    if (this.#lostAt === null) return;
    this.#lostAt = null;
    this.#isCut = false;
    this.#tell({ type: "back", at: this.clock.now(), server: "test" });
  }

  listen(listener: (event: EngineEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  changeServer(): Promise<void> {
    this.serverChanges++;
    this.hasDeafServer = false;
    this.hasMuteServer = false;
    this.lose();
    this.reconnect();
    return Promise.resolve();
  }

  async read(key: string): Promise<BucketEntry | null> {
    await this.#reachable();
    const entry = this.#store.entries.get(key) ?? null;
    await this.#thawed();
    return entry;
  }

  async readAll(prefix: string): Promise<BucketEntry[]> {
    await this.#reachable();
    const entries = [...this.#store.entries.values()].filter(({ key }) => key.startsWith(prefix));
    await this.#thawed();
    return entries;
  }

  async write(key: string, value: string, expected: number): Promise<number | null> {
    await this.#reachable();
    this.onWrite(key);
    const revision = this.#store.write(key, value, expected);
    await this.#underWay();
    await this.#thawed();
    if (this.losesAnswers) return await this.#giveUp();
    return revision;
  }

  watch(listener: (entry: BucketEntry) => void): () => void {
    const watcher = (entry: BucketEntry) => {
      if (this.#isCut || this.hasDeafServer || this.hasMuteServer) return;
      if (this.#isFrozen) this.#held.push(() => listener(entry));
      else queueMicrotask(() => listener(entry));
    };
    this.#store.watchers.add(watcher);
    return () => void this.#store.watchers.delete(watcher);
  }

  #tell(event: EngineEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  async #reachable(): Promise<void> {
    await this.#underWay();
    if (this.#isCut || !this.#store.hasLeader || this.hasDeafServer) await this.#giveUp();
  }

  async #underWay(): Promise<void> {
    if (this.latency > 0) await this.#world.wait(this.latency, new AbortController().signal);
  }

  async #giveUp(): Promise<never> {
    await this.clock.wait(this.#time, new AbortController().signal);
    throw new Error("timeout");
  }

  #thawed(held: (() => void)[] = this.#held): Promise<void> {
    if (!this.#isFrozen) return Promise.resolve();
    return new Promise((resolve) => held.push(resolve));
  }
}
