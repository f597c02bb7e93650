import type { EventRecord } from "../store/store.ts";

/** An event in memory: stored until it is taken, or told once. */
export type Queued<T> =
  | { readonly type: "stored"; readonly record: EventRecord }
  | { readonly type: "passing"; readonly key: string; readonly event: T };

/** Where stored events are read that memory has no room for. */
export type EventSource = (after: number, limit: number) => Promise<readonly EventRecord[]>;

/**
 * Events on their way to one reader. Of those that are stored a bounded number is in memory, the rest is read from the
 * store when its turn comes; of those that are not, the last one with a key replaces the one before.
 */
export class EventQueue<T> {
  readonly #source: EventSource;
  readonly #room: number;
  readonly #queued = new Map<number | string, Queued<T>>();
  /** Stored events in memory that were not read. */
  #stored = 0;
  /** The greatest number of a stored event that was in memory, and whether there are more in the store. */
  #last = 0;
  #isBehind = false;
  /** Whether there are more than those that are being read. */
  #hasMore = false;
  /** Stored events that were read and not taken, by number. */
  readonly #read = new Map<number, EventRecord>();
  #wake: (() => void) | null = null;
  #isClosed = false;

  /** Keeps `room` stored events in memory. */
  constructor(source: EventSource, room: number) {
    this.#source = source;
    this.#room = room;
  }

  /** Adds an event that was stored. */
  add(record: EventRecord): void {
    if (record.id > this.#last && (this.#isBehind || this.#stored >= this.#room)) this.behind();
    else this.#queue(record);
    this.#wake?.();
  }

  /** There are events in the store that were not added. */
  behind(): void {
    this.#isBehind = this.#hasMore = true;
    this.#wake?.();
  }

  /** Adds an event that is told once, in place of an earlier one with the same key. */
  put(key: string, event: T): void {
    if (this.#isClosed) return;
    this.#queued.delete(key);
    this.#queued.set(key, { type: "passing", key, event });
    this.#wake?.();
  }

  /** The stored event with a number, if it is in memory. */
  record(id: number): EventRecord | undefined {
    const queued = this.#queued.get(id);
    return this.#read.get(id) ?? (queued?.type === "stored" ? queued.record : undefined);
  }

  /** An event that was read is told again. */
  again(record: EventRecord): void {
    if (!this.#read.delete(record.id)) return;
    this.#queued.set(record.id, { type: "stored", record });
    this.#stored++;
    this.#wake?.();
  }

  /** A stored event was taken. */
  taken(id: number): void {
    this.#read.delete(id);
    if (this.#queued.delete(id)) this.#stored--;
  }

  /** Stored events of a connection that were read and not taken are told again. */
  repeat(connection: string): void {
    for (const record of [...this.#read.values()]) if (record.connection === connection) this.again(record);
  }

  /** Forgets a connection that was deleted. */
  forget(connection: string): void {
    for (const [id, record] of this.#read) if (record.connection === connection) this.#read.delete(id);
    for (const queued of this.#queued.values()) {
      if (queued.type === "stored" && queued.record.connection === connection) this.taken(queued.record.id);
    }
  }

  /** The next event; `null` when the queue is closed. For one caller at a time. Throws what the source throws. */
  async next(): Promise<Queued<T> | null> {
    for (;;) {
      if (this.#isClosed) return null;
      const [first] = this.#queued;
      if (first !== undefined) {
        this.#queued.delete(first[0]);
        if (first[1].type === "stored") {
          this.#stored--;
          this.#read.set(first[1].record.id, first[1].record);
        }
        return first[1];
      }
      if (this.#isBehind) await this.#load();
      else {
        await new Promise<void>((resolve) => this.#wake = resolve);
        this.#wake = null;
      }
    }
  }

  /** Wakes the reader up; what is stored stays so. */
  close(): void {
    this.#isClosed = true;
    this.#wake?.();
  }

  #queue(record: EventRecord): void {
    this.#last = Math.max(this.#last, record.id);
    this.#stored++;
    this.#queued.set(record.id, { type: "stored", record });
  }

  async #load(): Promise<void> {
    this.#hasMore = false;
    const records = await this.#source(this.#last, this.#room);
    this.#isBehind = this.#hasMore || records.length === this.#room;
    for (const record of records) this.#queue(record);
  }
}
