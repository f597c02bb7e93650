import {
  encodeBase64,
  encodePublicKeyText,
  lendBase64,
  ParseError,
  parsePublicKeyText,
  type PublicKey,
} from "../../protocol/mod.ts";
import { AppendLog, type AppendLogOptions } from "./append_log.ts";
import { type Loaded, type LoadOptions, loadRecords, type RecordFormat } from "./load.ts";
import { MemoryQueueStore } from "./memory.ts";
import type { Line } from "./read_lines.ts";
import type { QueueRecord, QueueStore } from "./store.ts";

/** smp.md Store log. A promise resolves when the change is written, and synced if every write is. */
export class StoreLog implements QueueStore {
  readonly #memory: MemoryQueueStore;
  readonly #log: AppendLog;
  readonly #reserved = new Set<string>();

  private constructor(memory: MemoryQueueStore, log: AppendLog) {
    this.#memory = memory;
    this.#log = log;
  }

  /** Rewrites the file before, or `later`, while it is used. */
  static async open(
    path: string,
    memory: MemoryQueueStore,
    options: Omit<AppendLogOptions, "snapshot"> & { readonly compact: "before" | "later" | "no" },
  ): Promise<StoreLog> {
    const snapshot = () => storeLogLines(memory.records());
    const log = await AppendLog.open(path, { ...options, snapshot }, options.compact === "before");
    if (options.compact === "later") void log.compact();
    return new StoreLog(memory, log);
  }

  get healthy(): boolean {
    return this.#log.healthy;
  }

  get size(): number {
    return this.#memory.size;
  }

  records(): Iterable<QueueRecord> {
    return this.#memory.records();
  }

  byRecipientId(recipientId: string): Promise<QueueRecord | undefined> {
    return this.#memory.byRecipientId(recipientId);
  }

  bySenderId(senderId: string): Promise<QueueRecord | undefined> {
    return this.#memory.bySenderId(senderId);
  }

  async create(record: QueueRecord): Promise<boolean> {
    const ids = [record.recipientId, record.senderId];
    if (record.recipientId === record.senderId) return false;
    if (ids.some((id) => this.#reserved.has(id) || this.#memory.has(id))) return false;
    for (const id of ids) this.#reserved.add(id);
    try {
      await this.#log.append(createLine(record), () => void this.#memory.create(record));
    } finally {
      for (const id of ids) this.#reserved.delete(id);
    }
    return true;
  }

  async secure(recipientId: string, senderKey: PublicKey): Promise<void> {
    if (!this.#memory.has(recipientId)) return;
    const line = `SECURE ${recipientId} ${encodePublicKeyText(senderKey)}`;
    await this.#log.append(line, () => void this.#memory.secure(recipientId, senderKey));
  }

  /** smp.md Store log: written as DELETE, so that after a restart the queue is gone. */
  async suspend(recipientId: string, at: number): Promise<void> {
    if (!this.#memory.has(recipientId)) return;
    await this.#log.append(`DELETE ${recipientId}`, () => void this.#memory.suspend(recipientId, at));
  }

  async delete(recipientId: string): Promise<void> {
    if (!this.#memory.has(recipientId)) return;
    await this.#log.append(`DELETE ${recipientId}`, () => void this.#memory.delete(recipientId));
  }

  compact(): Promise<void> {
    return this.#log.compact();
  }

  close(): Promise<void> {
    return this.#log.close();
  }
}

export function* storeLogLines(records: Iterable<QueueRecord>): Generator<string> {
  for (const record of records) if (!record.suspended) yield createLine(record);
}

const shapes = [["CREATE", "rid=", "sid=", "rk=rsa:", "sk=rsa:"], ["SECURE", "", "rsa:"], ["DELETE", ""]];

export async function loadStoreLog(
  path: string,
  now: number,
  options: LoadOptions = {},
): Promise<Loaded & { readonly memory: MemoryQueueStore }> {
  const memory = new MemoryQueueStore();
  const apply: RecordFormat["apply"] = (line) => {
    try {
      return applyLine(memory, line, now);
    } catch (error) {
      if (error instanceof ParseError) return error.message;
      throw error;
    }
  };
  return { ...await loadRecords(path, { shapes, apply }, options), memory };
}

function applyLine(memory: MemoryQueueStore, { text, end }: Line, now: number): string | null {
  const [word, first = "", second = "", third, fourth, ...more] = text.split(" ");
  switch (word) {
    case "CREATE":
      if (third === undefined || fourth === undefined || more.length > 0) break;
      return applyCreate(memory, [first, second, third, fourth], now);
    case "SECURE": {
      if (third !== undefined) break;
      const record = memory.get(first);
      if (record === undefined && !isId(first)) break;
      const key = parsePublicKeyText(second);
      // The reference also logs keys that it refused because the queue had one: the first is the right one.
      if (record?.senderKey === null) memory.secure(record.recipientId, key);
      return null;
    }
    case "DELETE":
      if (second !== "" || third !== undefined || !isId(first)) break;
      // Keys tell their length, so that CREATE and SECURE are whole when they can be read; an ID does not.
      if (end === "none" && !isWholeId(memory, first)) return "its ID may be cut off";
      memory.delete(first);
      return null;
  }
  return "it is not a CREATE, SECURE or DELETE record";
}

function applyCreate(memory: MemoryQueueStore, fields: readonly string[], now: number): string | null {
  const [recipientId, senderId, recipientKey, senderKey] = ["rid=", "sid=", "rk=", "sk="].map((name, i) =>
    fields[i]!.startsWith(name) ? fields[i]!.slice(name.length) : null
  );
  if (recipientId == null || senderId == null || recipientKey == null || senderKey == null) {
    return "CREATE must have rid=, sid=, rk= and sk=";
  }
  const [ownId, ownSenderId] = [ownCopy(recipientId), ownCopy(senderId)];
  if (ownId === null || ownSenderId === null) return "an ID is not base64";
  const record: QueueRecord = {
    recipientId: ownId,
    senderId: ownSenderId,
    recipientKey: parsePublicKeyText(recipientKey),
    senderKey: senderKey === "" ? null : parsePublicKeyText(senderKey),
    suspended: false,
    changedAt: now,
  };
  if (memory.add(record)) return null;
  // A log that was compacted while it grew may say twice that a queue was created.
  if (memory.get(ownId)?.senderId !== ownSenderId) return "another queue has the same ID";
  memory.delete(ownId);
  memory.add(record);
  return null;
}

function createLine({ recipientId, senderId, recipientKey, senderKey }: QueueRecord): string {
  const sender = senderKey === null ? "" : encodePublicKeyText(senderKey);
  return `CREATE rid=${recipientId} sid=${senderId} rk=${encodePublicKeyText(recipientKey)} sk=${sender}`;
}

/** A part of a line would keep the whole piece of the file that it was read with in memory. */
function ownCopy(id: string): string | null {
  return id === "" ? null : lendBase64(id, encodeBase64);
}

/** Whether an ID that may have been cut off is that of a queue and cannot have been another one's. */
function isWholeId(memory: MemoryQueueStore, id: string): boolean {
  if (memory.get(id) === undefined) return false;
  for (const { recipientId } of memory.records()) {
    if (recipientId !== id && recipientId.startsWith(id)) return false;
  }
  return true;
}

function isId(text: string): boolean {
  return text !== "" && lendBase64(text, () => true) !== null;
}
