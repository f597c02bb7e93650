import { equalBytes, type PublicKey } from "../../protocol/mod.ts";
import type { BrokerConnection } from "./subscriptions.ts";

/**
 * The queue IDs on which commands of a connection need no signature, with the key whose rights they have
 * (extensions.md open1).
 */
export class OpenedQueues {
  readonly #byConnection = new Map<BrokerConnection, Map<string, PublicKey>>();
  readonly #byQueue = new Map<string, Set<BrokerConnection>>();
  /** How many OPENs of connections are in work. */
  readonly #opening = new Map<BrokerConnection, number>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(connection: BrokerConnection, queueId: string): boolean {
    return this.#byConnection.get(connection)?.has(queueId) === true;
  }

  /** How many a connection has open, those that it is about to open included. */
  count(connection: BrokerConnection): number {
    return (this.#byConnection.get(connection)?.size ?? 0) + (this.#opening.get(connection) ?? 0);
  }

  /** An OPEN is in work until what is returned is called. */
  begin(connection: BrokerConnection): () => void {
    this.#opening.set(connection, (this.#opening.get(connection) ?? 0) + 1);
    return () => {
      const left = this.#opening.get(connection)! - 1;
      if (left > 0) this.#opening.set(connection, left);
      else this.#opening.delete(connection);
    };
  }

  /** `false`: the connection has opened `most` others. */
  add(connection: BrokerConnection, queueId: string, { key, most }: Opening): boolean {
    // Its end was told while the signature was verified.
    if (connection.closed) return true;
    const keys = this.#byConnection.get(connection) ?? new Map<string, PublicKey>();
    if (!keys.has(queueId)) {
      if (keys.size >= most) return false;
      this.#size++;
    }
    this.#byConnection.set(connection, keys.set(queueId, key));
    const connections = this.#byQueue.get(queueId);
    if (connections === undefined) this.#byQueue.set(queueId, new Set([connection]));
    else connections.add(connection);
    return true;
  }

  /** Whether a connection has opened a queue with `key`. */
  opens(connection: BrokerConnection, queueId: string, key: PublicKey): boolean {
    const opened = this.#byConnection.get(connection)?.get(queueId);
    if (opened === undefined) return false;
    // The same object as long as the queue is in memory: making its encoding anew takes longer than all else here.
    return opened === key || equalBytes(opened.der, key.der);
  }

  /** The queue is gone: no connection has it open any more. */
  delete(queueId: string): void {
    for (const connection of this.#byQueue.get(queueId) ?? []) {
      const keys = this.#byConnection.get(connection)!;
      keys.delete(queueId);
      this.#size--;
      if (keys.size === 0) this.#byConnection.delete(connection);
      connection.ended?.(queueId);
    }
    this.#byQueue.delete(queueId);
  }

  disconnect(connection: BrokerConnection): void {
    for (const queueId of this.#byConnection.get(connection)?.keys() ?? []) {
      const connections = this.#byQueue.get(queueId)!;
      connections.delete(connection);
      this.#size--;
      if (connections.size === 0) this.#byQueue.delete(queueId);
    }
    this.#byConnection.delete(connection);
  }
}

export interface Opening {
  readonly key: PublicKey;
  /** Queue IDs that the connection may have open. */
  readonly most: number;
}
