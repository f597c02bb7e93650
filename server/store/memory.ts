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

  create(record: QueueRecord): Promise<boolean> {
    const ids = [record.recipientId, record.senderId];
    const taken = ids.some((id) => this.#byRecipientId.has(id) || this.#recipientIds.has(id));
    if (taken || record.recipientId === record.senderId) return Promise.resolve(false);
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

  suspend(recipientId: string): Promise<void> {
    return this.#update(recipientId, { suspended: true });
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

  append(recipientId: string, message: StoredMessage): Promise<void> {
    const queue = this.#queues.get(recipientId);
    if (queue === undefined) this.#queues.set(recipientId, new Map([[message.id, message]]));
    else queue.set(message.id, message);
    return Promise.resolve();
  }

  first(recipientId: string): Promise<StoredMessage | undefined> {
    return Promise.resolve(this.#queues.get(recipientId)?.values().next().value);
  }

  remove(recipientId: string, messageId: string): Promise<void> {
    const queue = this.#queues.get(recipientId);
    queue?.delete(messageId);
    if (queue?.size === 0) this.#queues.delete(recipientId);
    return Promise.resolve();
  }

  deleteQueue(recipientId: string): Promise<void> {
    this.#queues.delete(recipientId);
    return Promise.resolve();
  }
}
