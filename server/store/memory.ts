import type { PublicKey } from "../../protocol/mod.ts";
import { nextTurn, recordsATurn } from "../next_turn.ts";
import type { MessageStore, QueueRecord, QueueStore, StoredMessage } from "./store.ts";

/** Keeps queues in memory: gone when the program ends. */
export class MemoryQueueStore implements QueueStore {
  /** Every queue twice, by its recipient ID and by its sender ID, which are never the same. */
  readonly #byId = new Map<string, QueueRecord>();

  /** How many queues there are. */
  get size(): number {
    return this.#byId.size / 2;
  }

  *records(): Generator<QueueRecord> {
    for (const [id, record] of this.#byId) if (id === record.recipientId) yield record;
  }

  /** Whether an ID is that of a queue, of either kind. */
  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** The queue with this recipient ID. */
  get(recipientId: string): QueueRecord | undefined {
    const record = this.#byId.get(recipientId);
    return record?.recipientId === recipientId ? record : undefined;
  }

  /** Adds a queue at once; `false` when one of its IDs is taken. */
  add(record: QueueRecord): boolean {
    const { recipientId, senderId } = record;
    if (this.has(recipientId) || this.has(senderId) || recipientId === senderId) return false;
    this.#set(record);
    return true;
  }

  create(record: QueueRecord): Promise<boolean> {
    return Promise.resolve(this.add(record));
  }

  byRecipientId(recipientId: string): Promise<QueueRecord | undefined> {
    return Promise.resolve(this.get(recipientId));
  }

  bySenderId(senderId: string): Promise<QueueRecord | undefined> {
    const record = this.#byId.get(senderId);
    return Promise.resolve(record?.senderId === senderId ? record : undefined);
  }

  secure(recipientId: string, senderKey: PublicKey): Promise<void> {
    return this.#update(recipientId, { senderKey });
  }

  suspend(recipientId: string, at: number): Promise<void> {
    return this.#update(recipientId, { suspended: true, changedAt: at });
  }

  delete(recipientId: string): Promise<void> {
    const record = this.get(recipientId);
    if (record !== undefined) {
      this.#byId.delete(recipientId);
      this.#byId.delete(record.senderId);
    }
    return Promise.resolve();
  }

  #update(recipientId: string, change: Partial<QueueRecord>): Promise<void> {
    const record = this.get(recipientId);
    if (record !== undefined) this.#set({ ...record, ...change });
    return Promise.resolve();
  }

  #set(record: QueueRecord): void {
    this.#byId.set(record.recipientId, record);
    this.#byId.set(record.senderId, record);
  }
}

/** Keeps messages in memory: gone when the program ends. */
export class MemoryMessageStore implements MessageStore {
  /** Bodies are used no longer than their messages are there. */
  readonly releasesBodies: boolean = true;
  /** Maps keep the order of insertion, so that the first message is the oldest. */
  readonly #queues = new Map<string, Map<string, StoredMessage>>();
  #size = 0;
  #bytes = 0;

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  append(recipientId: string, message: StoredMessage): Promise<void> {
    const queue = this.#queues.get(recipientId);
    if (queue === undefined) this.#queues.set(recipientId, new Map([[message.id, message]]));
    else queue.set(message.id, message);
    this.#size++;
    this.#bytes += message.body.length;
    return Promise.resolve();
  }

  first(recipientId: string): Promise<StoredMessage | undefined> {
    return Promise.resolve(this.#queues.get(recipientId)?.values().next().value);
  }

  next(recipientId: string, messageId: string): Promise<StoredMessage | undefined> {
    const queue = this.#queues.get(recipientId);
    const messages = queue?.values();
    if (queue?.has(messageId)) {
      // Few are in front of it: those that are delivered and not acknowledged.
      while (messages?.next().value?.id !== messageId);
    }
    return Promise.resolve(messages?.next().value);
  }

  count(recipientId: string): Promise<number> {
    return Promise.resolve(this.#queues.get(recipientId)?.size ?? 0);
  }

  /** Whether a message waits. */
  has(recipientId: string, messageId: string): boolean {
    return this.#queues.get(recipientId)?.has(messageId) === true;
  }

  remove(recipientId: string, messageId: string): Promise<void> {
    const queue = this.#queues.get(recipientId);
    const message = queue?.get(messageId);
    if (queue !== undefined && message !== undefined) this.#remove(recipientId, queue, message);
    return Promise.resolve();
  }

  deleteQueue(recipientId: string): Promise<void> {
    const queue = this.#queues.get(recipientId);
    for (const message of queue?.values() ?? []) this.#remove(recipientId, queue!, message);
    return Promise.resolve();
  }

  async expire(time: number): Promise<number> {
    let expired = 0;
    for await (const messages of this.expired(time)) expired += this.removeAll(messages);
    return expired;
  }

  /**
   * The messages at the front of their queues that were accepted before `time`, in slices of a turn each. Those of a
   * slice may be removed before the next one is asked for, and anything else may change.
   */
  async *expired(time: number): AsyncGenerator<(readonly [recipientId: string, messageId: string])[]> {
    let slice: [string, string][] = [], looked = 0;
    for (const [recipientId, queue] of this.#queues) {
      for (const { id, timestamp } of queue.values()) {
        if (++looked % recordsATurn === 0) {
          if (slice.length > 0) yield slice;
          slice = [];
          await nextTurn();
        }
        if (timestamp.getTime() >= time) break;
        slice.push([recipientId, id]);
      }
    }
    if (slice.length > 0) yield slice;
  }

  /** Removes messages at once; how many of them there were. */
  removeAll(messages: readonly (readonly [recipientId: string, messageId: string])[]): number {
    const before = this.#size;
    for (const [recipientId, messageId] of messages) this.remove(recipientId, messageId);
    return before - this.#size;
  }

  /** All messages with the recipient IDs of their queues, each queue's in order. */
  *messages(): Generator<[recipientId: string, message: StoredMessage]> {
    for (const [recipientId, queue] of this.#queues) {
      for (const message of queue.values()) yield [recipientId, message];
    }
  }

  #remove(recipientId: string, queue: Map<string, StoredMessage>, message: StoredMessage): void {
    queue.delete(message.id);
    if (queue.size === 0) this.#queues.delete(recipientId);
    this.#size--;
    this.#bytes -= message.body.length;
  }
}
