import { forgetMessage, type Stored, type Tables, type Undo, undoAll } from "./memory_tables.ts";
import { apply } from "./memory_writes.ts";
import { OrderedMap } from "./ordered_map.ts";
import { comparePieces } from "./session_rows.ts";
import type {
  AgentStore,
  Connection,
  Discarded,
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
  readonly #tables: Tables = {
    connections: new Map(),
    events: new OrderedMap(),
    discarded: new Map(),
    routes: new Map(),
  };

  /** See {@linkcode AgentStore}. */
  connections(): Promise<Connection[]> {
    const all = [...this.#tables.connections.values()].map((stored) => ({
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
  discarded(): Promise<Discarded[]> {
    return Promise.resolve([...this.#tables.discarded.values()]);
  }

  /** See {@linkcode AgentStore}. */
  waitingRoutes(): Promise<string[]> {
    const waiting = [...this.#tables.routes].filter(([id, { sending }]) =>
      sending.get(id)!.deliveries.size > 0
    );
    return Promise.resolve(waiting.map(([id]) => id));
  }

  /** See {@linkcode AgentStore}. */
  deliveries(route: string, limit: number): Promise<QueuedDelivery[]> {
    const stored = this.#tables.routes.get(route);
    const first = stored?.sending.get(route)?.deliveries.after(-Infinity, limit) ?? [];
    return Promise.resolve(
      first.map((delivery) => ({ ...stored!.outbox.get(delivery.position)!, ...delivery })),
    );
  }

  /** See {@linkcode AgentStore}. */
  frames(connection: string, after: number, limit: number): Promise<FrameRecord[]> {
    return Promise.resolve(this.#tables.connections.get(connection)?.frames.after(after, limit) ?? []);
  }

  /** See {@linkcode AgentStore}. */
  held(connection: string, number: number): Promise<HeldFrame | null> {
    return Promise.resolve(this.#tables.connections.get(connection)?.held.get(number) ?? null);
  }

  /** See {@linkcode AgentStore}. */
  pieces(connection: string): Promise<PieceRecord[]> {
    const stored = this.#tables.connections.get(connection);
    return Promise.resolve(stored === undefined ? [] : piecesOf(stored).sort(comparePieces));
  }

  /** See {@linkcode AgentStore}. */
  undelivered(connection: string, from: number, to: number, limit: number): Promise<UndeliveredMessage[]> {
    // Numbers are whole.
    const found = this.#tables.connections.get(connection)?.undelivered.after(from - 1, limit) ?? [];
    return Promise.resolve(found.filter(({ number }) => number <= to));
  }

  /** See {@linkcode AgentStore}. */
  message(connection: string, id: number): Promise<MessageRecord | null> {
    return Promise.resolve(this.#tables.connections.get(connection)?.messages.get(id) ?? null);
  }

  /** See {@linkcode AgentStore}. */
  messages(
    connection: string,
    { before = Infinity, limit = 100 }: MessageQuery = {},
  ): Promise<MessageRecord[]> {
    return Promise.resolve(this.#tables.connections.get(connection)?.messages.before(before, limit) ?? []);
  }

  /** See {@linkcode AgentStore}. */
  events(after: number, limit: number): Promise<EventRecord[]> {
    return Promise.resolve(this.#tables.events.after(after, limit));
  }

  /** See {@linkcode AgentStore}. */
  commit(changes: readonly StoreChange[]): Promise<void> {
    const undo: Undo[] = [];
    try {
      for (const change of changes) undo.push(apply(this.#tables, change));
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
    for (const stored of this.#tables.connections.values()) {
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
    for (const stored of this.#tables.connections.values()) {
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
    for (const event of this.#tables.events.values()) yield { type: "put event", event };
    for (const queue of this.#tables.discarded.values()) yield { type: "put discarded", queue };
  }

  /** Forgets the oldest message that is done when there is a new one and there are too many. */
  #forget(change: StoreChange): void {
    if (change.type !== "message done" && change.type !== "put message") return;
    const connection = change.type === "put message" ? change.message.connection : change.connection;
    const stored = this.#tables.connections.get(connection);
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
