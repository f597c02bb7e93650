import { keysOf, missing, put, putMessage, remove, type Stored, type Undo } from "./memory_tables.ts";
import { OrderedMap } from "./ordered_map.ts";
import type {
  AgentStore,
  Connection,
  ConnectionRecord,
  Delivery,
  DiscardedQueue,
  EventRecord,
  MessageQuery,
  MessageRecord,
  QueuedDelivery,
  StoreChange,
} from "./store.ts";

/** How many messages that are done a connection keeps. */
const keptMessages = 1000;

/**
 * Keeps connections and messages in memory: gone when the program ends. For tests and short-lived programs. Of the
 * messages of a connection that are done, only the last 1000 are kept; those that are not done stay.
 */
export class MemoryStore implements AgentStore {
  readonly #connections = new Map<string, Stored>();
  readonly #events = new OrderedMap<EventRecord>();
  readonly #discarded = new Map<string, DiscardedQueue>();
  /** The connection of each sending route. */
  readonly #routes = new Map<string, Stored>();

  /** See {@linkcode AgentStore}. */
  connections(): Promise<Connection[]> {
    const all = [...this.#connections.values()].map(({ record, receiving, sending }) => ({
      record,
      receiving: [...receiving.values()],
      sending: [...sending.values()].map(({ route }) => route),
    }));
    return Promise.resolve(all.sort((a, b) => a.record.createdAt - b.record.createdAt));
  }

  /** See {@linkcode AgentStore}. */
  discarded(): Promise<DiscardedQueue[]> {
    return Promise.resolve([...this.#discarded.values()]);
  }

  /** See {@linkcode AgentStore}. */
  waitingRoutes(): Promise<string[]> {
    const waiting = [...this.#routes].filter(([id, { sending }]) => sending.get(id)!.deliveries.size > 0);
    return Promise.resolve(waiting.map(([id]) => id));
  }

  /** See {@linkcode AgentStore}. */
  deliveries(route: string, limit: number): Promise<QueuedDelivery[]> {
    const stored = this.#routes.get(route);
    const first = stored?.sending.get(route)?.deliveries.after(-Infinity, limit) ?? [];
    return Promise.resolve(
      first.map((delivery) => ({ ...stored!.outbox.get(delivery.position)!, ...delivery })),
    );
  }

  /** See {@linkcode AgentStore}. */
  message(connection: string, id: number): Promise<MessageRecord | null> {
    return Promise.resolve(this.#connections.get(connection)?.messages.get(id) ?? null);
  }

  /** See {@linkcode AgentStore}. */
  messages(
    connection: string,
    { before = Infinity, limit = 100 }: MessageQuery = {},
  ): Promise<MessageRecord[]> {
    return Promise.resolve(this.#connections.get(connection)?.messages.before(before, limit) ?? []);
  }

  /** See {@linkcode AgentStore}. */
  events(after: number, limit: number): Promise<EventRecord[]> {
    return Promise.resolve(this.#events.after(after, limit));
  }

  /** See {@linkcode AgentStore}. */
  commit(changes: readonly StoreChange[]): Promise<void> {
    const undo: Undo[] = [];
    try {
      for (const change of changes) undo.push(this.#apply(change));
    } catch (error) {
      for (const step of undo.toReversed()) step();
      return Promise.reject(error);
    }
    for (const change of changes) this.#forget(change);
    return Promise.resolve();
  }

  /** See {@linkcode AgentStore}. */
  prune(before: number): Promise<number> {
    let count = 0;
    for (const { messages, done } of this.#connections.values()) {
      for (const id of done) {
        if (messages.get(id)!.at >= before) continue;
        messages.delete(id);
        done.delete(id);
        count++;
      }
    }
    return Promise.resolve(count);
  }

  /** See {@linkcode AgentStore}. */
  async *snapshot(): AsyncIterable<StoreChange> {
    yield* [...this.#all()];
  }

  /** There is nothing to close. */
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  *#all(): Iterable<StoreChange> {
    for (const { record, receiving, sending, outbox, messages } of this.#connections.values()) {
      const connection = record.id;
      yield { type: "put connection", record };
      for (const route of receiving.values()) {
        yield { type: "put receiving", connection, route, withKeys: true };
      }
      for (const { route } of sending.values()) {
        yield { type: "put sending", connection, route, withKeys: true };
      }
      for (const entry of outbox.values()) yield { type: "put outbox", entry };
      for (const { deliveries } of sending.values()) {
        for (const delivery of deliveries.values()) yield { type: "put delivery", delivery };
      }
      for (const message of messages.values()) yield { type: "put message", message };
    }
    for (const event of this.#events.values()) yield { type: "put event", event };
    for (const queue of this.#discarded.values()) yield { type: "put discarded", queue };
  }

  /** Makes a change. Throws `StoreError` (`WRITE`) when what it belongs to is not there. */
  #apply(change: StoreChange): Undo {
    switch (change.type) {
      case "put connection":
        return this.#putConnection(change.record);
      case "delete connection":
        return this.#deleteConnection(change.connection);
      case "put receiving": {
        const { receiving } = this.#get(change.connection);
        const { id } = change.route;
        return put(
          receiving,
          id,
          change.withKeys ? change.route : { ...change.route, keys: keysOf(receiving.get(id)) },
        );
      }
      case "put sending":
        return this.#putSending(change);
      case "put outbox":
        return put(this.#get(change.entry.connection).outbox, change.entry.position, change.entry);
      case "put delivery": {
        const { connection, route, position } = change.delivery;
        const { sending, outbox } = this.#get(connection);
        const deliveries = sending.get(route)?.deliveries;
        if (deliveries === undefined || outbox.get(position) === undefined) throw missing("route or entry");
        return put(deliveries, position, change.delivery);
      }
      case "delete delivery":
        return this.#deleteDelivery(change);
      case "put message":
        return putMessage(this.#get(change.message.connection), change.message);
      case "message done": {
        const stored = this.#connections.get(change.connection);
        const message = stored?.messages.get(change.id);
        return message === undefined ? () => {} : putMessage(stored!, { ...message, done: true });
      }
      case "put event":
        this.#get(change.event.connection);
        return put(this.#events, change.event.id, change.event);
      case "delete event":
        return remove(this.#events, change.id);
      case "put discarded":
        return put(this.#discarded, change.queue.id, change.queue);
      case "delete discarded":
        return remove(this.#discarded, change.id);
      default:
        return change satisfies never;
    }
  }

  #get(connection: string): Stored {
    const stored = this.#connections.get(connection);
    if (stored === undefined) throw missing("connection");
    return stored;
  }

  #putConnection(record: ConnectionRecord): Undo {
    const stored = this.#connections.get(record.id);
    if (stored !== undefined) {
      const before = stored.record;
      stored.record = record;
      return () => stored.record = before;
    }
    return put(this.#connections, record.id, {
      record,
      receiving: new Map(),
      sending: new Map(),
      outbox: new OrderedMap(),
      messages: new OrderedMap(),
      done: new Set(),
    });
  }

  #deleteConnection(connection: string): Undo {
    const stored = this.#connections.get(connection);
    if (stored === undefined) return () => {};
    const events = this.#events.values().filter((event) => event.connection === connection);
    const undo = [
      remove(this.#connections, connection),
      ...[...stored.sending.keys()].map((id) => remove(this.#routes, id)),
      ...events.map(({ id }) => remove(this.#events, id)),
    ];
    return () => undo.forEach((step) => step());
  }

  #putSending({ connection, route, withKeys }: Extract<StoreChange, { readonly type: "put sending" }>): Undo {
    const stored = this.#get(connection);
    const state = stored.sending.get(route.id);
    const before = state?.route;
    const after = withKeys ? route : { ...route, keys: keysOf(before) };
    if (state !== undefined) {
      state.route = after;
      return () => state.route = before!;
    }
    const undo = [
      put(stored.sending, route.id, { route: after, deliveries: new OrderedMap<Delivery>() }),
      put(this.#routes, route.id, stored),
    ];
    return () => undo.forEach((step) => step());
  }

  #deleteDelivery(
    { connection, route, position }: Extract<StoreChange, { readonly type: "delete delivery" }>,
  ): Undo {
    const stored = this.#connections.get(connection);
    const deliveries = stored?.sending.get(route)?.deliveries;
    if (deliveries?.get(position) === undefined) return () => {};
    const undo = [remove(deliveries, position)];
    const isLast = [...stored!.sending.values()].every((other) =>
      other.deliveries.get(position) === undefined
    );
    if (isLast) undo.push(remove(stored!.outbox, position));
    return () => undo.forEach((step) => step());
  }

  /** Forgets the oldest message that is done when there is a new one and there are too many. */
  #forget(change: StoreChange): void {
    if (change.type !== "message done" && change.type !== "put message") return;
    const connection = change.type === "put message" ? change.message.connection : change.connection;
    const stored = this.#connections.get(connection);
    if (stored === undefined || stored.done.size <= keptMessages) return;
    const [oldest] = stored.done;
    stored.done.delete(oldest!);
    stored.messages.delete(oldest!);
  }
}
