/** What goes with what is deleted: IndexedDB has no foreign keys. */
import { beginningWith, type Direction, directions, type WriteTransaction } from "./indexeddb_tables.ts";
import type { StoreChange } from "./store.ts";

/** How many keys are in memory at a time. */
const pageSize = 1000;

type Deletion<Type extends StoreChange["type"]> = Omit<
  Extract<StoreChange, { readonly type: Type }>,
  "type"
>;

/** Deletes a connection with all that belongs to it. */
export async function deleteConnection(transaction: WriteTransaction, connection: string): Promise<void> {
  const connections = transaction.objectStore("connections");
  const place = await connections.index("id").getKey(connection);
  if (place === undefined) return;
  await connections.delete(place);
  for (const direction of directions) {
    const routes = transaction.objectStore(`${direction}_routes`);
    for (const { id, place } of await routes.index("connection").getAll(connection)) {
      await routes.delete(place!);
      await transaction.objectStore(`${direction}_keys`).delete(id);
      if (direction === "sending") await transaction.objectStore("deliveries").delete(beginningWith([id]));
      if (direction === "inbound") await transaction.objectStore("pieces").delete(beginningWith([id]));
    }
  }
  await deleteSession(transaction, connection);
  for (const name of ["frames", "held_frames", "outbox", "messages"] as const) {
    await transaction.objectStore(name).delete(beginningWith([connection]));
  }
  const events = transaction.objectStore("events");
  for (const id of await events.index("connection").getAllKeys(connection)) await events.delete(id);
}

/** Deletes the session of a connection; its frames and routes stay. */
export async function deleteSession(transaction: WriteTransaction, connection: string): Promise<void> {
  for (const name of ["sessions", "session_keys"] as const) {
    await transaction.objectStore(name).delete(connection);
  }
}

/** Deletes a route of a connection with what came on it or is to go by it. */
export async function deleteRoute(
  transaction: WriteTransaction,
  direction: Direction,
  { connection, id }: Deletion<"delete receiving">,
): Promise<void> {
  const routes = transaction.objectStore(`${direction}_routes`);
  const route = await routes.index("id").get(id);
  if (route?.connection !== connection) return;
  await routes.delete(route.place!);
  await transaction.objectStore(`${direction}_keys`).delete(id);
  if (direction === "inbound") await transaction.objectStore("pieces").delete(beginningWith([id]));
  if (direction === "sending") await deleteDeliveries(transaction, { connection, route: id });
}

/** Deletes a delivery; its entry of the outbox goes with the last one. */
export async function deleteDelivery(
  transaction: WriteTransaction,
  { connection, route, position }: Deletion<"delete delivery">,
): Promise<void> {
  const deliveries = transaction.objectStore("deliveries");
  if ((await deliveries.get([route, position]))?.connection !== connection) return;
  await deliveries.delete([route, position]);
  await deleteDelivered(transaction, { connection, position });
}

/** Deletes the pieces of a message that came on a route. */
export async function deletePieces(
  transaction: WriteTransaction,
  { connection, route, tag }: Deletion<"delete pieces">,
): Promise<void> {
  const inbound = await transaction.objectStore("inbound_routes").index("id").get(route);
  if (inbound?.connection !== connection) return;
  await transaction.objectStore("pieces").delete(beginningWith([route, tag]));
}

/** Deletes the messages that are done and older than `before`; gives how many. */
export async function deleteOld(transaction: WriteTransaction, before: number): Promise<number> {
  const messages = transaction.objectStore("messages");
  const range = IDBKeyRange.bound([1], [1, before], false, true);
  for (let count = 0;;) {
    // Not their bodies.
    const keys = await messages.index("done").getAllKeys(range, pageSize);
    await Promise.all(keys.map((key) => messages.delete(key)));
    count += keys.length;
    if (keys.length < pageSize) return count;
  }
}

async function deleteDeliveries(
  transaction: WriteTransaction,
  { connection, route }: { readonly connection: string; readonly route: string },
): Promise<void> {
  const deliveries = transaction.objectStore("deliveries");
  while (true) {
    const keys = await deliveries.getAllKeys(beginningWith([route]), pageSize);
    for (const [, position] of keys) {
      await deliveries.delete([route, position]);
      await deleteDelivered(transaction, { connection, position });
    }
    if (keys.length < pageSize) return;
  }
}

/** Deletes an entry of the outbox that is to go by no route. */
async function deleteDelivered(
  transaction: WriteTransaction,
  { connection, position }: { readonly connection: string; readonly position: number },
): Promise<void> {
  const entry = transaction.objectStore("deliveries").index("entry");
  const isWaiting = await entry.getKey([connection, position]) !== undefined;
  if (!isWaiting) await transaction.objectStore("outbox").delete([connection, position]);
}
