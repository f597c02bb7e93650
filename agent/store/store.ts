import type { ConnectionState } from "../connection.ts";
import type { LastMessage, MessageIntegrity } from "../protocol/integrity.ts";
import type { ServerAddress } from "../../protocol/mod.ts";

/** A queue that the agent receives from. Keys are DER, private ones PKCS#8, public ones SubjectPublicKeyInfo. */
export interface ReceivingQueue {
  /** Where it is. */
  readonly server: ServerAddress;
  /** Base64. */
  readonly recipientId: string;
  /** Base64. */
  readonly senderId: string;
  /** Signs the recipient's commands. */
  readonly recipientKey: Uint8Array<ArrayBuffer>;
  /** Decrypts bodies. */
  readonly decryptionKey: Uint8Array<ArrayBuffer>;
  /** The key of the confirmation, with which the queue is secured; `null` before. */
  readonly senderKey: Uint8Array<ArrayBuffer> | null;
  /** Verifies bodies; `null` before HELLO. */
  readonly verificationKey: Uint8Array<ArrayBuffer> | null;
}

/** A queue that the agent sends to. */
export interface SendingQueue {
  /** Where it is. */
  readonly server: ServerAddress;
  /** Base64. */
  readonly senderId: string;
  /** Signs SEND. */
  readonly senderKey: Uint8Array<ArrayBuffer>;
  /** Signs bodies. */
  readonly signingKey: Uint8Array<ArrayBuffer>;
  /** Bodies are encrypted to it. */
  readonly encryptionKey: Uint8Array<ArrayBuffer>;
}

/** What an agent knows of a connection. */
export interface ConnectionRecord {
  /** The name that the agent's clients call it by. */
  readonly alias: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** How far it is. */
  readonly state: ConnectionState;
  /** `null` as long as there is none. */
  readonly receiving: ReceivingQueue | null;
  /** `null` as long as there is none. */
  readonly sending: SendingQueue | null;
  /** The last number given to a message, sent and received ones together. */
  readonly lastMessageId: number;
  /** The last user message that was sent. */
  readonly lastSent: LastMessage;
  /** The last user message that was received. */
  readonly lastReceived: LastMessage;
  /** The server's ID of the last message that was handled, base64; empty before the first. */
  readonly lastServerId: string;
  /** SHA-256 of the last plaintext that was handled: the sender's repetitions have the same. */
  readonly lastPlaintextHash: Uint8Array<ArrayBuffer>;
  /** Whether the queue that is received from was suspended. */
  readonly suspended: boolean;
  /** Messages that could not be decrypted, verified or parsed. */
  readonly unreadable: number;
}

/** Something that is to be sent, in order. */
export interface OutboxEntry {
  /** The connection's. */
  readonly alias: string;
  /** Ascending within a connection. */
  readonly position: number;
  /** The agent message that it is. */
  readonly kind: "KEY" | "HELLO" | "REPLY" | "MSG";
  /** The number of a user message in its connection; 0 for others. */
  readonly messageId: number;
  /** The agent message, not encrypted; empty for a REPLY whose queue is not made yet. */
  readonly plaintext: Uint8Array<ArrayBuffer>;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Whether it may have reached the server. */
  readonly attempted: boolean;
}

/** A user message that was sent or received. */
export interface MessageRecord {
  /** The connection's. */
  readonly alias: string;
  /** Its number in the connection. */
  readonly id: number;
  /** What was sent, raw. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** When it was stored, milliseconds since 1970. */
  readonly at: number;
  /** Sent: whether the server has it. Received: whether the application has acknowledged it. */
  readonly done: boolean;
  /** What came with a received message; `null` for one that was sent. */
  readonly received: ReceivedMeta | null;
}

/** What comes with a received message. */
export interface ReceivedMeta {
  /** Whether it was whole and in order. */
  readonly integrity: MessageIntegrity;
  /** Base64. */
  readonly serverId: string;
  /** When the server took it, milliseconds since 1970. */
  readonly serverAt: number;
  /** The sender's number of it. */
  readonly senderId: number;
  /** When the sender made it, milliseconds since 1970. */
  readonly senderAt: number;
}

/** One change of what is stored. */
export type StoreChange =
  /** New or changed; queues are written when they are given. */
  | { readonly type: "put connection"; readonly record: ConnectionRecord; readonly withQueues: boolean }
  /** With all that belongs to it. */
  | { readonly type: "delete connection"; readonly alias: string }
  | { readonly type: "put outbox"; readonly entry: OutboxEntry }
  | { readonly type: "delete outbox"; readonly alias: string; readonly position: number }
  | { readonly type: "put message"; readonly message: MessageRecord }
  | { readonly type: "message done"; readonly alias: string; readonly id: number };

/** Which messages are asked for. */
export interface MessageQuery {
  /** Only those with a lower number. @default all */
  readonly before?: number;
  /** At most so many, the newest. @default 100 */
  readonly limit?: number;
}

/** Where an agent keeps connections and messages. A failed call rejects with `StoreError`. */
export interface AgentStore extends AsyncDisposable {
  /** All connections, oldest first. */
  connections(): Promise<ConnectionRecord[]>;
  /** The connections that have something to send. */
  outboxAliases(): Promise<string[]>;
  /** The first entries of a connection's outbox, at most `limit`. */
  outbox(alias: string, limit: number): Promise<OutboxEntry[]>;
  /** One message. */
  message(alias: string, id: number): Promise<MessageRecord | null>;
  /** Messages of a connection, oldest first. */
  messages(alias: string, query?: MessageQuery): Promise<MessageRecord[]>;
  /** Makes all changes or none; they survive the end of the program when this resolves. */
  commit(changes: readonly StoreChange[]): Promise<void>;
  /** Removes messages stored before a time (milliseconds since 1970) that are done; gives how many. */
  prune(before: number): Promise<number>;
}

/** A store cannot be used; the message says what is wrong and what to do. */
export class StoreError extends Error {
  /** The class name. */
  override readonly name = "StoreError";
  /** `OPEN`: it cannot be opened; `PASSPHRASE`: missing or wrong; `IN_USE`: by another agent; `WRITE`, `READ`: the disk. */
  readonly code: "OPEN" | "PASSPHRASE" | "IN_USE" | "WRITE" | "READ";

  /** Makes an error with a stable `code` and a `message` for people. */
  constructor(code: StoreError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
