import type { SQLInputValue, SQLOutputValue } from "node:sqlite";
import type { ServerAddress } from "../../protocol/mod.ts";
import type { ReceivingStatus, SendingStatus } from "../connection.ts";
import type { MessageIntegrity } from "../protocol/integrity.ts";
import type { ConnectionRecord, MessageRecord, OutboxEntry, ReceivingQueue, SendingQueue } from "./store.ts";
import type { Vault } from "./vault.ts";

/** A row of any table. */
export type Row = Readonly<Record<string, SQLOutputValue>>;

/** What a column holds of a value. */
type Column<T> = (value: T, vault: Vault) => SQLInputValue | Promise<SQLInputValue>;

/** The columns of `connections`. */
export const connectionColumns: Readonly<Record<string, Column<ConnectionRecord>>> = {
  alias: ({ alias }) => alias,
  created_at: ({ createdAt }) => createdAt,
  role: ({ state }) => state.role,
  reply: ({ state }) => Number(state.reply),
  receiving: ({ state }) => state.receiving,
  sending: ({ state }) => state.sending,
  connected: ({ state }) => Number(state.connected),
  last_message_id: ({ lastMessageId }) => lastMessageId,
  last_sent_id: ({ lastSent }) => lastSent.id,
  last_sent_hash: ({ lastSent }) => lastSent.hash,
  last_received_id: ({ lastReceived }) => lastReceived.id,
  last_received_hash: ({ lastReceived }) => lastReceived.hash,
  last_server_id: ({ lastServerId }) => lastServerId,
  last_plaintext_hash: ({ lastPlaintextHash }) => lastPlaintextHash,
  suspended: ({ suspended }) => Number(suspended),
  unreadable: ({ unreadable }) => unreadable,
};

interface OfConnection {
  readonly alias: string;
}

const queueColumns: Readonly<Record<string, Column<OfConnection & { readonly server: ServerAddress }>>> = {
  alias: ({ alias }) => alias,
  host: ({ server }) => server.host,
  port: ({ server }) => server.port ?? null,
  key_hash: ({ server }) => server.keyHash ?? null,
};

/** The columns of `receiving_queues`. */
export const receivingColumns: Readonly<Record<string, Column<OfConnection & ReceivingQueue>>> = {
  ...queueColumns,
  recipient_id: ({ recipientId }) => recipientId,
  sender_id: ({ senderId }) => senderId,
  recipient_key: ({ recipientKey }, vault) => vault.seal(recipientKey),
  decryption_key: ({ decryptionKey }, vault) => vault.seal(decryptionKey),
  sender_key: ({ senderKey }) => senderKey,
  verification_key: ({ verificationKey }) => verificationKey,
};

/** The columns of `sending_queues`. */
export const sendingColumns: Readonly<Record<string, Column<OfConnection & SendingQueue>>> = {
  ...queueColumns,
  sender_id: ({ senderId }) => senderId,
  sender_key: ({ senderKey }, vault) => vault.seal(senderKey),
  signing_key: ({ signingKey }, vault) => vault.seal(signingKey),
  encryption_key: ({ encryptionKey }) => encryptionKey,
};

/** The columns of `outbox`. */
export const outboxColumns: Readonly<Record<string, Column<OutboxEntry>>> = {
  alias: ({ alias }) => alias,
  position: ({ position }) => position,
  kind: ({ kind }) => kind,
  message_id: ({ messageId }) => messageId,
  plaintext: ({ plaintext }, vault) => vault.seal(plaintext),
  created_at: ({ createdAt }) => createdAt,
  attempted: ({ attempted }) => Number(attempted),
};

/** The columns of `messages`. */
export const messageColumns: Readonly<Record<string, Column<MessageRecord>>> = {
  alias: ({ alias }) => alias,
  id: ({ id }) => id,
  body: ({ body }, vault) => vault.seal(body),
  at: ({ at }) => at,
  done: ({ done }) => Number(done),
  integrity: ({ received }) => received && JSON.stringify(received.integrity),
  server_id: ({ received }) => received?.serverId ?? null,
  server_at: ({ received }) => received?.serverAt ?? null,
  sender_id: ({ received }) => received?.senderId ?? null,
  sender_at: ({ received }) => received?.senderAt ?? null,
};

/** Reads a connection with its queues. */
export async function readConnection(
  row: Row,
  receiving: Row | undefined,
  sending: Row | undefined,
  vault: Vault,
): Promise<ConnectionRecord> {
  return {
    alias: text(row.alias),
    createdAt: Number(row.created_at),
    state: {
      role: text(row.role) as "initiator" | "joiner",
      reply: row.reply === 1,
      receiving: text(row.receiving) as ReceivingStatus,
      sending: text(row.sending) as SendingStatus,
      connected: row.connected === 1,
    },
    receiving: receiving === undefined ? null : {
      server: readServer(receiving),
      recipientId: text(receiving.recipient_id),
      senderId: text(receiving.sender_id),
      recipientKey: await vault.open(blob(receiving.recipient_key)),
      decryptionKey: await vault.open(blob(receiving.decryption_key)),
      senderKey: blobOrNull(receiving.sender_key),
      verificationKey: blobOrNull(receiving.verification_key),
    },
    sending: sending === undefined ? null : {
      server: readServer(sending),
      senderId: text(sending.sender_id),
      senderKey: await vault.open(blob(sending.sender_key)),
      signingKey: await vault.open(blob(sending.signing_key)),
      encryptionKey: blob(sending.encryption_key),
    },
    lastMessageId: Number(row.last_message_id),
    lastSent: { id: Number(row.last_sent_id), hash: blob(row.last_sent_hash) },
    lastReceived: { id: Number(row.last_received_id), hash: blob(row.last_received_hash) },
    lastServerId: text(row.last_server_id),
    lastPlaintextHash: blob(row.last_plaintext_hash),
    suspended: row.suspended === 1,
    unreadable: Number(row.unreadable),
  };
}

/** Reads an entry of the outbox. */
export async function readOutboxEntry(row: Row, vault: Vault): Promise<OutboxEntry> {
  return {
    alias: text(row.alias),
    position: Number(row.position),
    kind: text(row.kind) as OutboxEntry["kind"],
    messageId: Number(row.message_id),
    plaintext: await vault.open(blob(row.plaintext)),
    createdAt: Number(row.created_at),
    attempted: row.attempted === 1,
  };
}

/** Reads a message. */
export async function readMessage(row: Row, vault: Vault): Promise<MessageRecord> {
  return {
    alias: text(row.alias),
    id: Number(row.id),
    body: await vault.open(blob(row.body)),
    at: Number(row.at),
    done: row.done === 1,
    received: row.integrity === null ? null : {
      integrity: JSON.parse(text(row.integrity)) as MessageIntegrity,
      serverId: text(row.server_id),
      serverAt: Number(row.server_at),
      senderId: Number(row.sender_id),
      senderAt: Number(row.sender_at),
    },
  };
}

function readServer({ host, port, key_hash }: Row): ServerAddress {
  return {
    host: text(host),
    ...(port !== null && { port: Number(port) }),
    ...(key_hash !== null && { keyHash: text(key_hash) }),
  };
}

function text(value: SQLOutputValue | undefined): string {
  return String(value);
}

function blob(value: SQLOutputValue | undefined): Uint8Array<ArrayBuffer> {
  return new Uint8Array(value as Uint8Array<ArrayBuffer>);
}

function blobOrNull(value: SQLOutputValue | undefined): Uint8Array<ArrayBuffer> | null {
  return value === null ? null : blob(value);
}
