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
  /** When the queue was created, or suspended when it is (milliseconds since 1970); after a restart, when it was read. */
  readonly changedAt: number;
}

/** What command a change is of, and what the connection that gave it was like: of interest to the next owner of a log. */
export interface Origin {
  /** Base64 of 16 bytes that no other command has: given again, the command is answered and not executed. */
  readonly commandId?: string;
  /** The block size of the recipient's connection, in bytes: what is longer may not be sent to the queue. */
  readonly blockSize?: number;
}

/** Where queues are kept. A promise resolves when the change is as durable as the store makes it. */
export interface QueueStore {
  /** Adds a queue; `false` when one of its IDs is taken, by either kind of ID. */
  create(record: QueueRecord, origin?: Origin): Promise<boolean>;
  /** The queue with this recipient ID. */
  byRecipientId(recipientId: string): Promise<QueueRecord | undefined>;
  /** The queue with this sender ID. */
  bySenderId(senderId: string): Promise<QueueRecord | undefined>;
  /** Sets the sender key of a queue that has none. */
  secure(recipientId: string, senderKey: PublicKey, origin?: Origin): Promise<void>;
  /** Suspends a queue; `at` in milliseconds since 1970. */
  suspend(recipientId: string, at: number, origin?: Origin): Promise<void>;
  /** Removes a queue. */
  delete(recipientId: string, origin?: Origin): Promise<void>;
  /** How many queues there are. */
  readonly size: number;
  /** All queues; those that come and go meanwhile may be among them or not. */
  records(): AsyncIterable<QueueRecord> | Iterable<QueueRecord>;
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
  append(recipientId: string, message: StoredMessage, origin?: Origin): Promise<void>;
  /** The oldest message of a queue. */
  first(recipientId: string): Promise<StoredMessage | undefined>;
  /** The message behind another one; the oldest when that one is no longer there. */
  next(recipientId: string, messageId: string): Promise<StoredMessage | undefined>;
  /** Removes a message. */
  remove(recipientId: string, messageId: string): Promise<void>;
  /** Removes all messages of a queue. */
  deleteQueue(recipientId: string): Promise<void>;
  /** How many messages of a queue there are. */
  count(recipientId: string): Promise<number>;
  /**
   * Removes messages that were accepted before `time` (milliseconds since 1970), but none that waits behind a younger
   * one; how many there were. Other work goes on meanwhile.
   */
  expire(time: number): Promise<number>;
  /** How many messages there are in all. */
  readonly size: number;
  /** Bytes of all their bodies. */
  readonly bytes: number;
  /**
   * Whether nothing reads the body of a message any more that `remove` has removed: its memory may then be used for
   * something else, and it is empty. @default something may
   */
  readonly releasesBodies?: boolean;
}

/** Where the queues of one partition and their messages are kept. */
export interface PartitionStores {
  /** Its queues, all with recipient IDs of the partition. */
  readonly queues: QueueStore;
  /** Messages of these queues. */
  readonly messages: MessageStore;
  /**
   * What the broker that has the partition next knows of this one, where there may be another one.
   * @internal
   */
  readonly memory?: PartitionMemory;
  /**
   * Whether changes are stored in the order in which they are asked for, many at a time, and can be asked for before
   * those in front of them are stored. @default false
   * @internal
   */
  readonly isOrdered?: boolean;
}

/** What a command has done: the queue that it has made, if it has. */
export interface DoneCommand {
  readonly created: { readonly recipientId: string; readonly senderId: string } | null;
}

/** What one broker of a partition leaves to the next beside queues and messages. */
export interface PartitionMemory {
  /** What a command of this ID has changed in the last minutes; `undefined`: nothing. */
  done(commandId: string): DoneCommand | undefined;
  /** Bytes of the blocks that a recipient had last; `undefined`: the usual ones. */
  blockSize(recipientId: string): number | undefined;
  /** Resolves when the next broker will know it. */
  rememberBlockSize(recipientId: string, blockSize: number): Promise<void>;
}
