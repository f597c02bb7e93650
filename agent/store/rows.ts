/**
 * What stores keep of each record: what rows are found and ordered by stands in the clear, the rest is sealed, each
 * value for its place (`placeOf`). The same for every store.
 */
import type {
  ConnectionRecord,
  Delivery,
  Discarded,
  DiscardedQueue,
  EventRecord,
  Farewell,
  InboundRoute,
  MessageRecord,
  OutboundRoute,
  OutboxEntry,
  ReceivingRoute,
  SendingRoute,
} from "./store.ts";
import { openRecord, placeOf, sealRecord, type Vault } from "./vault.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A connection without its routes and its session. */
export interface ConnectionRow {
  readonly id: string;
  readonly data: Bytes;
}

/** A route of any kind; `keys`: `null` to leave those that are there. */
export interface RouteRow<Keys extends Bytes | null = Bytes> {
  readonly id: string;
  readonly connection: string;
  readonly keys: Keys;
  readonly data: Bytes;
}

/** An entry of the outbox. */
export interface OutboxRow {
  readonly connection: string;
  readonly position: number;
  readonly data: Bytes;
  readonly plaintext: Bytes;
}

/** A delivery. */
export interface DeliveryRow {
  readonly connection: string;
  readonly route: string;
  readonly position: number;
  readonly data: Bytes;
}

/** A message. */
export interface MessageRow {
  readonly connection: string;
  readonly id: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly done: boolean;
  readonly data: Bytes;
  readonly body: Bytes;
  /** Sent in a session: the number among this side's user messages. */
  readonly number: number | null;
  readonly delivered: boolean;
}

/** An event that is to be told. */
export interface EventRow {
  readonly id: number;
  readonly connection: string;
  readonly data: Bytes;
}

/** A queue that is to be deleted. */
export interface DiscardedRow {
  readonly id: string;
  readonly data: Bytes;
}

/** The tables of routes. */
export type RouteTable = "receiving_routes" | "sending_routes" | "inbound_routes" | "outbound_routes";

/** A route of any kind. */
export type Route = ReceivingRoute | SendingRoute | InboundRoute | OutboundRoute;

/**
 * The sealed columns of each table, and what their rows are found by: both make a value's place. A table comes after those
 * that it refers to.
 */
export const sealedColumns = {
  connections: { key: ["id"], sealed: ["data"] },
  receiving_routes: { key: ["connection", "id"], sealed: ["keys", "data"] },
  sending_routes: { key: ["connection", "id"], sealed: ["keys", "data"] },
  sessions: { key: ["connection"], sealed: ["keys", "ratchet", "data"] },
  inbound_routes: { key: ["connection", "id"], sealed: ["keys", "data"] },
  outbound_routes: { key: ["connection", "id"], sealed: ["keys", "data"] },
  frames: { key: ["connection", "number"], sealed: ["data", "frame", "message"] },
  held_frames: { key: ["connection", "number"], sealed: ["data", "frame"] },
  pieces: { key: ["connection", "route", "tag", "position"], sealed: ["data", "piece"] },
  outbox: { key: ["connection", "position"], sealed: ["data", "plaintext"] },
  deliveries: { key: ["connection", "route", "position"], sealed: ["data"] },
  messages: { key: ["connection", "id"], sealed: ["data", "body"] },
  events: { key: ["connection", "id"], sealed: ["data"] },
  discarded_queues: { key: ["id"], sealed: ["data"] },
} as const satisfies Record<string, { readonly key: readonly string[]; readonly sealed: readonly string[] }>;

/** The name of a table that holds sealed values. */
export type TableName = keyof typeof sealedColumns;

/** The place of one sealed value of a row. */
export function placeIn(
  table: TableName,
  column: string,
  row: Readonly<Record<string, unknown>>,
): string {
  return placeOf(table, column, ...sealedColumns[table].key.map((name) => row[name] as string | number));
}

/** Seals a connection. */
export async function sealConnection(
  { id, ...data }: ConnectionRecord,
  vault: Vault,
): Promise<ConnectionRow> {
  const row = { id };
  return { ...row, data: await sealRecord(vault, data, placeIn("connections", "data", row)) };
}

/** Opens a connection. */
export async function openConnection(
  { data, ...row }: ConnectionRow,
  vault: Vault,
): Promise<ConnectionRecord> {
  const rest = await openRecord<Omit<ConnectionRecord, "id">>(
    vault,
    data,
    placeIn("connections", "data", row),
  );
  return { id: row.id, ...rest };
}

/** Seals a route of a connection; without its keys when they have not changed. */
export async function sealRoute(
  table: RouteTable,
  { connection, route: { id, keys, ...data }, withKeys }: {
    readonly connection: string;
    readonly route: Route;
    readonly withKeys: boolean;
  },
  vault: Vault,
): Promise<RouteRow<Bytes | null>> {
  const row = { id, connection };
  return {
    ...row,
    keys: withKeys ? await sealRecord(vault, keys, placeIn(table, "keys", row)) : null,
    data: await sealRecord(vault, data, placeIn(table, "data", row)),
  };
}

