/** From the first schema, whose connections were found by their aliases, to the present one. */
import type { DatabaseSync } from "node:sqlite";
import { importAesKey } from "../../protocol/mod.ts";
import { newId } from "../core/connection.ts";
import type { MessageIntegrity } from "../protocol/integrity.ts";
import { schema } from "./schema.ts";
import { Prepared, runWrite, writeOf } from "./sqlite_writes.ts";
import {
  type ReceivingRoute,
  type ReceivingStatus,
  type SendingRoute,
  type SendingStatus,
  type StoreChange,
  StoreError,
} from "./store.ts";
import {
  createVault,
  deriveKey,
  type PassphraseOptions,
  type PassphraseRecord,
  plainVault,
  type Vault,
} from "./vault.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type Row = Readonly<Record<string, unknown>>;

/** Decrypts a value of the first schema. */
type Open = (sealed: unknown) => Promise<Bytes>;

/** Milliseconds for which a joiner has tried KEY and HELLO. */
const joinTimeout = 2 * 86_400_000;

/** Positions up to this one were for KEY, HELLO and REPLY; user messages had the ones after it. */
const messagePositions = 10;

/** The tables, those that refer to others first. */
const tables = ["messages", "outbox", "receiving_queues", "sending_queues", "passphrase", "connections"];

/** How many rows are in memory at a time. */
const pageSize = 50;

/** A database whose tables were renamed. */
interface First {
  readonly database: DatabaseSync;
  readonly open: Open;
  /** The new IDs of connections and their sending routes by alias. */
  readonly ids: Map<unknown, { readonly connection: string; readonly route: string }>;
}

/** The vault that everything has gone into. */
export interface Migrated {
  readonly vault: Vault;
  /** What is to be kept of its passphrase. */
  readonly record: PassphraseRecord | null;
}

/**
 * Brings a database up to date, in the transaction that its caller has begun. Throws `StoreError` (`PASSPHRASE`) before
 * anything is changed.
 */
export async function migrateV1(database: DatabaseSync, options: PassphraseOptions): Promise<Migrated> {
  const { open, ...migrated } = await openFirst(database, options);
  database.exec("DROP INDEX messages_at");
  for (const table of tables) database.exec(`ALTER TABLE ${table} RENAME TO first_${table}`);
  database.exec(schema);
  const prepared = new Prepared(database);
  for await (const change of allChanges({ database, open, ids: new Map() })) {
    runWrite(await writeOf(change, migrated.vault), prepared);
  }
  for (const table of tables) database.exec(`DROP TABLE first_${table}`);
  return migrated;
}

async function* allChanges(first: First): AsyncGenerator<StoreChange> {
  const { database, ids } = first;
  const connections = database.prepare("SELECT * FROM first_connections ORDER BY created_at, rowid").all();
  for (const row of connections) yield* connectionChanges(first, row);
  for (const row of pages(database, "first_outbox")) yield* outboxChanges(first, row);
  let eventId = 0;
  for (const row of pages(database, "first_messages")) {
    const { connection } = ids.get(row.alias)!;
    const id = Number(row.id);
    const received = row.integrity === null ? null : {
      integrity: JSON.parse(String(row.integrity)) as MessageIntegrity,
      serverId: String(row.server_id),
      serverAt: Number(row.server_at),
      senderId: Number(row.sender_id),
      senderAt: Number(row.sender_at),
    };
    const body = await first.open(row.body);
    const [at, done] = [Number(row.at), row.done === 1];
    const message = { connection, id, body, at, done, received, number: null, delivered: false };
    yield { type: "put message", message };
    // What the application has not acknowledged is told again.
    if (received === null || done) continue;
    yield { type: "put event", event: { id: ++eventId, connection, event: { type: "message", id } } };
  }
}

async function* connectionChanges(first: First, row: Row): AsyncGenerator<StoreChange> {
  const { database, open, ids } = first;
  const { connection, route } = { connection: newId(), route: newId() };
  ids.set(row.alias, { connection, route });
  const of = (text: string) => database.prepare(text).get(String(row.alias)) as Row | undefined;
  const last = of("SELECT max(position) AS position FROM first_outbox WHERE alias = ?")!;
  yield {
    type: "put connection",
    record: {
      id: connection,
      alias: String(row.alias),
      createdAt: Number(row.created_at),
      role: row.role as "initiator" | "joiner",
      reply: row.reply === 1,
      connected: row.connected === 1,
      lastMessageId: Number(row.last_message_id),
      lastSent: { id: Number(row.last_sent_id), hash: bytes(row.last_sent_hash) },
      lastReceived: { id: Number(row.last_received_id), hash: bytes(row.last_received_hash) },
      lastPosition: Math.max(messagePositions + Number(row.last_sent_id), Number(last.position)),
      // HELLO of that time announced nothing.
      extensions: row.receiving === "active" ? [] : null,
      unreadable: Number(row.unreadable),
    },
  };
  const receiving = of("SELECT * FROM first_receiving_queues WHERE alias = ?");
  if (receiving !== undefined) {
    const route = await receivingRoute(first, row, receiving);
    yield { type: "put receiving", connection, route, withKeys: true };
  }
  const sending = of("SELECT * FROM first_sending_queues WHERE alias = ?");
  if (sending === undefined) return;
  const keys: SendingRoute["keys"] = {
    server: serverOf(sending),
    senderId: String(sending.sender_id),
    senderKey: await open(sending.sender_key),
    signingKey: await open(sending.signing_key),
    encryptionKey: bytes(sending.encryption_key),
  };
  const status = sendingStatus(database, row);
  yield { type: "put sending", connection, route: { id: route, keys, status }, withKeys: true };
}

