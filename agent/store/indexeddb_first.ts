/** From version 1 of the database, whose connections were found by their aliases. */
import { importAesKey } from "../../protocol/mod.ts";
import { newId } from "../core/connection.ts";
import type { IDBPDatabase, IDBPTransaction, StoreNames } from "idb";
import type { Tables } from "./indexeddb_tables.ts";
import {
  type ConnectionRecord,
  type MessageRecord,
  type OutboxEntry,
  type ReceivingKeys,
  type ReceivingStatus,
  type SendingKeys,
  type SendingStatus,
  type StoreChange,
  StoreError,
} from "./store.ts";
import { deriveKey } from "./vault.ts";

type Bytes = Uint8Array<ArrayBuffer>;

type FirstConnection =
  & Pick<
    ConnectionRecord,
    "alias" | "createdAt" | "lastMessageId" | "lastSent" | "lastReceived" | "unreadable"
  >
  & {
    readonly state: {
      readonly role: "initiator" | "joiner";
      readonly reply: boolean;
      readonly receiving: ReceivingStatus | "none";
      readonly sending: SendingStatus | "none";
      readonly connected: boolean;
    };
    readonly lastServerId: string;
    readonly lastPlaintextHash: Bytes;
    readonly suspended: boolean;
  };
type OfAlias<T> = Omit<T, "connection"> & { readonly alias: string };
type FirstEntry = OfAlias<OutboxEntry> & { readonly attempted: boolean };
type FirstMessage = OfAlias<Omit<MessageRecord, "number" | "delivered">>;

/** What version 1 kept of a passphrase. */
interface FirstPassphrase {
  readonly salt: Bytes;
  readonly iterations: number;
  readonly proof: Bytes;
}

/** The tables of version 1 by their new names; empty when all is in the new ones. */
export interface FirstTables {
  first_connections: { key: string; value: FirstConnection };
  first_receiving: { key: string; value: ReceivingKeys & { readonly alias: string } };
  first_sending: { key: string; value: SendingKeys & { readonly alias: string } };
  first_outbox: { key: [alias: string, position: number]; value: FirstEntry };
  first_messages: { key: [alias: string, id: number]; value: FirstMessage };
  first_passphrase: { key: number; value: FirstPassphrase };
}

/** All that is stored in version 1. */
export interface FirstRows {
  readonly connections: readonly FirstConnection[];
  readonly receiving: readonly FirstTables["first_receiving"]["value"][];
  readonly sending: readonly FirstTables["first_sending"]["value"][];
  readonly outbox: readonly FirstEntry[];
  readonly messages: readonly FirstMessage[];
  readonly passphrase: FirstPassphrase | null;
}

/** Decrypts a value of version 1. */
export type FirstOpen = (sealed: Bytes) => Promise<Bytes>;

/** The names of the tables of version 1, as they are now. */
export const firstTables = [
  "first_connections",
  "first_receiving",
  "first_sending",
  "first_outbox",
  "first_messages",
  "first_passphrase",
] as const;

/** Milliseconds for which a joiner has tried KEY and HELLO. */
const joinTimeout = 2 * 86_400_000;

/** Positions up to this one were for KEY, HELLO and REPLY; user messages had the ones after it. */
const messagePositions = 10;

/** Makes room for the tables of this version; what is in those of version 1 cannot be decrypted meanwhile. */
export function renameFirstTables(
  transaction: IDBPTransaction<Tables, StoreNames<Tables>[], "versionchange">,
): void {
  for (const name of firstTables) {
    const before = name.slice("first_".length) as StoreNames<Tables>;
    (transaction.objectStore(before) as { name: string }).name = name;
  }
}

/** A new database has them too, so that the same can be done with every one. */
export function createFirstTables(database: IDBPDatabase<Tables>): void {
  for (const name of firstTables) database.createObjectStore(name);
}

/** Reads what is left of version 1; `null`: nothing. */
export async function readFirst(database: IDBPDatabase<Tables>): Promise<FirstRows | null> {
  const transaction = database.transaction(firstTables);
  const [connections, receiving, sending, outbox, messages, passphrase] = await Promise.all([
    transaction.objectStore("first_connections").getAll(),
    transaction.objectStore("first_receiving").getAll(),
    transaction.objectStore("first_sending").getAll(),
    transaction.objectStore("first_outbox").getAll(),
    transaction.objectStore("first_messages").getAll(),
    transaction.objectStore("first_passphrase").get(1),
  ]);
  if (connections.length === 0 && passphrase === undefined) return null;
  return { connections, receiving, sending, outbox, messages, passphrase: passphrase ?? null };
}

