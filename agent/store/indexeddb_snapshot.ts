import type { StoreNames, StoreValue } from "idb";
import { openMessage } from "./indexeddb_reads.ts";
import { type Database, type Tables, tables } from "./indexeddb_tables.ts";
import * as rows from "./rows.ts";
import type { StoreChange } from "./store.ts";
import type { Vault } from "./vault.ts";

/** How many rows are in memory at a time. */
const pageSize = 50;

/** Where the bytes of a value are in those of its page. */
class Span {
  constructor(readonly start: number, readonly end: number) {}
}

/** Some rows of a table, with their bytes in a blob: browsers keep it outside of the page's memory. */
class Page<Row extends object> {
  readonly #rows: readonly (readonly [name: string, value: unknown][])[];
  readonly #bytes: Blob;

  constructor(page: readonly Row[]) {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let at = 0;
    this.#rows = page.map((row) =>
      Object.entries(row).map(([name, value]) => {
        if (!(value instanceof Uint8Array)) return [name, value];
        parts.push(value as Uint8Array<ArrayBuffer>);
        return [name, new Span(at, at += value.length)];
      })
    );
    this.#bytes = new Blob(parts);
  }

  async *read(): AsyncGenerator<Row> {
    const bytes = new Uint8Array(await this.#bytes.arrayBuffer());
    for (const row of this.#rows) {
      const entries = row.map(([name, value]) => [
        name,
        value instanceof Span ? bytes.slice(value.start, value.end) : value,
      ]);
      yield Object.fromEntries(entries) as Row;
    }
  }
}

/** The rows of one moment. */
export interface RawSnapshot {
  /** The rows of a table in the order of their keys. */
  rows<Name extends StoreNames<Tables>>(name: Name): AsyncGenerator<StoreValue<Tables, Name>>;
}

/** Reads all rows as they are, in one transaction, which nothing else is waited for in: it would end. */
export async function readRaw(database: Database): Promise<RawSnapshot> {
  const transaction = database.transaction(tables);
  const pages = new Map<string, Page<object>[]>();
  for (const name of tables) {
    const store = transaction.objectStore(name);
    const found: Page<object>[] = [];
    pages.set(name, found);
    let range: IDBKeyRange | undefined;
    while (true) {
      const [keys, page] = await Promise.all([
        store.getAllKeys(range, pageSize),
        store.getAll(range, pageSize) as Promise<object[]>,
      ]);
      if (page.length > 0) found.push(new Page(page));
      if (page.length < pageSize) break;
      range = IDBKeyRange.lowerBound(keys.at(-1), true);
    }
  }
  return {
    async *rows<Name extends StoreNames<Tables>>(name: Name) {
      for (const page of pages.get(name)!) {
        yield* (page as Page<object>).read() as AsyncGenerator<StoreValue<Tables, Name>>;
      }
    },
  };
}

/** All that was stored, as changes. */
export async function* changesOf(raw: RawSnapshot, vault: Vault): AsyncGenerator<StoreChange> {
  for await (const { place: _, ...row } of raw.rows("connections")) {
    yield { type: "put connection", record: await rows.openConnection(row, vault) };
  }
  for (const direction of ["receiving", "sending"] as const) {
    const keysById = new Map<string, Uint8Array<ArrayBuffer>>();
    for await (const { id, keys } of raw.rows(`${direction}_keys`)) keysById.set(id, keys);
    for await (const { place: _, ...data } of raw.rows(`${direction}_routes`)) {
      const row = { ...data, keys: keysById.get(data.id)! };
      const { connection } = row;
      yield direction === "receiving"
        ? { type: "put receiving", connection, route: await rows.openReceiving(row, vault), withKeys: true }
        : { type: "put sending", connection, route: await rows.openSending(row, vault), withKeys: true };
    }
  }
  for await (const row of raw.rows("outbox")) {
    yield { type: "put outbox", entry: await rows.openOutbox(row, vault) };
  }
  for await (const row of raw.rows("deliveries")) {
    yield { type: "put delivery", delivery: await rows.openDelivery(row, vault) };
  }
  for await (const row of raw.rows("messages")) {
    yield { type: "put message", message: await openMessage(row, vault) };
  }
  for await (const row of raw.rows("events")) {
    yield { type: "put event", event: await rows.openEvent(row, vault) };
  }
  for await (const row of raw.rows("discarded_queues")) {
    yield { type: "put discarded", queue: await rows.openDiscarded(row, vault) };
  }
}
