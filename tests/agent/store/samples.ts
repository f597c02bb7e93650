import { newConnection } from "../../../agent/connection.ts";
import type {
  ConnectionRecord,
  MessageRecord,
  OutboxEntry,
  StoreChange,
} from "../../../agent/store/store.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

/** A connection with everything in it, none of it empty. */
export function fullRecord(alias: string, createdAt = 1000): ConnectionRecord {
  return {
    alias,
    createdAt,
    state: { role: "joiner", reply: true, receiving: "secured", sending: "active", connected: true },
    receiving: {
      server: { host: "one.example", port: 5223, keyHash: "aGFzaA==" },
      recipientId: "cmlk",
      senderId: "c2lk",
      recipientKey: bytes(1, 2, 3),
      decryptionKey: bytes(4, 5),
      senderKey: bytes(6),
      verificationKey: bytes(7),
    },
    sending: {
      server: { host: "two.example" },
      senderId: "c2lkMg==",
      senderKey: bytes(8),
      signingKey: bytes(9, 10),
      encryptionKey: bytes(11),
    },
    lastMessageId: 12,
    lastSent: { id: 13, hash: bytes(14) },
    lastReceived: { id: 15, hash: bytes(16) },
    lastServerId: "bGFzdA==",
    lastPlaintextHash: bytes(17),
    suspended: true,
    unreadable: 18,
  };
}

/** A connection that was just made. */
export function emptyRecord(alias: string): ConnectionRecord {
  const none = bytes();
  return {
    ...fullRecord(alias, 2000),
    state: newConnection("initiator", true),
    receiving: null,
    sending: null,
    lastSent: { id: 0, hash: none },
    lastReceived: { id: 0, hash: none },
    lastServerId: "",
    lastPlaintextHash: none,
    suspended: false,
    unreadable: 0,
  };
}

/** An entry of an outbox. */
export function outboxEntry(alias: string, position: number): OutboxEntry {
  return {
    alias,
    position,
    kind: position < 10 ? "KEY" : "MSG",
    messageId: position,
    plaintext: bytes(position, 1),
    createdAt: 5,
    attempted: false,
  };
}

/** A message; odd ones were received. */
export function messageRecord(alias: string, id: number, at = id): MessageRecord {
  return {
    alias,
    id,
    body: bytes(id, 2),
    at,
    done: false,
    received: id % 2 === 0 ? null : {
      integrity: { type: "NO_ID", from: 1, to: 2 },
      serverId: "c2Vy",
      serverAt: 6,
      senderId: 7,
      senderAt: 8,
    },
  };
}

/** The change that puts a connection with its queues. */
export function put(record: ConnectionRecord): StoreChange {
  return { type: "put connection", record, withQueues: true };
}