/** What opens the values of version 1. Throws `StoreError` (`PASSPHRASE`). */
export async function openFirst(rows: FirstRows, passphrase: string | undefined): Promise<FirstOpen> {
  const record = rows.passphrase;
  if (record === null) {
    if (passphrase === undefined || rows.connections.length === 0) return (value) => Promise.resolve(value);
    throw new StoreError("PASSPHRASE", "Cannot open the store: it was made without a passphrase");
  }
  if (passphrase === undefined) {
    throw new StoreError("PASSPHRASE", "Cannot open the store: it needs its passphrase");
  }
  // A nonce of 16 bytes, the tag, the ciphertext, under the key of the passphrase itself.
  const key = await importAesKey(await deriveKey(passphrase, record.salt, record.iterations));
  const open = async (sealed: Bytes) => {
    const plaintext = sealed.length < 16 ? null : await key.open(sealed.slice(0, 16), sealed.slice(16));
    if (plaintext === null) throw new StoreError("READ", "Cannot read the store: what it holds was changed");
    return plaintext;
  };
  try {
    await open(record.proof);
  } catch (cause) {
    throw new StoreError("PASSPHRASE", "Cannot open the store: the passphrase is wrong", { cause });
  }
  return open;
}

/** What version 1 stored, as changes. */
export async function* changesOfFirst(rows: FirstRows, open: FirstOpen): AsyncGenerator<StoreChange> {
  const byAge = rows.connections.toSorted((a, b) => a.createdAt - b.createdAt);
  const ids = new Map<string, string>();
  for (const row of byAge) {
    const connection = newId();
    ids.set(row.alias, connection);
    yield* connectionChanges(rows, row, { connection, open });
  }
  let eventId = 0;
  for (const { alias, body, ...message } of rows.messages.toSorted((a, b) => a.at - b.at)) {
    const connection = ids.get(alias)!;
    const record = { ...message, connection, body: await open(body), number: null, delivered: false };
    yield { type: "put message", message: record };
    // What the application has not acknowledged is told again.
    if (message.received === null || message.done) continue;
    const event = { type: "message", id: message.id } as const;
    yield { type: "put event", event: { id: ++eventId, connection, event } };
  }
}

async function* connectionChanges(
  rows: FirstRows,
  row: FirstConnection,
  { connection, open }: { readonly connection: string; readonly open: FirstOpen },
): AsyncGenerator<StoreChange> {
  const { alias, state, lastSent } = row;
  const { role, reply, connected } = state;
  const outbox = rows.outbox.filter((entry) => entry.alias === alias);
  const positions = outbox.map(({ position }) => position);
  yield {
    type: "put connection",
    record: {
      id: connection,
      alias,
      createdAt: row.createdAt,
      role,
      reply,
      connected,
      lastMessageId: row.lastMessageId,
      lastSent,
      lastReceived: row.lastReceived,
      lastPosition: Math.max(messagePositions + lastSent.id, ...positions),
      // HELLO of that time announced nothing.
      extensions: state.receiving === "active" ? [] : null,
      unreadable: row.unreadable,
    },
  };
  const receiving = rows.receiving.find((queue) => queue.alias === alias);
  if (receiving !== undefined && state.receiving !== "none") {
    const { lastServerId } = row;
    const isLast = ({ received, done, ...message }: FirstMessage) =>
      message.alias === alias && !done && received?.serverId === lastServerId;
    const unacknowledged = rows.messages.filter(isLast).map(({ id }) => ({ id, serverId: lastServerId }));
    const { alias: _, ...keys } = receiving;
    const route = {
      id: newId(),
      keys: {
        ...keys,
        recipientKey: await open(keys.recipientKey),
        decryptionKey: await open(keys.decryptionKey),
      },
      status: state.receiving,
      lastServerId,
      lastHash: row.lastPlaintextHash,
      unacknowledged,
      suspended: row.suspended,
    };
    yield { type: "put receiving", connection, route, withKeys: true };
  }
  const sending = rows.sending.find((queue) => queue.alias === alias);
  if (sending === undefined || state.sending === "none") return;
  const { alias: _, ...keys } = sending;
  // Joining was given up when what there is still to send of it is gone: there was no status for that.
  const isWaiting = outbox.some(({ kind }) => kind === (state.sending === "new" ? "KEY" : "HELLO"));
  const route = {
    id: newId(),
    keys: { ...keys, senderKey: await open(keys.senderKey), signingKey: await open(keys.signingKey) },
    status: state.sending === "active" || isWaiting ? state.sending : "failed",
  };
  yield { type: "put sending", connection, route, withKeys: true };
  for (const { alias: _, attempted, ...entry } of outbox) {
    const { position, kind, createdAt } = entry;
    yield { type: "put outbox", entry: { ...entry, connection, plaintext: await open(entry.plaintext) } };
    const isGreeting = (kind === "KEY" || kind === "HELLO") && role === "joiner";
    const giveUpAt = isGreeting ? createdAt + joinTimeout : null;
    yield { type: "put delivery", delivery: { connection, route: route.id, position, attempted, giveUpAt } };
  }
}
