import { countedNetworks, type Source } from "./client_network.ts";

type Waiting<T> = Map<string | Source, Waiting<T>> | T[];

/**
 * Round robin over the widest networks that clients count in, within these over the narrower ones, and at
 * last over connections: a source of much delays the others by one at most on each of these levels.
 */
export class FairQueue<T> {
  readonly #waiting = new Map<string | Source, Waiting<T>>();

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  push(source: Source, item: T): void {
    let level = this.#waiting;
    for (const { network } of countedNetworks(source.client).toReversed()) {
      const below = level.get(network);
      const next = below instanceof Map ? below : new Map<string | Source, Waiting<T>>();
      level.set(network, next);
      level = next;
    }
    const items = level.get(source);
    if (items instanceof Array) items.push(item);
    else level.set(source, [item]);
  }

  take(): T | null {
    return takeFrom(this.#waiting);
  }
}

function takeFrom<T>(waiting: Waiting<T>): T | null {
  if (waiting instanceof Array) return waiting.shift() ?? null;
  for (const [key, below] of waiting) {
    waiting.delete(key);
    const taken = takeFrom(below);
    if ((below instanceof Map ? below.size : below.length) > 0) waiting.set(key, below);
    return taken;
  }
  return null;
}
