import { release } from "../../protocol/mod.ts";
import type { StoredMessage } from "../store/store.ts";
import type { BrokerConnection } from "./subscriptions.ts";

/** Bytes of a body from which on it is given back: those of streams would take most of the memory else. */
const largeBody = 32_768;

interface Body {
  readonly bytes: Uint8Array;
  isWritten: boolean;
}

interface Delivered {
  /** Those that were pushed something and are not closed; one, unless `bodies` is `null`. */
  readonly connections: Set<BrokerConnection>;
  /** By message ID; `null`: some may be in use elsewhere. */
  bodies: Map<string, Body> | null;
}

/**
 * Gives back the memory of large bodies whose messages were written and are acknowledged, instead of leaving it to the
 * garbage collector. Not of those that may be delivered twice: another connection, or the same one, may wait to write them
 * again.
 */
export class DeliveredBodies {
  readonly #byQueue = new Map<string, Delivered>();
  readonly #byConnection = new Map<BrokerConnection, Set<string>>();

  /** A queue has another subscription: what was delivered may be delivered again. */
  subscribed(recipientId: string): void {
    const delivered = this.#byQueue.get(recipientId);
    if (delivered?.bodies?.size === 0) this.delete(recipientId);
    else if (delivered !== undefined) delivered.bodies = null;
  }

  /** A message is pushed to the connection that subscribes to its queue; gives what is to be told when it was written. */
  pushed(
    recipientId: string,
    connection: BrokerConnection,
    { id, body }: StoredMessage,
  ): (() => void) | undefined {
    if (body.length < largeBody || connection.closed) return undefined;
    let delivered = this.#byQueue.get(recipientId);
    if (delivered === undefined) {
      delivered = { connections: new Set(), bodies: new Map() };
      this.#byQueue.set(recipientId, delivered);
    }
    if (!delivered.connections.has(connection)) {
      delivered.connections.add(connection);
      const queues = this.#byConnection.get(connection) ?? new Set();
      this.#byConnection.set(connection, queues.add(recipientId));
    }
    const entry = { bytes: body, isWritten: false };
    delivered.bodies?.set(id, entry);
    return () => void (entry.isWritten = true);
  }

  /** Messages are acknowledged, and were removed. */
  acknowledged(recipientId: string, messageIds: readonly string[]): void {
    const bodies = this.#byQueue.get(recipientId)?.bodies;
    for (const id of messageIds) {
      const body = bodies?.get(id);
      bodies?.delete(id);
      if (body?.isWritten) release(body.bytes as Uint8Array<ArrayBuffer>);
    }
  }

  /** A queue is gone, or nothing of it is delivered. */
  delete(recipientId: string): void {
    for (const connection of this.#byQueue.get(recipientId)?.connections ?? []) {
      const queues = this.#byConnection.get(connection);
      queues?.delete(recipientId);
      if (queues?.size === 0) this.#byConnection.delete(connection);
    }
    this.#byQueue.delete(recipientId);
  }

  /** A connection is closed: it writes nothing any more. */
  disconnect(connection: BrokerConnection): void {
    for (const recipientId of this.#byConnection.get(connection) ?? []) {
      const connections = this.#byQueue.get(recipientId)?.connections;
      connections?.delete(connection);
      // Others may still have to write what this one had, too.
      if (connections?.size === 0) this.#byQueue.delete(recipientId);
    }
    this.#byConnection.delete(connection);
  }
}