/** Opens a receiving route. */
export function openReceiving(row: RouteRow, vault: Vault): Promise<ReceivingRoute> {
  return openRoute<ReceivingRoute>("receiving_routes", row, vault);
}

/** Opens a sending route. */
export function openSending(row: RouteRow, vault: Vault): Promise<SendingRoute> {
  return openRoute<SendingRoute>("sending_routes", row, vault);
}

/** Opens an inbound route. */
export function openInbound(row: RouteRow, vault: Vault): Promise<InboundRoute> {
  return openRoute<InboundRoute>("inbound_routes", row, vault);
}

/** Opens an outbound route. */
export function openOutbound(row: RouteRow, vault: Vault): Promise<OutboundRoute> {
  return openRoute<OutboundRoute>("outbound_routes", row, vault);
}

async function openRoute<T extends Route>(
  table: RouteTable,
  { keys, data, ...row }: RouteRow,
  vault: Vault,
): Promise<T> {
  const rest = await openRecord<Omit<T, "id" | "keys">>(vault, data, placeIn(table, "data", row));
  const opened = await openRecord<T["keys"]>(vault, keys, placeIn(table, "keys", row));
  return { id: row.id, keys: opened, ...rest } as T;
}

/** Seals an entry of the outbox. */
export async function sealOutbox(
  { connection, position, plaintext, ...data }: OutboxEntry,
  vault: Vault,
): Promise<OutboxRow> {
  const row = { connection, position };
  return {
    ...row,
    data: await sealRecord(vault, data, placeIn("outbox", "data", row)),
    plaintext: await vault.seal(plaintext, placeIn("outbox", "plaintext", row)),
  };
}

/** Opens an entry of the outbox. */
export async function openOutbox({ data, plaintext, ...row }: OutboxRow, vault: Vault): Promise<OutboxEntry> {
  type Rest = Omit<OutboxEntry, "connection" | "position" | "plaintext">;
  const rest = await openRecord<Rest>(vault, data, placeIn("outbox", "data", row));
  const opened = await vault.open(plaintext, placeIn("outbox", "plaintext", row));
  return { connection: row.connection, position: row.position, ...rest, plaintext: opened };
}

/** Seals a delivery. */
export async function sealDelivery(
  { connection, route, position, ...data }: Delivery,
  vault: Vault,
): Promise<DeliveryRow> {
  const row = { connection, route, position };
  return { ...row, data: await sealRecord(vault, data, placeIn("deliveries", "data", row)) };
}

/** Opens a delivery. */
export async function openDelivery({ data, ...row }: DeliveryRow, vault: Vault): Promise<Delivery> {
  type Rest = Omit<Delivery, "connection" | "route" | "position">;
  const rest = await openRecord<Rest>(vault, data, placeIn("deliveries", "data", row));
  return { connection: row.connection, route: row.route, position: row.position, ...rest };
}

/** Seals a message. */
export async function sealMessage(
  { connection, id, at, done, body, number, delivered, ...data }: MessageRecord,
  vault: Vault,
): Promise<MessageRow> {
  const row = { connection, id };
  return {
    ...row,
    at,
    done,
    data: await sealRecord(vault, data, placeIn("messages", "data", row)),
    body: await vault.seal(body, placeIn("messages", "body", row)),
    number,
    delivered,
  };
}

/** Opens a message. */
export async function openMessage(row: MessageRow, vault: Vault): Promise<MessageRecord> {
  const { connection, id, at, done, number, delivered } = row;
  const place = placeIn("messages", "data", { connection, id });
  const { received } = await openRecord<Pick<MessageRecord, "received">>(vault, row.data, place);
  const body = await vault.open(row.body, placeIn("messages", "body", { connection, id }));
  return { connection, id, body, at, done, received, number, delivered };
}

/** Seals an event. */
export async function sealEvent({ id, connection, event }: EventRecord, vault: Vault): Promise<EventRow> {
  const row = { id, connection };
  return { ...row, data: await sealRecord(vault, event, placeIn("events", "data", row)) };
}

/** Opens an event. */
export async function openEvent({ id, connection, data }: EventRow, vault: Vault): Promise<EventRecord> {
  return {
    id,
    connection,
    event: await openRecord(vault, data, placeIn("events", "data", { id, connection })),
  };
}

/** Seals a queue that is to be deleted. */
export async function sealDiscarded({ id, ...data }: Discarded, vault: Vault): Promise<DiscardedRow> {
  return { id, data: await sealRecord(vault, data, placeIn("discarded_queues", "data", { id })) };
}

/** Opens a queue that is to be deleted. */
export async function openDiscarded({ id, data }: DiscardedRow, vault: Vault): Promise<Discarded> {
  const rest = await openRecord<Omit<DiscardedQueue, "id"> | Omit<Farewell, "id">>(
    vault,
    data,
    placeIn("discarded_queues", "data", { id }),
  );
  return { id, ...rest };
}
