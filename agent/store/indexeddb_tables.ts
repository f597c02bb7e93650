import type { DBSchema, IDBPDatabase, IDBPTransaction } from "idb";
import type {
  ConnectionRecord,
  MessageRecord,
  OutboxEntry,
  ReceivingQueue,
  SendingQueue,
  StoreChange,
} from "./store.ts";
import type { PassphraseRecord, Vault } from "./vault.ts";

/** Raised with each change of what is in the tables. */
export const databaseVersion = 1;

type ConnectionRow = Omit<ConnectionRecord, "receiving" | "sending">;
type Row<Queue> = Queue & { readonly alias: string };

/** What is in the database. Private keys and bodies are sealed. */
export interface Tables extends DBSchema {
  connections: { key: string; value: ConnectionRow };
  receiving: { key: string; value: Row<ReceivingQueue> };
  sending: { key: string; value: Row<SendingQueue> };
  outbox: { key: [alias: string, position: number]; value: OutboxEntry };
  messages: { key: [alias: string, id: number]; value: MessageRecord; indexes: { at: number } };
  /** At most one, with key 1. */
  passphrase: { key: number; value: PassphraseRecord };
}

/** The tables that a change may be of. */
export const tables = ["connections", "receiving", "sending", "outbox", "messages"] as const;

type Transaction = IDBPTransaction<Tables, typeof tables, "readwrite">;

/** Makes the tables of a new database. */
export function createTables(database: IDBPDatabase<Tables>): void {
  for (const name of ["connections", "receiving", "sending"] as const) {
    database.createObjectStore(name, { keyPath: "alias" });
  }
  database.createObjectStore("outbox", { keyPath: ["alias", "position"] });
  database.createObjectStore("messages", { keyPath: ["alias", "id"] }).createIndex("at", "at");
  database.createObjectStore("passphrase");
}

/** The keys of all that belongs to a connection, or of what has a lower number than `before`. */
export function ofConnection(alias: string, before?: number): IDBKeyRange {
  // An array comes after any number.
  return IDBKeyRange.bound([alias], [alias, before ?? []], false, true);
}

/** A change as it is stored. */
export async function sealChange(change: StoreChange, vault: Vault): Promise<StoreChange> {
  const seal = sealing(vault);
  switch (change.type) {
    case "put connection": {
      if (!change.withQueues) return change;
      const { record } = change;
      const { receiving, sending } = record;
      return {
        ...change,
        record: {
          ...record,
          receiving: receiving && {
            ...receiving,
            recipientKey: await seal(receiving.recipientKey),
            decryptionKey: await seal(receiving.decryptionKey),
          },
          sending: sending && {
            ...sending,
            senderKey: await seal(sending.senderKey),
            signingKey: await seal(sending.signingKey),
          },
        },
      };
    }
    case "put outbox":
      return { ...change, entry: { ...change.entry, plaintext: await seal(change.entry.plaintext) } };
    case "put message":
      return { ...change, message: { ...change.message, body: await seal(change.message.body) } };
    case "delete connection":
    case "delete outbox":
    case "message done":
      return change;
    default:
      return change satisfies never;
  }
}

/** Makes a sealed change in a transaction. Throws when it is of a connection that is not there. */
export async function apply(transaction: Transaction, change: StoreChange): Promise<void> {
  switch (change.type) {
    case "put connection": {
      const { receiving, sending, ...row } = change.record;
      const { alias } = row;
      await transaction.objectStore("connections").put(row);
      if (!change.withQueues) return;
      if (receiving !== null) await transaction.objectStore("receiving").put({ alias, ...receiving });
      if (sending !== null) await transaction.objectStore("sending").put({ alias, ...sending });
      return;
    }
    case "delete connection": {
      const all = ofConnection(change.alias);
      for (const name of ["connections", "receiving", "sending"] as const) {
        await transaction.objectStore(name).delete(change.alias);
      }
      for (const name of ["outbox", "messages"] as const) await transaction.objectStore(name).delete(all);
      return;
    }
    case "put outbox":
      await checkConnection(transaction, change.entry.alias);
      await transaction.objectStore("outbox").put(change.entry);
      return;
    case "delete outbox":
      await transaction.objectStore("outbox").delete([change.alias, change.position]);
      return;
    case "put message":
      await checkConnection(transaction, change.message.alias);
      await transaction.objectStore("messages").put(change.message);
      return;
    case "message done": {
      const messages = transaction.objectStore("messages");
      const message = await messages.get([change.alias, change.id]);
      if (message !== undefined) await messages.put({ ...message, done: true });
      return;
    }
    default:
      return change satisfies never;
  }
}

/** What belongs to a connection must go with it: something to send for none would be tried for ever. */
async function checkConnection(transaction: Transaction, alias: string): Promise<void> {
  const key = await transaction.objectStore("connections").getKey(alias);
  if (key === undefined) throw new Error(`there is no connection "${alias}"`);
}

/** A connection as it was before it was stored. */
export async function openConnection(
  row: ConnectionRow,
  queues: {
    readonly receiving: ReadonlyMap<string, Row<ReceivingQueue>>;
    readonly sending: ReadonlyMap<string, Row<SendingQueue>>;
  },
  vault: Vault,
): Promise<ConnectionRecord> {
  const { alias: _receiver, ...receiving } = queues.receiving.get(row.alias) ?? { alias: null };
  const { alias: _sender, ...sending } = queues.sending.get(row.alias) ?? { alias: null };
  return {
    ...row,
    receiving: "recipientKey" in receiving
      ? {
        ...receiving,
        recipientKey: await vault.open(receiving.recipientKey),
        decryptionKey: await vault.open(receiving.decryptionKey),
      }
      : null,
    sending: "senderKey" in sending
      ? {
        ...sending,
        senderKey: await vault.open(sending.senderKey),
        signingKey: await vault.open(sending.signingKey),
      }
      : null,
  };
}

/** An entry of an outbox as it was before it was stored. */
export async function openEntry(entry: OutboxEntry, vault: Vault): Promise<OutboxEntry> {
  return { ...entry, plaintext: await vault.open(entry.plaintext) };
}

/** A message as it was before it was stored. */
export async function openMessage(message: MessageRecord, vault: Vault): Promise<MessageRecord> {
  return { ...message, body: await vault.open(message.body) };
}

/** Seals into memory of its own: the whole memory that an array is a part of would be stored with it. */
function sealing(vault: Vault): (plaintext: Uint8Array<ArrayBuffer>) => Promise<Uint8Array<ArrayBuffer>> {
  return async (plaintext) => (await vault.seal(plaintext)).slice();
}
