import { formatAddress, type ServerAddress } from "../protocol/mod.ts";
import { AgentError } from "./protocol/error.ts";
import type { AgentStore, ConnectionRecord, StoreChange } from "./store/store.ts";

/** What an update makes of a connection. */
export interface Update {
  readonly record: ConnectionRecord;
  /** Whether a queue has changed. */
  readonly withQueues?: boolean;
  /** What is stored together with the record. */
  readonly changes?: readonly StoreChange[];
}

/** The connections of an agent: in memory what is in the store, changed one after the other. */
export class Connections {
  readonly #store: AgentStore;
  readonly #records = new Map<string, ConnectionRecord>();
  readonly #aliases = new Map<string, string>();
  /** The last update of each connection that has one under way. */
  readonly #updates = new Map<string, Promise<unknown>>();

  private constructor(store: AgentStore) {
    this.#store = store;
  }

  /** Reads all connections. */
  static async load(store: AgentStore): Promise<Connections> {
    const connections = new Connections(store);
    for (const record of await store.connections()) connections.#set(record);
    return connections;
  }

  /** All connections, oldest first. */
  all(): ConnectionRecord[] {
    return [...this.#records.values()];
  }

  /** A connection as it is now. */
  find(alias: string): ConnectionRecord | undefined {
    return this.#records.get(alias);
  }

  /** A connection as it is now. Throws `AgentError` (`CONN UNKNOWN`). */
  get(alias: string): ConnectionRecord {
    const record = this.#records.get(alias);
    if (record === undefined) throw new AgentError("CONN UNKNOWN", `There is no connection "${alias}"`);
    return record;
  }

  /** The connection that receives from a queue. */
  byQueue(server: ServerAddress, recipientId: string): string | undefined {
    return this.#aliases.get(queueName(server, recipientId));
  }

  /** Adds a connection. Throws `AgentError` (`CONN DUPLICATE`) when there is one with its alias. */
  add(record: ConnectionRecord, changes: readonly StoreChange[] = []): Promise<ConnectionRecord> {
    return this.#serially(record.alias, async () => {
      this.checkNew(record.alias);
      await this.#store.commit([{ type: "put connection", record, withQueues: true }, ...changes]);
      this.#set(record);
      return record;
    });
  }

  /** Throws `AgentError` (`CONN DUPLICATE`) when there is a connection with this alias. */
  checkNew(alias: string): void {
    if (!this.#records.has(alias)) return;
    throw new AgentError("CONN DUPLICATE", `There is a connection "${alias}" already`);
  }

  /**
   * Changes a connection: `step` gets it as it is when all earlier updates are stored; `null` changes nothing.
   * Resolves when the change is stored. Throws `AgentError` (`CONN UNKNOWN`) and what `step` and the store throw.
   */
  update(
    alias: string,
    step: (record: ConnectionRecord) => Update | null | Promise<Update | null>,
  ): Promise<ConnectionRecord> {
    return this.#serially(alias, async () => {
      const before = this.get(alias);
      const update = await step(before);
      if (update === null) return before;
      const { record, withQueues = false, changes = [] } = update;
      await this.#store.commit([{ type: "put connection", record, withQueues }, ...changes]);
      this.#set(record);
      return record;
    });
  }

  /** Removes a connection with all that belongs to it. */
  remove(alias: string): Promise<void> {
    return this.#serially(alias, async () => {
      const { receiving } = this.get(alias);
      await this.#store.commit([{ type: "delete connection", alias }]);
      this.#records.delete(alias);
      if (receiving !== null) this.#aliases.delete(queueName(receiving.server, receiving.recipientId));
    });
  }

  #set(record: ConnectionRecord): void {
    this.#records.set(record.alias, record);
    const { alias, receiving } = record;
    if (receiving !== null) this.#aliases.set(queueName(receiving.server, receiving.recipientId), alias);
  }

  async #serially<T>(alias: string, task: () => Promise<T>): Promise<T> {
    const before = this.#updates.get(alias);
    const work = before === undefined ? task() : before.then(task, task);
    this.#updates.set(alias, work);
    try {
      return await work;
    } finally {
      if (this.#updates.get(alias) === work) this.#updates.delete(alias);
    }
  }
}

function queueName(server: ServerAddress, recipientId: string): string {
  return `${recipientId} ${formatAddress(server)}`;
}
