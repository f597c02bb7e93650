import type { Source } from "./work_budget.ts";

/**
 * What waits for something scarce, served in turn by client (the connection itself where that is not known), and by
 * connection within a client: a source of much delays the others by one at most.
 */
export class FairQueue<T> {
  /** Who was served goes to the end. */
  readonly #clients = new Map<Source | string, Map<Source, T[]>>();

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#clients.size === 0;
  }

  /** Lets something wait that is for `source`. */
  push(source: Source, item: T): void {
    const client = source.client ?? source;
    const connections = this.#clients.get(client) ?? new Map<Source, T[]>();
    const items = connections.get(source);
    if (items === undefined) connections.set(source, [item]);
    else items.push(item);
    this.#clients.set(client, connections);
  }

  /** Takes what is next; `null` when nothing waits. */
  take(): T | null {
    return takeTurn(
      this.#clients,
      (connections) => takeTurn(connections, (items) => items.shift()!, ({ length }) => length > 0),
      ({ size }) => size > 0,
    );
  }
}

/** Takes something of the first entry, which goes to the end if there `isMore` in it; `null` when there is no entry. */
function takeTurn<K, V, T>(
  entries: Map<K, V>,
  take: (value: V) => T,
  isMore: (value: V) => boolean,
): T | null {
  for (const [key, value] of entries) {
    entries.delete(key);
    const taken = take(value);
    if (isMore(value)) entries.set(key, value);
    return taken;
  }
  return null;
}