async function receivingRoute(
  { database, open }: First,
  connection: Row,
  queue: Row,
): Promise<ReceivingRoute> {
  const lastServerId = String(connection.last_server_id);
  const query = "SELECT id FROM first_messages WHERE alias = ? AND server_id = ? AND done = 0 ORDER BY id";
  const unacknowledged = database.prepare(query).all(String(connection.alias), lastServerId);
  return {
    id: newId(),
    keys: {
      server: serverOf(queue),
      recipientId: String(queue.recipient_id),
      senderId: String(queue.sender_id),
      recipientKey: await open(queue.recipient_key),
      decryptionKey: await open(queue.decryption_key),
      senderKey: bytesOrNull(queue.sender_key),
      verificationKey: bytesOrNull(queue.verification_key),
    },
    status: connection.receiving as ReceivingStatus,
    lastServerId,
    lastHash: bytes(connection.last_plaintext_hash),
    unacknowledged: unacknowledged.map(({ id }) => ({ id: Number(id), serverId: lastServerId })),
    suspended: connection.suspended === 1,
  };
}

/** Joining was given up when what there is still to send of it is gone: the first schema had no status for that. */
function sendingStatus(database: DatabaseSync, { alias, sending }: Row): SendingStatus {
  if (sending === "active") return "active";
  const kind = sending === "new" ? "KEY" : "HELLO";
  const query = "SELECT 1 FROM first_outbox WHERE alias = ? AND kind = ?";
  const isWaiting = database.prepare(query).get(String(alias), kind) !== undefined;
  return isWaiting ? sending as SendingStatus : "failed";
}

async function* outboxChanges({ database, open, ids }: First, row: Row): AsyncGenerator<StoreChange> {
  const { connection, route } = ids.get(row.alias)!;
  const of = (table: string) =>
    database.prepare(`SELECT * FROM ${table} WHERE alias = ?`).get(String(row.alias));
  // Nothing was ever put into the outbox of a connection that cannot send.
  if (of("first_sending_queues") === undefined) return;
  const [kind, position, createdAt] = [String(row.kind), Number(row.position), Number(row.created_at)];
  const plaintext = await open(row.plaintext);
  const entry = { connection, position, kind, messageId: Number(row.message_id), plaintext, createdAt };
  yield { type: "put outbox", entry };
  const isGreeting = kind === "KEY" || kind === "HELLO";
  const isJoiner = of("first_connections")!.role === "joiner";
  const giveUpAt = isGreeting && isJoiner ? createdAt + joinTimeout : null;
  const attempted = row.attempted === 1;
  yield { type: "put delivery", delivery: { connection, route, position, attempted, giveUpAt } };
}

/** The rows of a table in the order in which they were made, a page at a time. */
function* pages(database: DatabaseSync, table: string): Generator<Row> {
  const statement = database.prepare(
    `SELECT rowid AS place, * FROM ${table} WHERE rowid > ? ORDER BY rowid LIMIT ${pageSize}`,
  );
  let last = Number.MIN_SAFE_INTEGER;
  while (true) {
    const page = statement.all(last);
    yield* page;
    if (page.length < pageSize) return;
    last = Number(page.at(-1)!.place);
  }
}

async function openFirst(
  database: DatabaseSync,
  { passphrase, iterations }: PassphraseOptions,
): Promise<Migrated & { readonly open: Open }> {
  const row = database.prepare("SELECT * FROM passphrase").get();
  if (row === undefined) {
    const isEmpty = database.prepare("SELECT 1 FROM connections").get() === undefined;
    const open = (value: unknown) => Promise.resolve(bytes(value));
    if (passphrase === undefined) return { vault: plainVault, record: null, open };
    if (isEmpty) return { ...await createVault(passphrase, iterations), open };
    throw new StoreError("PASSPHRASE", "Cannot open the store: it was made without a passphrase");
  }
  if (passphrase === undefined) {
    throw new StoreError("PASSPHRASE", "Cannot open the store: it needs its passphrase");
  }
  const rounds = Number(row.iterations);
  const open = await firstVault(passphrase, bytes(row.salt), rounds);
  try {
    await open(row.proof);
  } catch (cause) {
    throw new StoreError("PASSPHRASE", "Cannot open the store: the passphrase is wrong", { cause });
  }
  return { ...await createVault(passphrase, iterations ?? rounds), open };
}

/** The vault of the first schema: a nonce of 16 bytes, the tag, the ciphertext, under the key of the passphrase itself. */
async function firstVault(passphrase: string, salt: Bytes, iterations: number): Promise<Open> {
  const key = await importAesKey(await deriveKey(passphrase, salt, iterations));
  return async (value) => {
    const sealed = bytes(value);
    const plaintext = sealed.length < 16 ? null : await key.open(sealed.slice(0, 16), sealed.slice(16));
    if (plaintext === null) throw new StoreError("READ", "Cannot read the store: what it holds was changed");
    return plaintext;
  };
}

function serverOf({ host, port, key_hash }: Row): ReceivingRoute["keys"]["server"] {
  return {
    host: String(host),
    ...(port !== null && { port: Number(port) }),
    ...(key_hash !== null && { keyHash: String(key_hash) }),
  };
}

function bytes(value: unknown): Bytes {
  return new Uint8Array(value as Bytes);
}

function bytesOrNull(value: unknown): Bytes | null {
  return value === null ? null : bytes(value);
}
