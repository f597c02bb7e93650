import type { PublicKey } from "../../protocol/mod.ts";

/** What a server knows of a queue. Records are never changed: a change makes a new one. */
export interface QueueRecord {
  /** Base64; what the recipient names the queue by. */
  readonly recipientId: string;
  /** Base64; what senders name the queue by. */
  readonly senderId: string;
  /** Verifies the recipient's commands. */
  readonly recipientKey: PublicKey;
  /** Verifies messages; `null` until the queue is secured. */
  readonly senderKey: PublicKey | null;
  /** Takes no more messages. */
  readonly suspended: boolean;
}

/** Where queues are kept. A promise resolves when the change is as durable as the store makes it. */
export interface QueueStore {
  /** Adds a queue; `false` when one of its IDs is taken, by either kind of ID. */
  create(record: QueueRecord): Promise<boolean>;
  /** The queue with this recipient ID. */
  byRecipientId(recipientId: string): Promise<QueueRecord | undefined>;
  /** The queue with this sender ID. */
  bySenderId(senderId: string): Promise<QueueRecord | undefined>;
  /** Sets the sender key of a queue that has none. */
  secure(recipientId: string, senderKey: PublicKey): Promise<void>;
  /** Suspends a queue. */
  suspend(recipientId: string): Promise<void>;
  /** Removes a queue. */
  delete(recipientId: string): Promise<void>;
}

/** A message that waits for its recipient. */
export interface StoredMessage {
  /** Base64. */
  readonly id: string;
  /** When it was accepted. */
  readonly timestamp: Date;
  /** What the sender sent, raw. */
  readonly body: Uint8Array;
}

/** Where messages wait, in the order in which they were accepted, for each queue by recipient ID. */
export interface MessageStore {
  /** Adds a message behind the others of its queue. */
  append(recipientId: string, message: StoredMessage): Promise<void>;
  /** The oldest message of a queue. */
  first(recipientId: string): Promise<StoredMessage | undefined>;
  /** Removes a message. */
  remove(recipientId: string, messageId: string): Promise<void>;
  /** Removes all messages of a queue. */
  deleteQueue(recipientId: string): Promise<void>;
}
