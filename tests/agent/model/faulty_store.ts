import {
  type AgentStore,
  type Connection,
  type Discarded,
  type EventRecord,
  type FrameRecord,
  type HeldFrame,
  MemoryStore,
  type MessageQuery,
  type MessageRecord,
  type PieceRecord,
  type QueuedDelivery,
  type StoreChange,
  StoreError,
  type UndeliveredMessage,
} from "../../../agent/mod.ts";

/** What is on an agent's disk, over all its lives, and what was ever written there. */
export class Disk {
  readonly store = new MemoryStore();
  /** The IDs of the connections of all events, by number. */
  readonly events = new Map<number, string>();
  /** The recipient IDs of all queues. */
  readonly queues = new Set<string>();

  /** Writes down what a commit has stored. */
  committed(changes: readonly StoreChange[]): void {
    for (const change of changes) {
      if (change.type === "put event") this.events.set(change.event.id, change.event.connection);
      if (change.type === "put receiving" || change.type === "put inbound") {
        this.queues.add(change.route.keys.recipientId);
      }
    }
  }
}

/** What happens at a call of the store. */
export type StoreFault = "none" | "fails" | "dies before" | "dies after";

/** The store of one life of an agent, which fails when it is told to and does nothing more when that life has ended. */
export class FaultyStore implements AgentStore {
  /** Whether the program has ended. */
  isDead = false;
  /** Says what happens at each call. */
  fault: (operation: string) => StoreFault = () => "none";
  /** Is called when the program ends in a call. */
  died: () => void = () => {};
  readonly #disk: Disk;

  /** Uses a disk. */
  constructor(disk: Disk) {
    this.#disk = disk;
  }

  connections(): Promise<Connection[]> {
    return this.#do("read", (store) => store.connections());
  }

  discarded(): Promise<Discarded[]> {
    return this.#do("read", (store) => store.discarded());
  }

  waitingRoutes(): Promise<string[]> {
    return this.#do("read", (store) => store.waitingRoutes());
  }

  deliveries(route: string, limit: number): Promise<QueuedDelivery[]> {
    return this.#do("read", (store) => store.deliveries(route, limit));
  }

  frames(connection: string, after: number, limit: number): Promise<FrameRecord[]> {
    return this.#do("read", (store) => store.frames(connection, after, limit));
  }

  held(connection: string, number: number): Promise<HeldFrame | null> {
    return this.#do("read", (store) => store.held(connection, number));
  }

  pieces(connection: string): Promise<PieceRecord[]> {
    return this.#do("read", (store) => store.pieces(connection));
  }

  undelivered(connection: string, from: number, to: number, limit: number): Promise<UndeliveredMessage[]> {
    return this.#do("read", (store) => store.undelivered(connection, from, to, limit));
  }

  message(connection: string, id: number): Promise<MessageRecord | null> {
    return this.#do("read", (store) => store.message(connection, id));
  }

  messages(connection: string, query?: MessageQuery): Promise<MessageRecord[]> {
    return this.#do("read", (store) => store.messages(connection, query));
  }

  events(after: number, limit: number): Promise<EventRecord[]> {
    return this.#do("read", (store) => store.events(after, limit));
  }

  commit(changes: readonly StoreChange[]): Promise<void> {
    return this.#do("commit", async (store) => {
      await store.commit(changes);
      this.#disk.committed(changes);
    });
  }

  prune(before: number): Promise<number> {
    return this.#do("commit", (store) => store.prune(before));
  }

  snapshot(): AsyncIterable<StoreChange> {
    return this.#disk.store.snapshot();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  async #do<T>(operation: string, run: (store: MemoryStore) => Promise<T>): Promise<T> {
    // A disk takes its time.
    await Promise.resolve();
    if (this.isDead) throw dead();
    const fault = this.fault(operation);
    if (fault === "fails") throw new StoreError(operation === "commit" ? "WRITE" : "READ", "The disk fails");
    if (fault === "dies before") this.#die();
    const result = await run(this.#disk.store);
    if (fault === "dies after") this.#die();
    await Promise.resolve();
    if (this.isDead) throw dead();
    return result;
  }

  #die(): never {
    this.isDead = true;
    this.died();
    throw dead();
  }
}

function dead(): StoreError {
  return new StoreError("WRITE", "The program has ended");
}
