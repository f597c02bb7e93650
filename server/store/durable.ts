import { counted } from "../../cli/counted.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { AppendLogOptions, Fsync } from "./append_log.ts";
import { copyAside, lackingError, settle, tornNotice } from "./damage.ts";
import { ioError, StoreError } from "./error.ts";
import { corruptError, type StoreProblem } from "./load.ts";
import { copyHandshakes, HandshakeLog, handshakesPath } from "./handshake_log.ts";
import type { ReplayGuard } from "../guard/replay_guard.ts";
import { isLogLocked, lockLog, lockPath, type LogLock } from "./lock.ts";
import { directoryOf, type LogIo, replaceFile, systemIo } from "./log_io.ts";
import { MemoryMessageStore, type MemoryQueueStore } from "./memory.ts";
import { findPlaces, type StorePaths, workersPath } from "./places.ts";
import { loadMessages, MessageJournal, messageLines } from "./message_journal.ts";
import { loadStoreLog, StoreLog, storeLogLines } from "./store_log.ts";
import type { MessageStore, QueueStore } from "./store.ts";

/** So that a busy server does not write its journal anew many times in a second, with a sync each time. */
const defaultSmallestJournal = 1 << 20;

export interface DurableOptions {
  readonly storeLog: string;
  readonly messagesFile: string;
  readonly others?: readonly string[];
  /** `memory`: messages are saved when the server stops; `journal`: as soon as they are accepted. */
  readonly messages: "memory" | "journal";
  readonly restoreMessages: boolean;
  readonly fsync: Fsync;
  readonly fsyncInterval: number;
  readonly signal?: AbortSignal;
  /** Leaves out lines that cannot be read; the file is kept as a copy. */
  readonly repair?: boolean;
  readonly metrics: Metrics;
  readonly log: (message: string, error?: unknown) => void;
  readonly now?: () => number;
  readonly io?: LogIo;
  /** Bytes below which the journal is not compacted while it is open. @default 1 MiB */
  readonly smallestJournal?: number;
}

/** Queues and messages in files (docs/files.md): what was answered with `OK` is there after a restart. */
export class DurableStores implements AsyncDisposable {
  readonly queues: QueueStore;
  readonly messages: MessageStore;
  readonly replayGuard: ReplayGuard;
  readonly notices: readonly string[];
  readonly #log: StoreLog;
  readonly #messages: MessageJournal | MemoryMessageStore;
  readonly #options: DurableOptions;
  readonly #handshakes: HandshakeLog;
  readonly #locks: readonly LogLock[];
  #closing: Promise<void> | null = null;

  private constructor(
    { queues, messages, handshakes, notices, locks }: {
      readonly queues: StoreLog;
      readonly messages: MessageJournal | MemoryMessageStore;
      readonly handshakes: HandshakeLog;
      readonly notices: readonly string[];
      readonly locks: readonly LogLock[];
    },
    options: DurableOptions,
  ) {
    this.queues = this.#log = queues;
    this.messages = this.#messages = messages;
    this.#handshakes = handshakes;
    this.replayGuard = handshakes.guard;
    this.notices = notices;
    this.#locks = locks;
    this.#options = options;
  }

