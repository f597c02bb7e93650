import {
  deleteConnection,
  deleteDelivery,
  deletePieces,
  deleteRoute,
  deleteSession,
} from "./indexeddb_deletes.ts";
import type { Direction, StoredMessage, WriteTransaction } from "./indexeddb_tables.ts";
import * as rows from "./rows.ts";
import * as sessionRows from "./session_rows.ts";
import type { StoreChange } from "./store.ts";
import type { PassphraseRecord, Vault } from "./vault.ts";

/** Makes a change in a transaction, waiting for nothing else. */
export type Write = (transaction: WriteTransaction) => Promise<void>;

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
    case "put inbound":
      return putRoute("inbound", owned(await rows.sealRoute("inbound_routes", change, vault)));
    case "put outbound":
      return putRoute("outbound", owned(await rows.sealRoute("outbound_routes", change, vault)));
    case "delete receiving":
      return (transaction) => deleteRoute(transaction, "receiving", change);
    case "delete sending":
      return (transaction) => deleteRoute(transaction, "sending", change);
    case "delete inbound":
      return (transaction) => deleteRoute(transaction, "inbound", change);
    case "delete outbound":
      return (transaction) => deleteRoute(transaction, "outbound", change);
    case "put session":
      return putSession(owned(await sessionRows.sealSession(change, vault)));
    case "delete session":
      return (transaction) => deleteSession(transaction, change.connection);
    case "put frame": {
      const row = owned(await sessionRows.sealFrame(change.frame, vault));
      return async (transaction) => {
        await checkConnection(transaction, row.connection);
        await transaction.objectStore("frames").put(row);
      };
    }
    case "delete frame":
      return (transaction) => transaction.objectStore("frames").delete([change.connection, change.number]);
    case "put held": {
      const row = owned(await sessionRows.sealHeld(change.held, vault));
      return async (transaction) => {
        await checkConnection(transaction, row.connection);
        await transaction.objectStore("held_frames").put(row);
      };
    }
    case "delete held":
      return (transaction) =>
        transaction.objectStore("held_frames").delete([change.connection, change.number]);
    case "put piece": {
      const row = owned(await sessionRows.sealPiece(change.piece, vault));
      return async (transaction) => {
        await checkRoute(transaction, "inbound", { connection: row.connection, id: row.route });
        await transaction.objectStore("pieces").put(row);
      };
    }
    case "delete pieces":
      return (transaction) => deletePieces(transaction, change);
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
        await checkRoute(transaction, "sending", { connection: row.connection, id: row.route });
        const entry = await transaction.objectStore("outbox").getKey([row.connection, row.position]);
        if (entry === undefined) throw new Error("there is no such entry of the outbox");
        await transaction.objectStore("deliveries").put(row);
      };
    }
    case "delete delivery":
      return (transaction) => deleteDelivery(transaction, change);
    case "put message": {
      const { done, delivered, ...row } = owned(await rows.sealMessage(change.message, vault));
      return async (transaction) => {
        await checkConnection(transaction, row.connection);
        const stored = { ...row, done: done ? 1 : 0, delivered: delivered ? 1 : 0 } as const;
        await transaction.objectStore("messages").put(stored);
      };
    }
    case "message done":
      return (transaction) => changeMessage(transaction, change, { done: 1 });
    case "message delivered":
      return (transaction) => changeMessage(transaction, change, { delivered: 1 });
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

/** Keeps what is to be kept of a passphrase, in place of what was kept before. */
export async function putPassphrase(
  transaction: WriteTransaction,
  record: PassphraseRecord | null,
): Promise<void> {
  const store = transaction.objectStore("passphrase");
  if (record === null) await store.clear();
  else await store.put(record, 1);
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

function putSession({ keys, ...row }: sessionRows.SessionRow<Uint8Array<ArrayBuffer> | null>): Write {
  const { connection } = row;
  return async (transaction) => {
    await checkConnection(transaction, connection);
    const sessions = transaction.objectStore("sessions");
    if (keys === null && await sessions.getKey(connection) === undefined) {
      throw new Error("there is no session of this connection");
    }
    await sessions.put(row);
    if (keys !== null) await transaction.objectStore("session_keys").put({ connection, keys });
  };
}

async function changeMessage(
  transaction: WriteTransaction,
  { connection, id }: { readonly connection: string; readonly id: number },
  changed: Partial<Pick<StoredMessage, "done" | "delivered">>,
): Promise<void> {
  const messages = transaction.objectStore("messages");
  const message = await messages.get([connection, id]);
  if (message !== undefined) await messages.put({ ...message, ...changed });
}

/** What belongs to a connection must go with it: something to send for none would be tried for ever. */
async function checkConnection(transaction: WriteTransaction, id: string): Promise<void> {
  const place = await transaction.objectStore("connections").index("id").getKey(id);
  if (place === undefined) throw new Error("there is no such connection");
}

async function checkRoute(
  transaction: WriteTransaction,
  direction: Direction,
  { connection, id }: { readonly connection: string; readonly id: string },
): Promise<void> {
  const route = await transaction.objectStore(`${direction}_routes`).index("id").get(id);
  if (route?.connection !== connection) throw new Error("there is no such route of this connection");
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
