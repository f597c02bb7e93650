import { counted } from "../../cli/counted.ts";
import { copyAside, lackingError, settle } from "../store/damage.ts";
import { exists } from "../store/durable.ts";
import { handshakesPath, parseDigest } from "../store/handshake_log.ts";
import type { LogIo } from "../store/log_io.ts";
import type { MemoryQueueStore } from "../store/memory.ts";
import {
  ackLine,
  clearLine,
  messageLine,
  messagesHeader,
  type MessageSink,
  readJournal,
} from "../store/message_journal.ts";
import type { StorePaths } from "../store/places.ts";
import { readLines } from "../store/read_lines.ts";
import { loadStoreLog, storeLogLines } from "../store/store_log.ts";
import { aliasLines } from "./aliases.ts";
import { aliasesPath } from "./form.ts";
import { LineFile } from "./line_file.ts";
import { type Spread, workerOf, workerOfHandshake } from "./partition.ts";

export interface ConvertOptions {
  readonly io: LogIo;
  /** Leaves out what cannot be read; the files are kept as copies. */
  readonly repair?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly notices: string[];
}

/** The files of each worker while they are written. */
class NewFiles implements AsyncDisposable {
  readonly queues: LineFile[] = [];
  readonly messages: LineFile[] = [];
  readonly aliases: LineFile[] = [];
  readonly handshakes: LineFile[] = [];

  static async open(io: LogIo, targets: readonly StorePaths[]): Promise<NewFiles> {
    const files = new NewFiles();
    try {
      for (const { storeLog, messagesFile } of targets) {
        files.queues.push(await LineFile.open(io, storeLog));
        files.messages.push(await LineFile.open(io, messagesFile));
        files.aliases.push(await LineFile.open(io, aliasesPath(storeLog)));
        files.handshakes.push(await LineFile.open(io, handshakesPath(storeLog)));
      }
      return files;
    } catch (error) {
      await files[Symbol.asyncDispose]();
      throw error;
    }
  }

  get all(): LineFile[] {
    return [this.queues, this.messages, this.aliases, this.handshakes].flat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.all) await file[Symbol.asyncDispose]();
  }
}

/**
 * Writes the content of some files, of which it has the queues of one in memory at a time and no messages, into those
 * of each worker, and syncs them, but not their directory. Throws `StoreError`, `CORRUPT` for damage as the start of a
 * server would.
 */
export async function convert(
  sources: readonly StorePaths[],
  { targets, spread }: { readonly targets: readonly StorePaths[]; readonly spread: Spread },
  options: ConvertOptions,
): Promise<{ readonly queues: number }> {
  await using files = await NewFiles.open(options.io, targets);
  const aliases = targets.map(() => 0);
  for (const file of files.messages) file.add(messagesHeader);
  for (const file of files.aliases) file.add(aliasLines.first);
  let queues = 0;
  for (const source of sources) {
    const isThere = await exists(source.storeLog);
    const { repair = false, signal, notices } = options;
    const loaded = await loadStoreLog(source.storeLog, 0, { recover: repair, signal });
    await settle(source.storeLog, loaded, options, notices);
    queues += loaded.memory.size;
    await writeQueues(loaded.memory, files, { spread, aliases, signal });
    const lacks = !isThere ? "it is not there" : loaded.problems.length > 0 ? "it is damaged" : null;
    await writeMessages(source, { queues: loaded.memory, lacks }, { files: files.messages, spread }, options);
  }
  await writeHandshakes(sources.map(({ storeLog }) => handshakesPath(storeLog)), files.handshakes, spread);
  for (const [worker, file] of files.aliases.entries()) file.add(aliasLines.last(aliases[worker]!));
  for (const file of files.all) await file.finish();
  return { queues };
}

async function writeQueues(
  memory: MemoryQueueStore,
  files: NewFiles,
  { spread, aliases, signal }: {
    readonly spread: Spread;
    readonly aliases: number[];
    readonly signal: AbortSignal | undefined;
  },
): Promise<void> {
  for (const record of memory.records()) {
    const { recipientId, senderId } = record;
    const [owner, other] = [workerOf(recipientId, spread), workerOf(senderId, spread)];
    for (const line of storeLogLines([record])) files.queues[owner]!.add(line);
    await files.queues[owner]!.drain();
    if (owner === other) continue;
    files.aliases[other]!.add(aliasLines.alias(senderId, recipientId));
    aliases[other]!++;
    await files.aliases[other]!.drain();
    signal?.throwIfAborted();
  }
}

