import {
  forgetMessage,
  type InboundState,
  keysOf,
  missing,
  newStored,
  put,
  putMessage,
  putPiece,
  putRoute,
  remove,
  removeInOrder,
  type Stored,
  type Undo,
  undoAll,
} from "./memory_tables.ts";
import { OrderedMap } from "./ordered_map.ts";
import { comparePieces } from "./session_rows.ts";
import type {
  AgentStore,
  Connection,
  ConnectionRecord,
  Delivery,
  DiscardedQueue,
  EventRecord,
  FrameRecord,
  HeldFrame,
  MessageQuery,
  MessageRecord,
  PieceRecord,
  QueuedDelivery,
  StoreChange,
  UndeliveredMessage,
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
    const all = [...this.#connections.values()].map((stored) => ({
      record: stored.record,
      receiving: [...stored.receiving.values()],
      sending: [...stored.sending.values()].map(({ route }) => route),
      session: stored.session,
      inbound: [...stored.inbound.values()].map(({ route }) => route),
      outbound: [...stored.outbound.values()],
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
  frames(connection: string, after: number, limit: number): Promise<FrameRecord[]> {
    return Promise.resolve(this.#connections.get(connection)?.frames.after(after, limit) ?? []);
  }

  /** See {@linkcode AgentStore}. */
  held(connection: string, number: number): Promise<HeldFrame | null> {
    return Promise.resolve(this.#connections.get(connection)?.held.get(number) ?? null);
  }

  /** See {@linkcode AgentStore}. */
  pieces(connection: string): Promise<PieceRecord[]> {
    const stored = this.#connections.get(connection);
    return Promise.resolve(stored === undefined ? [] : piecesOf(stored).sort(comparePieces));
  }

  /** See {@linkcode AgentStore}. */
  undelivered(connection: string, from: number, to: number, limit: number): Promise<UndeliveredMessage[]> {
    // Numbers are whole.
    const found = this.#connections.get(connection)?.undelivered.after(from - 1, limit) ?? [];
    return Promise.resolve(found.filter(({ number }) => number <= to));
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
      undoAll(undo)();
      return Promise.reject(error);
    }
    for (const change of changes) this.#forget(change);
    return Promise.resolve();
  }

  /** See {@linkcode AgentStore}. */
  prune(before: number): Promise<number> {
    let count = 0;
    for (const stored of this.#connections.values()) {
      for (const id of stored.done) {
        if (stored.messages.get(id)!.at >= before) continue;
        forgetMessage(stored, id);
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
    for (const stored of this.#connections.values()) {
      const { record, receiving, sending, outbox, messages } = stored;
      const connection = record.id;
      yield { type: "put connection", record };
      for (const route of receiving.values()) {
        yield { type: "put receiving", connection, route, withKeys: true };
      }
      for (const { route } of sending.values()) {
        yield { type: "put sending", connection, route, withKeys: true };
      }
      yield* sessionChanges(stored);
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
      case "put receiving":
        return putRoute(this.#get(change.connection).receiving, change);
      case "delete receiving":
        return this.#removeFrom(change.connection, ({ receiving }) => removeInOrder(receiving, change.id));
      case "put sending":
        return this.#putSending(change);
      case "delete sending":
        return this.#deleteSending(change);
      case "put session":
        return this.#putSession(change);
      case "delete session":
        return this.#removeFrom(change.connection, (stored) => {
          const before = stored.session;
          stored.session = null;
          return () => stored.session = before;
        });
      case "put inbound":
        return this.#putInbound(change);
      case "delete inbound":
        return this.#removeFrom(change.connection, ({ inbound }) => removeInOrder(inbound, change.id));
      case "put outbound":
        return putRoute(this.#get(change.connection).outbound, change);
      case "delete outbound":
        return this.#removeFrom(change.connection, ({ outbound }) => removeInOrder(outbound, change.id));
      case "put frame":
        return put(this.#get(change.frame.connection).frames, change.frame.number, change.frame);
      case "delete frame":
        return this.#removeFrom(change.connection, ({ frames }) => remove(frames, change.number));
      case "put held":
        return put(this.#get(change.held.connection).held, change.held.number, change.held);
      case "delete held":
        return this.#removeFrom(change.connection, ({ held }) => remove(held, change.number));
      case "put piece":
        return putPiece(this.#get(change.piece.connection), change.piece);
      case "delete pieces":
        return this.#removeFrom(change.connection, ({ inbound }) => {
          const pieces = inbound.get(change.route)?.pieces;
          return pieces === undefined ? () => {} : remove(pieces, change.tag);
        });
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
      case "message done":
        return this.#changeMessage(change, { done: true });
      case "message delivered":
        return this.#changeMessage(change, { delivered: true });
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
    return put(this.#connections, record.id, newStored(record));
  }

  #deleteConnection(connection: string): Undo {
    const stored = this.#connections.get(connection);
    if (stored === undefined) return () => {};
    const events = this.#events.values().filter((event) => event.connection === connection);
    const undo = [
      removeInOrder(this.#connections, connection),
      ...[...stored.sending.keys()].map((id) => remove(this.#routes, id)),
      ...events.map(({ id }) => remove(this.#events, id)),
    ];
    return undoAll(undo);
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
    return undoAll(undo);
  }

  #deleteSending(
    { connection, id: route }: Extract<StoreChange, { readonly type: "delete sending" }>,
  ): Undo {
    const stored = this.#connections.get(connection);
    const deliveries = stored?.sending.get(route)?.deliveries.values();
    if (deliveries === undefined) return () => {};
    return undoAll([
      ...deliveries.map(({ position }) => this.#deleteDelivery({ connection, route, position })),
      removeInOrder(stored!.sending, route),
      remove(this.#routes, route),
    ]);
  }

  #putSession(
    { connection, session, withKeys }: Extract<StoreChange, { readonly type: "put session" }>,
  ): Undo {
    const stored = this.#get(connection);
    const before = stored.session;
    stored.session = withKeys ? session : { ...session, keys: keysOf(before) };
    return () => stored.session = before;
  }

  #putInbound({ connection, route, withKeys }: Extract<StoreChange, { readonly type: "put inbound" }>): Undo {
    const { inbound } = this.#get(connection);
    const state = inbound.get(route.id);
    const before = state?.route;
    const after = withKeys ? route : { ...route, keys: keysOf(before) };
    if (state === undefined) {
      return put<string, InboundState>(inbound, route.id, { route: after, pieces: new Map() });
    }
    state.route = after;
    return () => state.route = before!;
  }

  /** Removes something of a connection that may not be there. */
  #removeFrom(connection: string, removeIt: (stored: Stored) => Undo): Undo {
    const stored = this.#connections.get(connection);
    return stored === undefined ? () => {} : removeIt(stored);
  }

  #changeMessage(
    { connection, id }: { readonly connection: string; readonly id: number },
    change: Partial<MessageRecord>,
  ): Undo {
    const stored = this.#connections.get(connection);
    const message = stored?.messages.get(id);
    return message === undefined ? () => {} : putMessage(stored!, { ...message, ...change });
  }

  #deleteDelivery(
    { connection, route, position }: Omit<
      Extract<StoreChange, { readonly type: "delete delivery" }>,
      "type"
    >,
  ): Undo {
    const stored = this.#connections.get(connection);
    const deliveries = stored?.sending.get(route)?.deliveries;
    if (deliveries?.get(position) === undefined) return () => {};
    const undo = [remove(deliveries, position)];
    const isLast = [...stored!.sending.values()].every((other) =>
      other.deliveries.get(position) === undefined
    );
    if (isLast) undo.push(remove(stored!.outbox, position));
    return undoAll(undo);
  }

  /** Forgets the oldest message that is done when there is a new one and there are too many. */
  #forget(change: StoreChange): void {
    if (change.type !== "message done" && change.type !== "put message") return;
    const connection = change.type === "put message" ? change.message.connection : change.connection;
    const stored = this.#connections.get(connection);
    if (stored === undefined || stored.done.size <= keptMessages) return;
    const [oldest] = stored.done;
    forgetMessage(stored, oldest!);
  }
}

function piecesOf({ inbound }: Stored): PieceRecord[] {
  return [...inbound.values()].flatMap(({ pieces }) => [...pieces.values()].flatMap((one) => one.values()));
}

/** What makes the session of a connection, and what belongs to that. */
function* sessionChanges(stored: Stored): Iterable<StoreChange> {
  const { record: { id: connection }, session, inbound, outbound, frames, held } = stored;
  if (session !== null) yield { type: "put session", connection, session, withKeys: true };
  for (const { route } of inbound.values()) yield { type: "put inbound", connection, route, withKeys: true };
  for (const route of outbound.values()) yield { type: "put outbound", connection, route, withKeys: true };
  for (const frame of frames.values()) yield { type: "put frame", frame };
  for (const one of held.values()) yield { type: "put held", held: one };
  for (const piece of piecesOf(stored)) yield { type: "put piece", piece };
}