  static async open(given: DurableOptions): Promise<DurableStores> {
    for (const path of [given.storeLog, given.messagesFile]) await makeDirectory(directoryOf(path));
    const options = { ...given, ...await findPlaces(given, given.others) };
    const locks = await lockLogs(options);
    let queues: StoreLog | undefined, handshakes: HandshakeLog | undefined;
    try {
      const notices: string[] = [];
      const { storeLog, now = Date.now, signal } = options;
      if (await exists(workersPath(storeLog))) throw workersError(storeLog);
      const isThere = await exists(storeLog);
      const loaded = await loadStoreLog(storeLog, now(), { recover: options.repair ?? false, signal });
      await settle(storeLog, loaded, options, notices);
      const lacks = !isThere ? "it is not there" : loaded.problems.length > 0 ? "it is damaged" : null;
      const messages = await readMessages(options, { memory: loaded.memory, lacks }, notices);
      notices.unshift(
        `read ${counted(loaded.memory.size, "queue")} and ${counted(messages.size, "message")}`,
      );
      // What is only long can wait until the server listens; nothing may be appended to a line without an end, and
      // what was repaired is not to be repaired again.
      const isLong = loaded.lines !== loaded.memory.size;
      const isDamaged = loaded.lacksEnd || loaded.problems.length > 0;
      const compact = isDamaged ? "before" : isLong ? "later" : "no";
      queues = await StoreLog.open(storeLog, loaded.memory, { ...logOptions(options), compact });
      handshakes = await HandshakeLog.open(handshakesPath(storeLog), logOptions(options));
      if (options.messages === "journal") {
        const { messagesFile, smallestJournal = defaultSmallestJournal } = options;
        const journalOptions = { ...logOptions(options), smallest: smallestJournal };
        const journal = await MessageJournal.open(messagesFile, messages, journalOptions);
        return new DurableStores({ queues, messages: journal, handshakes, notices, locks }, options);
      }
      if (options.restoreMessages) await removeFile(options.messagesFile);
      return new DurableStores({ queues, messages, handshakes, notices, locks }, options);
    } catch (error) {
      await queues?.close().catch(() => {});
      await handshakes?.close().catch(() => {});
      for (const lock of locks) lock.release();
      throw error;
    }
  }