/** Record by record, so that no more than a piece of the file is in memory. */
async function writeMessages(
  { storeLog, messagesFile }: StorePaths,
  { queues, lacks }: { readonly queues: MemoryQueueStore; readonly lacks: string | null },
  { files, spread }: { readonly files: readonly LineFile[]; readonly spread: Spread },
  { repair = false, signal, notices }: ConvertOptions,
): Promise<void> {
  const unknown = new UnknownMessages();
  const touched = new Set<LineFile>();
  const add = (recipientId: string, line: string) => {
    const file = files[workerOf(recipientId, spread)]!;
    file.add(line);
    touched.add(file);
  };
  const isKnown = (recipientId: string) => queues.get(recipientId) !== undefined;
  const sink: MessageSink = {
    // Whoever reads the new file finds out.
    has: () => false,
    append: (recipientId, message) => {
      if (isKnown(recipientId)) add(recipientId, messageLine(recipientId, message));
      else unknown.add(recipientId, message.id);
      return done;
    },
    remove: (recipientId, messageId) => {
      if (isKnown(recipientId)) add(recipientId, ackLine(recipientId, messageId));
      else unknown.remove(recipientId, messageId);
      return done;
    },
    deleteQueue: (recipientId) => {
      if (isKnown(recipientId)) add(recipientId, clearLine(recipientId));
      else unknown.removeQueue(recipientId);
      return done;
    },
  };
  const drain = async () => {
    for (const file of touched) await file.drain();
    touched.clear();
  };
  const loaded = await readJournal(messagesFile, sink, { recover: repair, signal, drain });
  await settle(messagesFile, loaded, { repair }, notices);
  const dropped = unknown.count;
  if (dropped === 0) return;
  if (lacks !== null && !repair) {
    throw lackingError(storeLog, { lacks, messages: `${messagesFile} has ${counted(dropped, "message")}` });
  }
  // Whoever mends the store log by hand will want them.
  const saved = lacks === null ? "" : `; the file is kept as ${await copyAside(messagesFile)}`;
  notices.push(`dropped ${counted(dropped, "message")} of queues that are gone${saved}`);
}

const done = Promise.resolve();

/** Which messages wait for queues that are not there. */
class UnknownMessages {
  readonly #queues = new Map<string, Set<string>>();

  get count(): number {
    let count = 0;
    for (const messages of this.#queues.values()) count += messages.size;
    return count;
  }

  add(recipientId: string, messageId: string): void {
    const messages = this.#queues.get(recipientId);
    if (messages === undefined) this.#queues.set(recipientId, new Set([messageId]));
    else messages.add(messageId);
  }

  remove(recipientId: string, messageId: string): void {
    const messages = this.#queues.get(recipientId);
    messages?.delete(messageId);
    if (messages?.size === 0) this.#queues.delete(recipientId);
  }

  removeQueue(recipientId: string): void {
    this.#queues.delete(recipientId);
  }
}

/** The files side by side, each at the same share of its length: the oldest handshakes are the first that are forgotten. */
export async function writeHandshakes(
  paths: readonly string[],
  files: readonly LineFile[],
  spread: Spread,
): Promise<void> {
  const sources = [];
  for (const path of paths) {
    sources.push({ size: 1 + await sizeOf(path), read: 0, pieces: readLines(path) });
  }
  try {
    for (let left = sources; left.length > 0;) {
      const source = left.reduce((a, b) => b.read / b.size < a.read / a.size ? b : a);
      const { value: lines, done } = await source.pieces.next();
      if (done) {
        left = left.filter((other) => other !== source);
        continue;
      }
      for (const { text } of lines) {
        source.read += text.length + 1;
        const digest = parseDigest(text);
        if (digest !== null) files[workerOfHandshake(digest, spread)]!.add(digest.toString(36));
      }
      for (const file of files) await file.drain();
    }
  } finally {
    for (const { pieces } of sources) await pieces.return(undefined);
  }
}

async function sizeOf(path: string): Promise<number> {
  return await exists(path) ? (await Deno.stat(path)).size : 0;
}
