import type { PublicKey } from "../../protocol/mod.ts";
import type { MessageStore, QueueRecord, QueueStore, StoredMessage } from "./store.ts";

/** Keeps queues in memory: gone when the program ends. */
export class MemoryQueueStore implements QueueStore {
  readonly #byRecipientId = new Map<string, QueueRecord>();
  readonly #recipientIds = new Map<string, string>();

  /** How many queues there are. */
  get size(): number {
    return this.#byRecipientId.size;
  }

  records(): Iterable<QueueRecord> {
    return this.#byRecipientId.values();
  }

  /** Whether an ID is that of a queue, of either kind. */
  has(id: string): boolean {
    return this.#byRecipientId.has(id) || this.#recipientIds.has(id);
  }

  /** The queue with this recipient ID. */
  get(recipientId: string): QueueRecord | undefined {
    return this.#byRecipientId.get(recipientId);
  }

  create(record: QueueRecord): Promise<boolean> {
    if (this.has(record.recipientId) || this.has(record.senderId) || record.recipientId === record.senderId) {
      return Promise.resolve(false);
    }
    this.#byRecipientId.set(record.recipientId, record);
    this.#recipientIds.set(record.senderId, record.recipientId);
    return Promise.resolve(true);
  }

  byRecipientId(recipientId: string): Promise<QueueRecord | undefined> {
    return Promise.resolve(this.#byRecipientId.get(recipientId));
  }

  bySenderId(senderId: string): Promise<QueueRecord | undefined> {
    const recipientId = this.#recipientIds.get(senderId);
    return Promise.resolve(recipientId === undefined ? undefined : this.#byRecipientId.get(recipientId));
  }

  secure(recipientId: string, senderKey: PublicKey): Promise<void> {
    return this.#update(recipientId, { senderKey });
  }

  suspend(recipientId: string, at: number): Promise<void> {
    return this.#update(recipientId, { suspended: true, changedAt: at });
  }

  delete(recipientId: string): Promise<void> {
    const record = this.#byRecipientId.get(recipientId);
    if (record !== undefined) {
      this.#byRecipientId.delete(recipientId);
      this.#recipientIds.delete(record.senderId);
    }
    return Promise.resolve();
  }

  #update(recipientId: string, change: Partial<QueueRecord>): Promise<void> {
    const record = this.#byRecipientId.get(recipientId);
    if (record !== undefined) this.#byRecipientId.set(recipientId, { ...record, ...change });
    return Promise.resolve();
  }
}

/** Keeps messages in memory: gone when the program ends. */
export class MemoryMessageStore implements MessageStore {
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

  expire(time: number): Promise<number> {
    const before = this.#size;
    for (const [recipientId, message] of this.messages()) {
      if (message.timestamp.getTime() < time) {
        this.#remove(recipientId, this.#queues.get(recipientId)!, message);
      }
    }
    return Promise.resolve(before - this.#size);
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
