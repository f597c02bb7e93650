import type { EventRecord } from "../store/store.ts";

/** An event in memory: stored until it is taken, or told once. */
export type Queued<T> =
  | { readonly type: "stored"; readonly record: EventRecord }
  | { readonly type: "passing"; readonly about: string; readonly event: T };

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
  /** Those that were taken while they are being read. */
  readonly #takenMeanwhile = new Set<number>();
  #isLoading = false;
  /** Stored events that were read and not taken, by number. */
  readonly #read = new Map<number, EventRecord>();
  /** Their numbers, by connection. */
  readonly #readOf = new Map<string, Set<number>>();
  #wake: (() => void) | null = null;
  #isClosed = false;

  /** Keeps `room` stored events in memory. */
  constructor(source: EventSource, room: number) {
    this.#source = source;
    this.#room = room;
  }

  /** Adds an event that was stored. */
  add(record: EventRecord): void {
    // It was read from the store before its commit had resolved.
    if (this.#queued.has(record.id) || this.#read.has(record.id)) return;
    if (record.id > this.#last && (this.#isBehind || this.#stored >= this.#room)) this.behind();
    else this.#queue(record);
    this.#wake?.();
  }

  /** There are events in the store that were not added. */
  behind(): void {
    this.#isBehind = this.#hasMore = true;
    this.#wake?.();
  }

  /** Adds an event that is told once, in place of an earlier one of the same kind about the same. */
  put(kind: string, about: string, event: T): void {
    if (this.#isClosed) return;
    const key = `${kind} ${about}`;
    this.#queued.delete(key);
    this.#queued.set(key, { type: "passing", about, event });
    this.#wake?.();
  }

  /** Changes the events that are told once and were not read; `null`: it is not told. */
  change(change: (event: T) => T | null): void {
    for (const [key, queued] of this.#queued) {
      if (queued.type !== "passing") continue;
      const event = change(queued.event);
      if (event === null) this.#queued.delete(key);
      else this.#queued.set(key, { ...queued, event });
    }
  }

  /** The stored event with a number, if it is in memory. */
  record(id: number): EventRecord | undefined {
    const queued = this.#queued.get(id);
    return this.#read.get(id) ?? (queued?.type === "stored" ? queued.record : undefined);
  }

  /** Whether a stored event was read, and since then neither taken, nor forgotten, nor is to be told again. */
  isRead(id: number): boolean {
    return this.#read.has(id);
  }

  /** Events that were read are told again, before those that came after them. */
  again(records: readonly EventRecord[]): void {
    const again = records.filter(({ id }) => this.#unread(id)).toSorted((a, b) => a.id - b.id);
    if (again.length === 0) return;
    const later = [...this.#queued];
    this.#queued.clear();
    for (const record of again) this.#queued.set(record.id, { type: "stored", record });
    for (const [key, queued] of later) this.#queued.set(key, queued);
    this.#stored += again.length;
    this.#wake?.();
  }

  /** A stored event was taken. */
  taken(id: number): void {
    this.#unread(id);
    if (this.#queued.delete(id)) this.#stored--;
    else if (this.#isLoading) this.#takenMeanwhile.add(id);
  }

  /** Stored events of a connection that were read and not taken are told again. */
  repeat(connection: string): void {
    const ids = this.#readOf.get(connection) ?? [];
    this.again([...ids].map((id) => this.#read.get(id)!));
  }

  /** Forgets a connection that was deleted, and what was to be told once about its alias. */
  forget(connection: string, alias: string): void {
    for (const id of this.#readOf.get(connection) ?? []) this.#read.delete(id);
    this.#readOf.delete(connection);
    for (const [key, queued] of this.#queued) {
      if (queued.type === "passing" && queued.about === alias) this.#queued.delete(key);
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
          this.#reading(first[1].record);
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

  #reading(record: EventRecord): void {
    const { id, connection } = record;
    this.#read.set(id, record);
    const ids = this.#readOf.get(connection) ?? new Set();
    this.#readOf.set(connection, ids.add(id));
  }

  #unread(id: number): boolean {
    const record = this.#read.get(id);
    if (record === undefined) return false;
    this.#read.delete(id);
    const ids = this.#readOf.get(record.connection);
    ids?.delete(id);
    if (ids?.size === 0) this.#readOf.delete(record.connection);
    return true;
  }

  #queue(record: EventRecord): void {
    this.#last = Math.max(this.#last, record.id);
    this.#stored++;
    this.#queued.set(record.id, { type: "stored", record });
  }

  async #load(): Promise<void> {
    this.#hasMore = false;
    this.#isLoading = true;
    try {
      const records = await this.#source(this.#last, this.#room);
      this.#isBehind = this.#hasMore || records.length === this.#room;
      for (const record of records) if (!this.#takenMeanwhile.has(record.id)) this.#queue(record);
      this.#last = records.at(-1)?.id ?? this.#last;
    } finally {
      this.#isLoading = false;
      this.#takenMeanwhile.clear();
    }
  }
}
