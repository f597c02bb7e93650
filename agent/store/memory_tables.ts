import { OrderedMap } from "./ordered_map.ts";
import {
  type ConnectionRecord,
  type Delivery,
  type Discarded,
  type EventRecord,
  type FrameRecord,
  type HeldFrame,
  type InboundRoute,
  type MessageRecord,
  type OutboundRoute,
  type OutboxEntry,
  type PieceRecord,
  type ReceivingRoute,
  type SendingRoute,
  type Session,
  StoreError,
  type UndeliveredMessage,
} from "./store.ts";

/** A sending route and what is to be sent on it. */
export interface SendingState {
  route: SendingRoute;
  /** By position. */
  readonly deliveries: OrderedMap<Delivery>;
}

/** An inbound route and the pieces that came on it. */
export interface InboundState {
  route: InboundRoute;
  /** By tag, then by index. */
  readonly pieces: Map<string, OrderedMap<PieceRecord>>;
}

/** A connection and all that belongs to it but its events. */
export interface Stored {
  record: ConnectionRecord;
  readonly receiving: Map<string, ReceivingRoute>;
  readonly sending: Map<string, SendingState>;
  session: Session | null;
  readonly inbound: Map<string, InboundState>;
  readonly outbound: Map<string, OutboundRoute>;
  /** By number. */
  readonly frames: OrderedMap<FrameRecord>;
  /** By number. */
  readonly held: OrderedMap<HeldFrame>;
  /** By position. */
  readonly outbox: OrderedMap<OutboxEntry>;
  readonly messages: OrderedMap<MessageRecord>;
  /** The numbers of the messages that are done, in the order in which they were. */
  readonly done: Set<number>;
  /** Those of a session that are not delivered, by their numbers in it. */
  readonly undelivered: OrderedMap<UndeliveredMessage>;
}

/** All that is stored. */
export interface Tables {
  readonly connections: Map<string, Stored>;
  readonly events: OrderedMap<EventRecord>;
  readonly discarded: Map<string, Discarded>;
  /** The connection of each sending route. */
  readonly routes: Map<string, Stored>;
}

/** A connection to which nothing belongs yet. */
export function newStored(record: ConnectionRecord): Stored {
  return {
    record,
    receiving: new Map(),
    sending: new Map(),
    session: null,
    inbound: new Map(),
    outbound: new Map(),
    frames: new OrderedMap(),
    held: new OrderedMap(),
    outbox: new OrderedMap(),
    messages: new OrderedMap(),
    done: new Set(),
    undelivered: new OrderedMap(),
  };
}

/** Takes back what a change has done. */
export type Undo = () => void;

/** What both kinds of maps have. */
interface Container<K, V> {
  get(key: K): V | undefined;
  set(key: K, value: V): unknown;
  delete(key: K): unknown;
}

/** Adds or replaces a value. */
export function put<K, V>(map: Container<K, V>, key: K, value: V): Undo {
  const before = map.get(key);
  map.set(key, value);
  return () => before === undefined ? map.delete(key) : map.set(key, before);
}

/** Removes a value, if it is there. */
export function remove<K, V>(map: Container<K, V>, key: K): Undo {
  const before = map.get(key);
  if (before === undefined) return () => {};
  map.delete(key);
  return () => map.set(key, before);
}

/** Removes a value, if it is there; what takes it back puts it in its place again. */
export function removeInOrder<K, V>(map: Map<K, V>, key: K): Undo {
  const before = [...map];
  if (!map.delete(key)) return () => {};
  return () => {
    map.clear();
    for (const [key, value] of before) map.set(key, value);
  };
}

/** Takes back several changes, the last one first. */
export function undoAll(undo: readonly Undo[]): Undo {
  return () => {
    for (const step of undo.toReversed()) step();
  };
}

/** Adds or replaces a message. */
export function putMessage({ messages, done, undelivered }: Stored, message: MessageRecord): Undo {
  const { id } = message;
  const number = messages.get(id)?.number ?? null;
  const undo = [put(messages, id, message)];
  if (number !== null && undelivered.get(number)?.id === id) undo.push(remove(undelivered, number));
  if (message.number !== null && !message.delivered) {
    undo.push(put(undelivered, message.number, { id, number: message.number }));
  }
  const wasDone = done.has(id);
  if (message.done) done.add(id);
  else done.delete(id);
  return () => {
    undoAll(undo)();
    if (wasDone) done.add(id);
    else done.delete(id);
  };
}

/** Removes a message that is done. */
export function forgetMessage({ messages, done, undelivered }: Stored, id: number): void {
  const number = messages.get(id)?.number ?? null;
  if (number !== null && undelivered.get(number)?.id === id) undelivered.delete(number);
  messages.delete(id);
  done.delete(id);
}

/** Adds or replaces a piece. Throws `StoreError` when its route is not there. */
export function putPiece({ inbound }: Stored, piece: PieceRecord): Undo {
  const pieces = inbound.get(piece.route)?.pieces;
  if (pieces === undefined) throw missing("route");
  const others = pieces.get(piece.tag);
  if (others !== undefined) return put(others, piece.index, piece);
  const first = new OrderedMap<PieceRecord>();
  first.set(piece.index, piece);
  return put(pieces, piece.tag, first);
}

/** Adds or replaces a route. Throws `StoreError` when its old keys are to stay and it is not there. */
export function putRoute<Route extends { readonly id: string; readonly keys: unknown }>(
  routes: Map<string, Route>,
  { route, withKeys }: { readonly route: Route; readonly withKeys: boolean },
): Undo {
  return put(routes, route.id, withKeys ? route : { ...route, keys: keysOf(routes.get(route.id)) });
}

/** The keys of a route or session. Throws `StoreError` when it is not there. */
export function keysOf<Keys>(owner: { readonly keys: Keys } | null | undefined): Keys {
  if (owner === undefined || owner === null) throw missing("route or session");
  return owner.keys;
}

/** The error of a change of what is not there. */
export function missing(what: string): StoreError {
  return new StoreError("WRITE", `Cannot write to the store: there is no such ${what}`);
}
