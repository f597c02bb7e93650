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
  readonly connection: BrokerConnection;
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
    if (body.length < largeBody) return undefined;
    let delivered = this.#byQueue.get(recipientId);
    if (delivered === undefined) {
      delivered = { connection, bodies: new Map() };
      this.#byQueue.set(recipientId, delivered);
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
    const connection = this.#byQueue.get(recipientId)?.connection;
    if (connection === undefined) return;
    this.#byQueue.delete(recipientId);
    const queues = this.#byConnection.get(connection);
    queues?.delete(recipientId);
    if (queues?.size === 0) this.#byConnection.delete(connection);
  }

  /** A connection is closed: it writes nothing any more. */
  disconnect(connection: BrokerConnection): void {
    for (const recipientId of this.#byConnection.get(connection) ?? []) {
      const delivered = this.#byQueue.get(recipientId);
      // Another connection may be the one that is not closed.
      if (delivered?.bodies === null) continue;
      this.#byQueue.delete(recipientId);
    }
    this.#byConnection.delete(connection);
  }
}
