import { deferred } from "../../protocol/mod.ts";
import type { Connection } from "../store/store.ts";
import type { StreamError } from "./error.ts";

type Waiting = ReturnType<typeof deferred<void>>;

/** Who waits until the other sides of sessions have said what they know, which they do first of all. */
export class KindsKnown {
  readonly #waiting = new Map<string, Set<Waiting>>();

  /** Resolves when the other side of a connection has said it, or after some milliseconds; rejects when it is ended. */
  async wait(connection: Connection, milliseconds: number): Promise<void> {
    if (!isAwaited(connection)) return;
    const { id } = connection.record;
    const waiting = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiting);
    const one = deferred<void>();
    waiting.add(one);
    const timer = setTimeout(() => one.resolve(), milliseconds);
    try {
      await one.promise;
    } finally {
      clearTimeout(timer);
      waiting.delete(one);
      if (waiting.size === 0) this.#waiting.delete(id);
    }
  }

  /** A connection has changed. */
  changed(connection: Connection): void {
    if (isAwaited(connection)) return;
    for (const one of this.#waiting.get(connection.record.id) ?? []) one.resolve();
  }

  /** Nobody waits any more, for one connection or all. */
  end(error: StreamError, connection?: string): void {
    for (const [id, waiting] of this.#waiting) {
      if (connection !== undefined && id !== connection) continue;
      for (const one of waiting) one.reject(error);
    }
  }
}

function isAwaited({ session }: Connection): boolean {
  return session?.status === "active" && session.keys.kinds === null;
}
