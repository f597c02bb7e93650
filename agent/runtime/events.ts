import { formatAddress } from "../../protocol/mod.ts";
import { backoffDelay, Pause } from "../backoff.ts";
import { type AgentEvent, receivedMessage } from "../events.ts";
import { AgentError, agentError } from "../protocol/error.ts";
import type { EventRecord } from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import type { EventLog } from "./event_log.ts";
import { EventQueue } from "./event_queue.ts";
import type { Interpreter } from "./interpreter.ts";

/** How events are read. */
export interface EventOptions {
  /** `next`: an event is taken when the next one is asked for; `manual`: by `Agent.take`. @default next */
  readonly take?: "next" | "manual";
}

/** Events that may wait for another try to read them while others are told. */
const mostUnreadable = 16;

/** Milliseconds in which events that were taken are gathered to be removed from the store together. */
const gathering = 50;

type ServerEvent = Extract<AgentEvent, { readonly type: "down" | "up" }>;

/** Tells the application what happens, and stores what it has taken. */
export class Events implements AsyncDisposable {
  readonly #context: AgentContext;
  readonly #interpreter: Interpreter;
  readonly #queue: EventQueue<AgentEvent>;
  readonly #isManual: boolean;
  /** The event that was told last and is taken when the next one is asked for. */
  #told: EventRecord | null = null;
  readonly #log: EventLog;
  /** Events that were taken and are still stored: after a crash they are told again. */
  readonly #late: EventRecord[] = [];
  /** How often what belongs to an event could not be read, by the number of those that wait for another try. */
  readonly #unreadable = new Map<number, number>();
  /** Messages that wait for an earlier one of their connection that could not be read, by the number of that. */
  readonly #behind = new Map<number, EventRecord[]>();
  readonly #taking = new Set<Promise<void>>();
  readonly #pauses = new Set<Pause>();
  #isClosed = false;

  /** `room`: stored events that are in memory. `isManual`: messages wait for their acknowledgement. */
  constructor(
    context: AgentContext,
    interpreter: Interpreter,
    { isManual, room, log }: { readonly isManual: boolean; readonly room: number; readonly log: EventLog },
  ) {
    this.#context = context;
    this.#interpreter = interpreter;
    this.#isManual = isManual;
    this.#log = log;
    this.#queue = new EventQueue((after, limit) => context.store.events(after, limit), room);
    if (!log.isEmpty) this.#queue.behind();
  }

  /** Tells of an event that was stored. */
  add(record: EventRecord): void {
    this.#queue.add(record);
  }

  /** An event is no longer stored. */
  taken(id: number): void {
    this.#queue.taken(id);
  }

  /** Tells of something once; if it is not read, the next of its kind about the same replaces it. */
  pass(event: Exclude<AgentEvent, { readonly type: "message" | "sent" }>): void {
    if ("server" in event) return this.#passServer(event);
    const about = event.connection;
    const which = event.type === "error"
      ? event.error.code
      : event.type === "stream offered"
      ? event.offer.id
      : "";
    this.#queue.put(`${event.type} ${which}`, about, event);
  }

