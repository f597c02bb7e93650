import type { StoreNames, StoreValue } from "idb";
import { openMessage } from "./indexeddb_reads.ts";
import { type Database, type Direction, directions, type Tables, tables } from "./indexeddb_tables.ts";
import * as rows from "./rows.ts";
import * as sessionRows from "./session_rows.ts";
import type { StoreChange } from "./store.ts";
import type { Vault } from "./vault.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** How many rows are in memory at a time. */
const pageSize = 50;

/** Of these tables fewer: their rows may have a megabyte or two. */
const largePageSize = 16;
const largeTables: ReadonlySet<string> = new Set(["frames", "held_frames", "messages"]);

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
    const size = largeTables.has(name) ? largePageSize : pageSize;
    const found: Page<object>[] = [];
    pages.set(name, found);
    let range: IDBKeyRange | undefined;
    while (true) {
      const [keys, page] = await Promise.all([
        store.getAllKeys(range, size),
        store.getAll(range, size) as Promise<object[]>,
      ]);
      if (page.length > 0) found.push(new Page(page));
      if (page.length < size) break;
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
  for (const direction of directions) {
    const keysById = new Map<string, Bytes>();
    for await (const { id, keys } of raw.rows(`${direction}_keys`)) keysById.set(id, keys);
    for await (const { place: _, ...data } of raw.rows(`${direction}_routes`)) {
      yield await routeChange(direction, { ...data, keys: keysById.get(data.id)! }, vault);
    }
  }
  yield* sessionChanges(raw, vault);
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

async function* sessionChanges(raw: RawSnapshot, vault: Vault): AsyncGenerator<StoreChange> {
  const keysOf = new Map<string, Bytes>();
  for await (const { connection, keys } of raw.rows("session_keys")) keysOf.set(connection, keys);
  for await (const data of raw.rows("sessions")) {
    const { connection } = data;
    const session = await sessionRows.openSession({ ...data, keys: keysOf.get(connection)! }, vault);
    yield { type: "put session", connection, session, withKeys: true };
  }
  for await (const row of raw.rows("frames")) {
    yield { type: "put frame", frame: await sessionRows.openFrame(row, vault) };
  }
  for await (const row of raw.rows("held_frames")) {
    yield { type: "put held", held: await sessionRows.openHeld(row, vault) };
  }
  for await (const row of raw.rows("pieces")) {
    yield { type: "put piece", piece: await sessionRows.openPiece(row, vault) };
  }
}

async function routeChange(
  direction: Direction,
  row: rows.RouteRow,
  vault: Vault,
): Promise<StoreChange> {
  const { connection } = row;
  const withKeys = true;
  switch (direction) {
    case "receiving":
      return { type: "put receiving", connection, route: await rows.openReceiving(row, vault), withKeys };
    case "sending":
      return { type: "put sending", connection, route: await rows.openSending(row, vault), withKeys };
    case "inbound":
      return { type: "put inbound", connection, route: await rows.openInbound(row, vault), withKeys };
    case "outbound":
      return { type: "put outbound", connection, route: await rows.openOutbound(row, vault), withKeys };
    default:
      return direction satisfies never;
  }
}
