import {
  type InboundState,
  keysOf,
  missing,
  newStored,
  put,
  putMessage,
  putPiece,
  putRoute,
  remove,
  removeInOrder,
  type Stored,
  type Tables,
  type Undo,
  undoAll,
} from "./memory_tables.ts";
import { OrderedMap } from "./ordered_map.ts";
import type { ConnectionRecord, Delivery, MessageRecord, StoreChange } from "./store.ts";

type Change<Type extends StoreChange["type"]> = Omit<Extract<StoreChange, { readonly type: Type }>, "type">;

/** Makes a change in memory. Throws `StoreError` (`WRITE`) when what it belongs to is not there. */
export function apply(tables: Tables, change: StoreChange): Undo {
  switch (change.type) {
    case "put connection":
      return putConnection(tables, change.record);
    case "delete connection":
      return deleteConnection(tables, change.connection);
    case "put receiving":
      return putRoute(get(tables, change.connection).receiving, change);
    case "delete receiving":
      return removeFrom(tables, change.connection, ({ receiving }) => removeInOrder(receiving, change.id));
    case "put sending":
      return putSending(tables, change);
    case "delete sending":
      return deleteSending(tables, change);
    case "put session":
      return putSession(tables, change);
    case "delete session":
      return removeFrom(tables, change.connection, (stored) => {
        const before = stored.session;
        stored.session = null;
        return () => stored.session = before;
      });
    case "put inbound":
      return putInbound(tables, change);
    case "delete inbound":
      return removeFrom(tables, change.connection, ({ inbound }) => removeInOrder(inbound, change.id));
    case "put outbound":
      return putRoute(get(tables, change.connection).outbound, change);
    case "delete outbound":
      return removeFrom(tables, change.connection, ({ outbound }) => removeInOrder(outbound, change.id));
    case "put frame":
      return put(get(tables, change.frame.connection).frames, change.frame.number, change.frame);
    case "delete frame":
      return removeFrom(tables, change.connection, ({ frames }) => remove(frames, change.number));
    case "put held":
      return put(get(tables, change.held.connection).held, change.held.number, change.held);
    case "delete held":
      return removeFrom(tables, change.connection, ({ held }) => remove(held, change.number));
    case "put piece":
      return putPiece(get(tables, change.piece.connection), change.piece);
    case "delete pieces":
      return removeFrom(tables, change.connection, ({ inbound }) => {
        const pieces = inbound.get(change.route)?.pieces;
        return pieces === undefined ? () => {} : remove(pieces, change.tag);
      });
    case "put outbox":
      return put(get(tables, change.entry.connection).outbox, change.entry.position, change.entry);
    case "put delivery": {
      const { connection, route, position } = change.delivery;
      const { sending, outbox } = get(tables, connection);
      const deliveries = sending.get(route)?.deliveries;
      if (deliveries === undefined || outbox.get(position) === undefined) throw missing("route or entry");
      return put(deliveries, position, change.delivery);
    }
    case "delete delivery":
      return deleteDelivery(tables, change);
    case "put message":
      return putMessage(get(tables, change.message.connection), change.message);
    case "message done":
      return changeMessage(tables, change, { done: true });
    case "message delivered":
      return changeMessage(tables, change, { delivered: true });
    case "put event":
      get(tables, change.event.connection);
      return put(tables.events, change.event.id, change.event);
    case "delete event":
      return remove(tables.events, change.id);
    case "put discarded":
      return put(tables.discarded, change.queue.id, change.queue);
    case "delete discarded":
      return remove(tables.discarded, change.id);
    default:
      return change satisfies never;
  }
}

function get(tables: Tables, connection: string): Stored {
  const stored = tables.connections.get(connection);
  if (stored === undefined) throw missing("connection");
  return stored;
}

function putConnection(tables: Tables, record: ConnectionRecord): Undo {
  const stored = tables.connections.get(record.id);
  if (stored !== undefined) {
    const before = stored.record;
    stored.record = record;
    return () => stored.record = before;
  }
  return put(tables.connections, record.id, newStored(record));
}

function deleteConnection(tables: Tables, connection: string): Undo {
  const stored = tables.connections.get(connection);
  if (stored === undefined) return () => {};
  const events = tables.events.values().filter((event) => event.connection === connection);
  const undo = [
    removeInOrder(tables.connections, connection),
    ...[...stored.sending.keys()].map((id) => remove(tables.routes, id)),
    ...events.map(({ id }) => remove(tables.events, id)),
  ];
  return undoAll(undo);
}

function putSending(tables: Tables, { connection, route, withKeys }: Change<"put sending">): Undo {
  const stored = get(tables, connection);
  const state = stored.sending.get(route.id);
  const before = state?.route;
  const after = withKeys ? route : { ...route, keys: keysOf(before) };
  if (state !== undefined) {
    state.route = after;
    return () => state.route = before!;
  }
  const undo = [
    put(stored.sending, route.id, { route: after, deliveries: new OrderedMap<Delivery>() }),
    put(tables.routes, route.id, stored),
  ];
  return undoAll(undo);
}

function deleteSending(tables: Tables, { connection, id: route }: Change<"delete sending">): Undo {
  const stored = tables.connections.get(connection);
  const deliveries = stored?.sending.get(route)?.deliveries.values();
  if (deliveries === undefined) return () => {};
  return undoAll([
    ...deliveries.map(({ position }) => deleteDelivery(tables, { connection, route, position })),
    removeInOrder(stored!.sending, route),
    remove(tables.routes, route),
  ]);
}

function putSession(tables: Tables, { connection, session, withKeys }: Change<"put session">): Undo {
  const stored = get(tables, connection);
  const before = stored.session;
  stored.session = withKeys ? session : { ...session, keys: keysOf(before) };
  return () => stored.session = before;
}

function putInbound(tables: Tables, { connection, route, withKeys }: Change<"put inbound">): Undo {
  const { inbound } = get(tables, connection);
  const state = inbound.get(route.id);
  const before = state?.route;
  const after = withKeys ? route : { ...route, keys: keysOf(before) };
  if (state === undefined) {
    return put<string, InboundState>(inbound, route.id, { route: after, pieces: new Map() });
  }
  state.route = after;
  return () => state.route = before!;
}

/** Removes something of a connection that may not be there. */
function removeFrom(tables: Tables, connection: string, removeIt: (stored: Stored) => Undo): Undo {
  const stored = tables.connections.get(connection);
  return stored === undefined ? () => {} : removeIt(stored);
}

function changeMessage(
  tables: Tables,
  { connection, id }: Change<"message done">,
  change: Partial<MessageRecord>,
): Undo {
  const stored = tables.connections.get(connection);
  const message = stored?.messages.get(id);
  return message === undefined ? () => {} : putMessage(stored!, { ...message, ...change });
}

function deleteDelivery(tables: Tables, { connection, route, position }: Change<"delete delivery">): Undo {
  const stored = tables.connections.get(connection);
  const deliveries = stored?.sending.get(route)?.deliveries;
  if (deliveries?.get(position) === undefined) return () => {};
  const undo = [remove(deliveries, position)];
  const isLast = [...stored!.sending.values()].every((other) => other.deliveries.get(position) === undefined);
  if (isLast) undo.push(remove(stored!.outbox, position));
  return undoAll(undo);
}