  /** An offer is not to be told any more. */
  withdraw(connection: string, id: string): void {
    this.#queue.change((event) => (
      event.type === "stream offered" && event.connection === connection && event.offer.id === id
        ? null
        : event
    ));
  }

  /** Tells of a failure that concerns a connection. */
  failed(id: string, error: unknown): void {
    const connection = this.#context.connections.find(id)?.record.alias;
    if (connection !== undefined) this.pass({ type: "error", connection, error: agentError(error) });
  }

  /** A connection is subscribed to: tells again, where messages wait for their acknowledgement. */
  subscribing(connection: string): void {
    if (this.#isManual) this.repeat(connection);
  }

  /** Tells again what was told and not taken of a connection. */
  repeat(connection: string): void {
    this.#queue.repeat(connection);
  }

  /** A connection was deleted. */
  forget(connection: string, alias: string): void {
    this.#queue.forget(connection, alias);
    this.#queue.change((event) => "server" in event ? without(event, new Set([alias])) : event);
  }

  /** The events, for one reader at a time. */
  async *read({ take = "next" }: EventOptions): AsyncGenerator<AgentEvent, void, void> {
    for (;;) {
      this.#takeTold();
      const event = await this.#next(take === "next");
      if (event === null) return;
      yield event;
    }
  }

  /** Stores that an event was taken; rejects when that fails. */
  async take(eventId: number): Promise<void> {
    const record = this.#queue.record(eventId) ?? await this.#stored(eventId);
    if (record === undefined) return;
    await this.#take(record);
  }

  async #take(record: EventRecord): Promise<void> {
    const { connection, event } = record;
    if (event.type !== "message") return await this.#interpreter.take([record]);
    await this.#interpreter.acknowledged(connection, event.id);
  }

  /** An event that was not read from the store yet. */
  async #stored(eventId: number): Promise<EventRecord | undefined> {
    const [record] = await this.#context.store.events(eventId - 1, 1);
    return record?.id === eventId ? record : undefined;
  }

  /** Ends the reader; waits until what was taken is stored. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#queue.close();
    for (const pause of this.#pauses) pause.end();
    await Promise.all(this.#taking);
  }

  /** What was not read of a server goes on being told of the connections that this event does not name. */
  #passServer(event: ServerEvent): void {
    const about = formatAddress(event.server);
    const named = new Set(event.connections);
    const others: string[] = [];
    this.#queue.change((other) => {
      if (!("server" in other) || formatAddress(other.server) !== about) return other;
      const rest = without(other, named);
      if (other.type === event.type) others.push(...rest?.connections ?? []);
      return rest;
    });
    this.#queue.put(event.type, about, { ...event, connections: [...others, ...event.connections] });
  }

  async #next(isTaken: boolean): Promise<AgentEvent | null> {
    for (let failures = 1;;) {
      let queued;
      try {
        queued = await this.#queue.next();
        if (queued === null) return null;
        if (queued.type === "passing") return queued.event;
        if (this.#waitsBehind(queued.record)) continue;
        const event = await this.#eventOf(queued.record);
        this.#readable(queued.record.id);
        // While it was read from the store it was taken, its connection deleted, or it is to be told again anyway.
        if (event === null || !this.#queue.isRead(queued.record.id)) continue;
        const waits = this.#isManual && event.type === "message";
        if (isTaken && !waits) this.#told = queued.record;
        return event;
      } catch (error) {
        if (queued?.type === "stored") await this.#tellLater(queued.record, error);
        else await this.#pause(failures++);
      }
    }
  }

  /** Messages of a connection are told in their order. */
  #waitsBehind(record: EventRecord): boolean {
    if (record.event.type !== "message") return false;
    for (const [id, waiting] of this.#behind) {
      if (id >= record.id || this.#queue.record(id)?.connection !== record.connection) continue;
      waiting.push(record);
      return true;
    }
    return false;
  }

  /** What waited for an event to be read is told now. */
  #readable(id: number): void {
    this.#unreadable.delete(id);
    const waiting = this.#behind.get(id) ?? [];
    this.#behind.delete(id);
    this.#queue.again(waiting);
  }

  /** What cannot be read of one event holds up no other, unless there are many of them. */
  async #tellLater(record: EventRecord, error: unknown): Promise<void> {
    const { id, connection } = record;
    const failures = (this.#unreadable.get(id) ?? 0) + 1;
    if (failures === 1) this.failed(connection, error);
    this.#unreadable.set(id, failures);
    if (record.event.type === "message" && !this.#behind.has(id)) this.#behind.set(id, []);
    const again = this.#pause(failures).then(() => {
      if (!this.#queue.isRead(id)) this.#readable(id);
      this.#queue.again([record]);
    });
    if (this.#unreadable.size > mostUnreadable) await again;
  }

  /** An event as it is told; `null` when its connection is deleted. */
  async #eventOf({ id: eventId, connection: id, event }: EventRecord): Promise<AgentEvent | null> {
    const { connections, store } = this.#context;
    const connection = connections.find(id)?.record.alias;
    if (connection === undefined) return null;
    switch (event.type) {
      case "message": {
        const message = await store.message(id, event.id);
        return message && { type: "message", connection, eventId, message: receivedMessage(message) };
      }
      case "error": {
        const error = new AgentError(event.code, event.message);
        const about = event.id === undefined ? {} : { id: event.id };
        return { type: "error", connection, eventId, error, ...about };
      }
      case "connected":
      case "sent":
      case "delivered":
      case "security":
      case "session":
      case "route":
        return { ...event, connection, eventId };
      default:
        return event satisfies never;
    }
  }

  /** Takes what was told last; the reader does not wait until that is stored. */
  #takeTold(): void {
    const record = this.#told;
    if (record === null) return;
    this.#told = null;
    const isMessage = record.event.type === "message";
    // The server of a 0.3 message waits for it.
    const isAwaited = isMessage && this.#context.connections.find(record.connection)?.session === null;
    if (isAwaited) return this.#track(this.#takeSurely(record));
    this.#queue.taken(record.id);
    if (!isMessage) this.#log.remove(record);
    if (this.#late.push(record) === 1) this.#track(this.#takeLate());
  }

  #track(taking: Promise<void>): void {
    const tracked = taking.finally(() => this.#taking.delete(tracked));
    this.#taking.add(tracked);
  }

  async #takeSurely({ id }: EventRecord): Promise<void> {
    for (let failures = 1;; failures++) {
      try {
        return await this.take(id);
      } catch {
        if (this.#isClosed) return;
        await this.#pause(failures);
      }
    }
  }

  /** No server waits for what is not of a message: many go in one commit. */
  async #takeLate(): Promise<void> {
    for (let failures = 0; this.#late.length > 0;) {
      await (failures === 0 ? this.#wait(gathering) : this.#pause(failures));
      const records = [...this.#late];
      try {
        const others = records.filter(({ event }) => event.type !== "message");
        const messages = records.filter(({ event }) => event.type === "message");
        await Promise.all([
          ...others.length > 0 ? [this.#interpreter.take(others)] : [],
          ...messages.map((record) => this.#take(record)),
        ]);
        this.#late.splice(0, records.length);
        failures = 0;
      } catch {
        if (this.#isClosed) return;
        failures++;
      }
    }
  }

  #pause(failures: number): Promise<void> {
    return this.#wait(backoffDelay(this.#context.retry, failures));
  }

  /** Waits, but not longer than until this is closed. */
  async #wait(milliseconds: number): Promise<void> {
    if (this.#isClosed) return;
    const pause = new Pause();
    this.#pauses.add(pause);
    await pause.wait(milliseconds);
    this.#pauses.delete(pause);
  }
}

/** An event that does not name some connections; `null` when nothing is left of it. */
function without(event: ServerEvent, aliases: ReadonlySet<string>): ServerEvent | null {
  const connections = event.connections.filter((alias) => !aliases.has(alias));
  return connections.length > 0 ? { ...event, connections } : null;
}
