import type { OrderedMap } from "./ordered_map.ts";
import {
  type ConnectionRecord,
  type Delivery,
  type MessageRecord,
  type OutboxEntry,
  type ReceivingRoute,
  type SendingRoute,
  StoreError,
} from "./store.ts";

/** A sending route and what is to be sent on it. */
export interface SendingState {
  route: SendingRoute;
  /** By position. */
  readonly deliveries: OrderedMap<Delivery>;
}

/** A connection and all that belongs to it but its events. */
export interface Stored {
  record: ConnectionRecord;
  readonly receiving: Map<string, ReceivingRoute>;
  readonly sending: Map<string, SendingState>;
  /** By position. */
  readonly outbox: OrderedMap<OutboxEntry>;
  readonly messages: OrderedMap<MessageRecord>;
  /** The numbers of the messages that are done, in the order in which they were. */
  readonly done: Set<number>;
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

/** Adds or replaces a message. */
export function putMessage({ messages, done }: Stored, message: MessageRecord): Undo {
  const undo = put(messages, message.id, message);
  const wasDone = done.has(message.id);
  if (message.done) done.add(message.id);
  else done.delete(message.id);
  return () => {
    undo();
    if (wasDone) done.add(message.id);
    else done.delete(message.id);
  };
}

/** The keys of a route. Throws `StoreError` when it is not there. */
export function keysOf<Keys>(route: { readonly keys: Keys } | undefined): Keys {
  if (route === undefined) throw missing("route");
  return route.keys;
}

/** The error of a change of what is not there. */
export function missing(what: string): StoreError {
  return new StoreError("WRITE", `Cannot write to the store: there is no such ${what}`);
}
