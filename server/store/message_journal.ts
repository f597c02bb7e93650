import { decodeBase64, encodeBase64 } from "../../protocol/mod.ts";
import { AppendLog, type AppendLogOptions } from "./append_log.ts";
import { type Loaded, type LoadOptions, loadRecords, type RecordFormat } from "./load.ts";
import { MemoryMessageStore } from "./memory.ts";
import type { MessageStore, StoredMessage } from "./store.ts";

export const messagesHeader = "smp-messages 1";
const shapes = [["smp-messages", "1"], ["MSG", "", "", "", ""], ["ACK", "", ""], ["CLEAR", ""]];

/** Journals every message and acknowledgement (docs/files.md); promises resolve when that is written. */
export class MessageJournal implements MessageStore {
  readonly releasesBodies = true;
  readonly #memory: MemoryMessageStore;
  readonly #log: AppendLog;

  private constructor(memory: MemoryMessageStore, log: AppendLog) {
    this.#memory = memory;
    this.#log = log;
  }

  static async open(
    path: string,
    memory: MemoryMessageStore,
    options: Omit<AppendLogOptions, "snapshot">,
  ): Promise<MessageJournal> {
    const snapshot = () => messageLines(memory);
    return new MessageJournal(memory, await AppendLog.open(path, { ...options, snapshot }, true));
  }

  get healthy(): boolean {
    return this.#log.healthy;
  }

  get size(): number {
    return this.#memory.size;
  }

  get bytes(): number {
    return this.#memory.bytes;
  }

  async append(recipientId: string, message: StoredMessage): Promise<void> {
    await this.#log.append(
      messageLine(recipientId, message),
      () => void this.#memory.append(recipientId, message),
    );
  }

  first(recipientId: string): Promise<StoredMessage | undefined> {
    return this.#memory.first(recipientId);
  }

  next(recipientId: string, messageId: string): Promise<StoredMessage | undefined> {
    return this.#memory.next(recipientId, messageId);
  }

  count(recipientId: string): Promise<number> {
    return this.#memory.count(recipientId);
  }

  async remove(recipientId: string, messageId: string): Promise<void> {
    if (!this.#memory.has(recipientId, messageId)) return;
    await this.#log.append(
      ackLine(recipientId, messageId),
      () => void this.#memory.remove(recipientId, messageId),
    );
  }

  async deleteQueue(recipientId: string): Promise<void> {
    if (await this.#memory.count(recipientId) === 0) return;
    await this.#log.append(clearLine(recipientId), () => void this.#memory.deleteQueue(recipientId));
  }

  /** Written as acknowledged: what has expired stays so, whatever the lifetime is when the file is read. */
  async expire(time: number): Promise<number> {
    let expired = 0;
    for await (const messages of this.#memory.expired(time)) {
      const lines = messages.map(([recipientId, messageId]) => ackLine(recipientId, messageId));
      await this.#log.append(lines.join("\n"), () => void (expired += this.#memory.removeAll(messages)));
    }
    return expired;
  }

  compact(): Promise<void> {
    return this.#log.compact();
  }

  close(): Promise<void> {
    return this.#log.close();
  }
}

export function* messageLines(memory: MemoryMessageStore): Generator<string> {
  yield messagesHeader;
  for (const [recipientId, message] of memory.messages()) yield messageLine(recipientId, message);
}

/** Is told what the records of a journal say, one after the other. */
export type MessageSink = Pick<MemoryMessageStore, "has" | "append" | "remove" | "deleteQueue">;

export async function loadMessages(
  path: string,
  options: LoadOptions = {},
): Promise<Loaded & { readonly memory: MemoryMessageStore }> {
  const memory = new MemoryMessageStore();
  return { ...await readJournal(path, memory, options), memory };
}

export function readJournal(path: string, sink: MessageSink, options: LoadOptions = {}): Promise<Loaded> {
  const apply: RecordFormat["apply"] = ({ text, number, end }) => {
    if (number === 1) return text === messagesHeader ? null : `it is not "${messagesHeader}"`;
    // What is left of a body is a shorter body.
    if (end === "none") return "it may be cut off";
    return applyLine(sink, text);
  };
  return loadRecords(path, { shapes, apply }, options);
}

function applyLine(sink: MessageSink, text: string): string | null {
  const fields = text.split(" ");
  const [word, recipientId = "", messageId = "", time = "", encoded] = fields;
  if (!isId(recipientId)) return "it is not a MSG, ACK or CLEAR record";
  if (word === "CLEAR" && fields.length === 2) {
    sink.deleteQueue(recipientId);
    return null;
  }
  if (word === "ACK" && fields.length === 3 && isId(messageId)) {
    sink.remove(recipientId, messageId);
    return null;
  }
  if (word !== "MSG" || fields.length !== 5 || !isId(messageId)) {
    return "it is not a MSG, ACK or CLEAR record";
  }
  const timestamp = new Date(time);
  const body = decodeBase64(encoded!);
  if (Number.isNaN(timestamp.getTime()) || body === null) return "its time or body is not one";
  // A journal that was compacted while it grew may have a message twice.
  if (!sink.has(recipientId, messageId)) sink.append(recipientId, { id: messageId, timestamp, body });
  return null;
}

export function messageLine(recipientId: string, { id, timestamp, body }: StoredMessage): string {
  return `MSG ${recipientId} ${id} ${timestamp.toISOString()} ${encodeBase64(body)}`;
}

export function ackLine(recipientId: string, messageId: string): string {
  return `ACK ${recipientId} ${messageId}`;
}

export function clearLine(recipientId: string): string {
  return `CLEAR ${recipientId}`;
}

function isId(text: string): boolean {
  return text !== "" && decodeBase64(text) !== null;
}
