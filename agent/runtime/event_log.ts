import type { AgentStore, EventRecord, StoredEvent } from "../store/store.ts";

/** Events of a connection that its peer alone can cause and that are stored, untaken; others are left out. */
const mostErrors = 100;

const pageSize = 256;

/** What the agent must know of its stored events without reading them: a few numbers a connection. */
export class EventLog {
  #lastId = 0;
  #isEmpty = true;
  /** The numbers of events for which there is a bound, by connection. */
  readonly #bounded = new Map<string, Set<number>>();
  /** The events of messages that are not acknowledged, by connection and number of the message. */
  readonly #messages = new Map<string, Map<number, number>>();

  /**
   * Reads what is in a store. The numbers of events that were taken are not in there; so that none of them is used again,
   * also in another run, they begin with the time `now` (milliseconds since 1970) in microseconds.
   */
  static async load(store: AgentStore, now: number): Promise<EventLog> {
    const log = new EventLog();
    for (;;) {
      const page = await store.events(log.#lastId, pageSize);
      for (const record of page) log.#add(record);
      if (page.length < pageSize) break;
    }
    log.#isEmpty = log.#lastId === 0;
    log.#lastId = Math.max(log.#lastId, now * 1000);
    return log;
  }

  /** Whether there were any when it was read. */
  get isEmpty(): boolean {
    return this.#isEmpty;
  }

  /** Numbers events; leaves out those that there are too many of. */
  number(connection: string, events: readonly StoredEvent[]): EventRecord[] {
    const records: EventRecord[] = [];
    for (const event of events) {
      if (isBounded(event) && (this.#bounded.get(connection)?.size ?? 0) >= mostErrors) continue;
      const record = { id: this.#lastId + 1, connection, event };
      this.#add(record);
      records.push(record);
    }
    return records;
  }

  /** The event of a message that is not acknowledged. */
  ofMessage(connection: string, id: number): EventRecord | undefined {
    const number = this.#messages.get(connection)?.get(id);
    return number === undefined ? undefined : { id: number, connection, event: { type: "message", id } };
  }

  /** An event is no longer stored, or could not be. */
  remove({ id, connection, event }: EventRecord): void {
    if (event.type === "message") this.#messages.get(connection)?.delete(event.id);
    if (isBounded(event)) this.#bounded.get(connection)?.delete(id);
  }

  /** A connection is deleted. */
  forget(connection: string): void {
    this.#bounded.delete(connection);
    this.#messages.delete(connection);
  }

  #add({ id, connection, event }: EventRecord): void {
    this.#lastId = id;
    if (isBounded(event)) {
      this.#bounded.set(connection, (this.#bounded.get(connection) ?? new Set<number>()).add(id));
    }
    if (event.type !== "message") return;
    const messages = this.#messages.get(connection) ?? new Map<number, number>();
    this.#messages.set(connection, messages.set(event.id, id));
  }
}

function isBounded(event: StoredEvent): boolean {
  return event.type === "security" || event.type === "route" ||
    event.type === "error" && event.id === undefined;
}