  get healthy(): boolean {
    const { healthy } = this.#log;
    return healthy && (this.#messages instanceof MemoryMessageStore || this.#messages.healthy);
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const errors: unknown[] = [];
    for (
      const close of [() => this.#closeMessages(), () => this.#log.close(), () => this.#handshakes.close()]
    ) {
      await close().catch((error) => errors.push(error));
    }
    for (const lock of this.#locks) lock.release();
    if (errors.length > 0) throw errors[0];
  }

  async #closeMessages(): Promise<void> {
    if (this.#messages instanceof MessageJournal) return await this.#messages.close();
    const { restoreMessages, messagesFile, io } = this.#options;
    if (!restoreMessages || this.#messages.size === 0) return;
    await writeFile(messagesFile, messageLines(this.#messages), io);
  }
}

export async function verifyStores(paths: StorePaths, others: readonly string[] = []): Promise<{
  readonly queues: number;
  readonly messages: number;
  readonly problems: readonly StoreProblem[];
  readonly notices: readonly string[];
  readonly locked: boolean;
}> {
  const { storeLog, messagesFile } = await findPlaces(paths, others);
  const locked = await isLogLocked(storeLog) || await isLogLocked(messagesFile);
  const isThere = await exists(storeLog);
  const [queues, messages] = [await loadStoreLog(storeLog, 0), await loadMessages(messagesFile)];
  const { size } = messages.memory;
  if (!isThere && size > 0) {
    throw lackingError(storeLog, {
      lacks: "it is not there",
      messages: `${messagesFile} has ${counted(size, "message")}`,
    });
  }
  const notices = [[storeLog, queues], [messagesFile, messages]] as const;
  return {
    queues: queues.memory.size,
    messages: messages.memory.size,
    problems: [...queues.problems, ...messages.problems],
    notices: notices.filter(([, { isTorn }]) => isTorn).map(([file]) => tornNotice(file)),
    locked,
  };
}

/** What a server has that is stopped. */
export interface StoppedStores {
  readonly queues: MemoryQueueStore;
  readonly messages: MemoryMessageStore;
  /** Where it was found. */
  readonly storeLog: string;
}

/**
 * Calls `use` with what is stored, which no server can use meanwhile; queues were changed last at `now`, in milliseconds.
 * Rejects with `StoreError` when something is damaged or missing.
 */
export async function withStoppedStores<T>(
  from: StorePaths,
  now: number,
  use: (stores: StoppedStores) => Promise<T>,
): Promise<T> {
  const { storeLog, messagesFile } = await findPlaces(from);
  const locks = await lockLogs({ storeLog, messagesFile });
  try {
    const isThere = await exists(storeLog);
    const [queues, messages] = [await loadStoreLog(storeLog, now), await loadMessages(messagesFile)];
    const problems = [...queues.problems, ...messages.problems];
    if (problems.length > 0) throw corruptError(problems);
    const dropped = dropUnknown(messages.memory, queues.memory);
    if (dropped > 0 && !isThere) {
      throw lackingError(storeLog, {
        lacks: "it is not there",
        messages: `${messagesFile} has ${counted(dropped, "message")}`,
      });
    }
    return await use({ queues: queues.memory, messages: messages.memory, storeLog });
  } finally {
    for (const [i, { isNew }] of locks.entries()) {
      if (isNew) await Deno.remove(lockPath([storeLog, messagesFile][i]!)).catch(() => {});
    }
    for (const lock of locks) lock.release();
  }
}

export function copyStores(from: StorePaths, to: StorePaths): Promise<{ queues: number; messages: number }> {
  return withStoppedStores(from, 0, async ({ queues, messages, storeLog }) => {
    if (queues.size > 0) await writeFile(to.storeLog, storeLogLines(queues.records()));
    if (messages.size > 0) await writeFile(to.messagesFile, messageLines(messages));
    await copyHandshakes(handshakesPath(storeLog), handshakesPath(to.storeLog));
    return { queues: queues.size, messages: messages.size };
  });
}

function workersError(storeLog: string): StoreError {
  return new StoreError(
    "FORM",
    `Cannot use ${storeLog}: ${workersPath(storeLog)} says that the queues are in the files of workers; ` +
      `start the server once without --workers, which makes one file of them`,
  );
}

/** Each of them can be that of another server. */
export async function lockLogs({ storeLog, messagesFile }: StorePaths): Promise<readonly LogLock[]> {
  const first = await lockLog(storeLog);
  try {
    return [first, await lockLog(messagesFile)];
  } catch (error) {
    first.release();
    throw error;
  }
}

function logOptions(
  { fsync, fsyncInterval, metrics, log, io }: DurableOptions,
): Omit<AppendLogOptions, "snapshot"> {
  return { fsync, fsyncInterval, metrics, log, ...(io && { io }) };
}

async function readMessages(
  options: DurableOptions,
  { memory: queues, lacks }: {
    readonly memory: MemoryQueueStore;
    /** Why queues may be unknown that are not gone. */
    readonly lacks: string | null;
  },
  notices: string[],
): Promise<MemoryMessageStore> {
  const { messages, storeLog, messagesFile, restoreMessages, signal } = options;
  if (messages === "memory" && !restoreMessages) return new MemoryMessageStore();
  const loaded = await loadMessages(messagesFile, { recover: options.repair ?? false, signal });
  await settle(messagesFile, loaded, options, notices);
  const { memory } = loaded;
  const dropped = dropUnknown(memory, queues);
  if (dropped > 0 && lacks !== null && !options.repair) {
    throw lackingError(storeLog, { lacks, messages: `${messagesFile} has ${counted(dropped, "message")}` });
  }
  // Whoever mends the store log by hand will want them.
  const copy = dropped > 0 && lacks !== null ? await copyAside(messagesFile) : null;
  const saved = copy === null ? "" : `; the file is kept as ${copy}`;
  if (dropped > 0) notices.push(`dropped ${counted(dropped, "message")} of queues that are gone${saved}`);
  return memory;
}

export function dropUnknown(messages: MemoryMessageStore, queues: MemoryQueueStore): number {
  const before = messages.size;
  const unknown = new Set<string>();
  for (const [recipientId] of messages.messages()) if (!queues.has(recipientId)) unknown.add(recipientId);
  for (const recipientId of unknown) messages.deleteQueue(recipientId);
  return before - messages.size;
}

async function writeFile(path: string, lines: Iterable<string>, io: LogIo = systemIo): Promise<void> {
  try {
    const { file } = await replaceFile(io, path, lines);
    file.close();
  } catch (error) {
    throw ioError("write", path, error);
  }
}

export async function makeDirectory(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw ioError("make the directory", path, error);
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw ioError("read", path, error);
  }
}

export async function removeFile(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw ioError("remove", path, error);
  }
}
