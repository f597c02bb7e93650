import type {
  AgentStore,
  ConnectionRecord,
  MessageQuery,
  MessageRecord,
  OutboxEntry,
  StoreChange,
} from "./store.ts";

interface Stored {
  record: ConnectionRecord;
  /** In order of their positions. */
  readonly outbox: Map<number, OutboxEntry>;
  /** In order of their numbers. */
  readonly messages: Map<number, MessageRecord>;
}

/** Keeps connections and messages in memory: gone when the program ends. For tests and short-lived programs. */
export class MemoryStore implements AgentStore {
  readonly #connections = new Map<string, Stored>();

  /** See {@linkcode AgentStore}. */
  connections(): Promise<ConnectionRecord[]> {
    return Promise.resolve([...this.#connections.values()].map(({ record }) => record));
  }

  /** See {@linkcode AgentStore}. */
  outboxAliases(): Promise<string[]> {
    const waiting = [...this.#connections].filter(([, { outbox }]) => outbox.size > 0);
    return Promise.resolve(waiting.map(([alias]) => alias));
  }

  /** See {@linkcode AgentStore}. */
  outbox(alias: string, limit: number): Promise<OutboxEntry[]> {
    const entries: OutboxEntry[] = [];
    for (const entry of this.#connections.get(alias)?.outbox.values() ?? []) {
      if (entries.length >= limit) break;
      entries.push(entry);
    }
    return Promise.resolve(entries);
  }

  /** See {@linkcode AgentStore}. */
  message(alias: string, id: number): Promise<MessageRecord | null> {
    return Promise.resolve(this.#connections.get(alias)?.messages.get(id) ?? null);
  }

  /** See {@linkcode AgentStore}. */
  messages(alias: string, { before = Infinity, limit = 100 }: MessageQuery = {}): Promise<MessageRecord[]> {
    const all = [...this.#connections.get(alias)?.messages.values() ?? []];
    const found = all.filter(({ id }) => id < before);
    return Promise.resolve(found.slice(Math.max(0, found.length - limit)));
  }

  /** See {@linkcode AgentStore}. */
  commit(changes: readonly StoreChange[]): Promise<void> {
    for (const change of changes) this.#apply(change);
    return Promise.resolve();
  }

  /** See {@linkcode AgentStore}. */
  prune(before: number): Promise<number> {
    let count = 0;
    for (const { messages } of this.#connections.values()) {
      for (const { id, at, done } of messages.values()) {
        if (done && at < before) count += Number(messages.delete(id));
      }
    }
    return Promise.resolve(count);
  }

  /** There is nothing to close. */
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #apply(change: StoreChange): void {
    switch (change.type) {
      case "put connection": {
        const stored = this.#connections.get(change.record.alias);
        if (stored !== undefined) stored.record = change.record;
        else {
          this.#connections.set(change.record.alias, {
            record: change.record,
            outbox: new Map(),
            messages: new Map(),
          });
        }
        return;
      }
      case "delete connection":
        this.#connections.delete(change.alias);
        return;
      case "put outbox":
        this.#connections.get(change.entry.alias)?.outbox.set(change.entry.position, change.entry);
        return;
      case "delete outbox":
        this.#connections.get(change.alias)?.outbox.delete(change.position);
        return;
      case "put message":
        this.#connections.get(change.message.alias)?.messages.set(change.message.id, change.message);
        return;
      case "message done": {
        const messages = this.#connections.get(change.alias)?.messages;
        const message = messages?.get(change.id);
        if (message !== undefined) messages!.set(change.id, { ...message, done: true });
        return;
      }
      default:
        return change satisfies never;
    }
  }
}
