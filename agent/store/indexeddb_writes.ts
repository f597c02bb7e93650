import { beginningWith, type WriteTransaction } from "./indexeddb_tables.ts";
import * as rows from "./rows.ts";
import type { StoreChange } from "./store.ts";
import type { Vault } from "./vault.ts";

/** Makes a change in a transaction, waiting for nothing else. */
export type Write = (transaction: WriteTransaction) => Promise<void>;

type Direction = "receiving" | "sending";

/** Seals a change. */
export async function writeOf(change: StoreChange, vault: Vault): Promise<Write> {
  switch (change.type) {
    case "put connection": {
      const row = owned(await rows.sealConnection(change.record, vault));
      return async (transaction) => {
        const connections = transaction.objectStore("connections");
        await connections.put({ ...row, ...placed(await connections.index("id").getKey(row.id)) });
      };
    }
    case "delete connection":
      return (transaction) => deleteConnection(transaction, change.connection);
    case "put receiving":
      return putRoute("receiving", owned(await rows.sealRoute("receiving_routes", change, vault)));
    case "put sending":
      return putRoute("sending", owned(await rows.sealRoute("sending_routes", change, vault)));
    case "put outbox": {
      const row = owned(await rows.sealOutbox(change.entry, vault));
      return async (transaction) => {
        await checkConnection(transaction, row.connection);
        await transaction.objectStore("outbox").put(row);
      };
    }
    case "put delivery": {
      const row = owned(await rows.sealDelivery(change.delivery, vault));
      return async (transaction) => {
        const route = await transaction.objectStore("sending_routes").index("id").get(row.route);
        if (route?.connection !== row.connection) {
          throw new Error("there is no such route of this connection");
        }
        const entry = await transaction.objectStore("outbox").getKey([row.connection, row.position]);
        if (entry === undefined) throw new Error("there is no such entry of the outbox");
        await transaction.objectStore("deliveries").put(row);
      };
    }
    case "delete delivery":
      return (transaction) => deleteDelivery(transaction, change);
    case "put message": {
      const { done, ...row } = owned(await rows.sealMessage(change.message, vault));
      return async (transaction) => {
        await checkConnection(transaction, row.connection);
        await transaction.objectStore("messages").put({ ...row, done: done ? 1 : 0 });
      };
    }
    case "message done":
      return async (transaction) => {
        const messages = transaction.objectStore("messages");
        const message = await messages.get([change.connection, change.id]);
        if (message !== undefined) await messages.put({ ...message, done: 1 });
      };
    case "put event": {
      const row = owned(await rows.sealEvent(change.event, vault));
      return async (transaction) => {
        await checkConnection(transaction, row.connection);
        await transaction.objectStore("events").put(row);
      };
    }
    case "delete event":
      return (transaction) => transaction.objectStore("events").delete(change.id);
    case "put discarded": {
      const row = owned(await rows.sealDiscarded(change.queue, vault));
      return async (transaction) => void await transaction.objectStore("discarded_queues").put(row);
    }
    case "delete discarded":
      return (transaction) => transaction.objectStore("discarded_queues").delete(change.id);
    default:
      return change satisfies never;
  }
}

function putRoute(
  direction: Direction,
  { keys, ...row }: rows.RouteRow<Uint8Array<ArrayBuffer> | null>,
): Write {
  const { id, connection } = row;
  return async (transaction) => {
    await checkConnection(transaction, connection);
    const routes = transaction.objectStore(`${direction}_routes`);
    const place = await routes.index("id").getKey(id);
    const isOther = place !== undefined && (await routes.get(place))!.connection !== connection;
    if (isOther || (place === undefined && keys === null)) {
      throw new Error("there is no such route of this connection");
    }
    await routes.put({ ...row, ...placed(place) });
    if (keys !== null) await transaction.objectStore(`${direction}_keys`).put({ id, connection, keys });
  };
}

async function deleteConnection(transaction: WriteTransaction, connection: string): Promise<void> {
  const connections = transaction.objectStore("connections");
  const place = await connections.index("id").getKey(connection);
  if (place === undefined) return;
  await connections.delete(place);
  for (const direction of ["receiving", "sending"] as const) {
    const index = transaction.objectStore(`${direction}_routes`).index("connection");
    for (const { id, place } of await index.getAll(connection)) {
      await transaction.objectStore(`${direction}_routes`).delete(place!);
      await transaction.objectStore(`${direction}_keys`).delete(id);
      if (direction === "sending") await transaction.objectStore("deliveries").delete(beginningWith(id));
    }
  }
  await transaction.objectStore("outbox").delete(beginningWith(connection));
  await transaction.objectStore("messages").delete(beginningWith(connection));
  const events = transaction.objectStore("events");
  for (const id of await events.index("connection").getAllKeys(connection)) await events.delete(id);
}

async function deleteDelivery(
  transaction: WriteTransaction,
  { connection, route, position }: Extract<StoreChange, { readonly type: "delete delivery" }>,
): Promise<void> {
  const deliveries = transaction.objectStore("deliveries");
  if ((await deliveries.get([route, position]))?.connection !== connection) return;
  await deliveries.delete([route, position]);
  const isLast = await deliveries.index("entry").getKey([connection, position]) === undefined;
  if (isLast) await transaction.objectStore("outbox").delete([connection, position]);
}

/** What belongs to a connection must go with it: something to send for none would be tried for ever. */
async function checkConnection(transaction: WriteTransaction, id: string): Promise<void> {
  const place = await transaction.objectStore("connections").index("id").getKey(id);
  if (place === undefined) throw new Error("there is no such connection");
}

function placed(place: number | undefined): { readonly place?: number } {
  return place === undefined ? {} : { place };
}

/** With bytes in memory of their own: the whole memory that an array is a part of would be stored with it. */
function owned<Row extends object>(row: Row): Row {
  const entries = Object.entries(row).map(([name, value]) => [
    name,
    value instanceof Uint8Array && value.byteLength < value.buffer.byteLength ? value.slice() : value,
  ]);
  return Object.fromEntries(entries) as Row;
}
