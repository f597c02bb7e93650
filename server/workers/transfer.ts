import { copyStores, dropUnknown, lockLogs, verifyStores } from "../store/durable.ts";
import { ioError, StoreError } from "../store/error.ts";
import { handshakesPath } from "../store/handshake_log.ts";
import { corruptError, type StoreProblem } from "../store/load.ts";
import { isLogLocked, lockPath } from "../store/lock.ts";
import { directoryOf, systemIo } from "../store/log_io.ts";
import { loadMessages, messageLine, messagesHeader } from "../store/message_journal.ts";
import { findPlaces, type StorePaths } from "../store/places.ts";
import { loadStoreLog, storeLogLines } from "../store/store_log.ts";
import { writeHandshakes } from "./convert.ts";
import { readConversion } from "./conversion.ts";
import { describeForm, type Form, oneProcess, pathsOf, readForm } from "./form.ts";
import { aliasNotice, findMissing } from "./files.ts";
import { refuseStrays, whereIs } from "./leftovers.ts";
import { LineFile } from "./line_file.ts";
import type { MemoryMessageStore, MemoryQueueStore } from "../store/memory.ts";

/** What was found in the files of a server, whatever its number of workers. */
export interface Verified {
  readonly queues: number;
  readonly messages: number;
  readonly problems: readonly StoreProblem[];
  readonly notices: readonly string[];
  readonly locked: boolean;
  /** The processes that the files are of: `one process`, `2 workers`. */
  readonly form: string;
}

/** Reads all files of a server and changes nothing. Throws `StoreError` where nothing can be said. */
export async function verifyFiles(paths: StorePaths, others: readonly string[] = []): Promise<Verified> {
  const base = await findPlaces(paths, others);
  const form = await readForm(base.storeLog);
  const conversion = await readConversion(base.storeLog);
  const notices: string[] = [];
  if (conversion === null) await refuseStrays(form, base);
  else notices.push(`${unfinished}; the next start of the server does the rest`);
  let [queues, messages, problems, locked] = [0, 0, [] as StoreProblem[], false];
  for (const source of await sourcesOf(form, base)) {
    const found = await verifyStores(source, form.generation === 0 ? others : []);
    queues += found.queues;
    messages += found.messages;
    problems = [...problems, ...found.problems];
    notices.push(...found.notices);
    locked ||= found.locked;
  }
  if (form.workers > 1) {
    const alias = await aliasNotice(pathsOf(form, base));
    if (alias !== null) notices.push(alias);
    locked ||= await isLogLocked(base.storeLog) || await isLogLocked(base.messagesFile);
  }
  return { queues, messages, problems, notices, locked, form: describeForm(form) };
}

const unfinished = "a change of the number of workers has not ended";

/** Copies the content of a server into the files of one process. Throws `StoreError`. */
export async function copyFiles(
  from: StorePaths,
  to: StorePaths,
): Promise<Counts> {
  const base = await findPlaces(from);
  const form = await readForm(base.storeLog);
  if (await readConversion(base.storeLog) !== null) {
    throw new StoreError("FORM", `Cannot copy ${base.storeLog}: ${unfinished}; start the server once`);
  }
  await refuseStrays(form, base);
  if (form.generation === 0) return await copyStores(from, to);
  const sources = await sourcesOf(form, base);
  await using _locks = await lockForCopy([base, ...sources]);
  return await copyWorkers(sources, to);
}

async function sourcesOf(form: Form, base: StorePaths): Promise<readonly StorePaths[]> {
  if (form.generation === 0 || form.workers > 1) {
    const paths = pathsOf(form, base);
    await findMissing(paths);
    return paths;
  }
  const { generation } = form;
  return [{
    storeLog: await whereIs(base.storeLog, generation),
    messagesFile: await whereIs(base.messagesFile, generation),
  }];
}

/** The content of one worker is in memory at a time. */
async function copyWorkers(sources: readonly StorePaths[], to: StorePaths): Promise<Counts> {
  return await writeParts(to, {
    parts: loadWorkers(sources),
    handshakes: (file) => {
      const paths = sources.map(({ storeLog }) => handshakesPath(storeLog));
      return writeHandshakes(paths, [file], oneProcess);
    },
  });
}

async function* loadWorkers(sources: readonly StorePaths[]): AsyncGenerator<ContentPart> {
  for (const source of sources) {
    const queues = await loadStoreLog(source.storeLog, 0);
    const messages = await loadMessages(source.messagesFile);
    const problems = [...queues.problems, ...messages.problems];
    if (problems.length > 0) throw corruptError(problems);
    yield { queues: queues.memory, messages: messages.memory };
  }
}

/** Some of the queues of a server, with their messages. */
export interface ContentPart {
  readonly queues: MemoryQueueStore;
  readonly messages: MemoryMessageStore;
}

/** How many there are of them. */
export interface Counts {
  readonly queues: number;
  readonly messages: number;
}

/**
 * Writes the files of one process, one part in memory at a time; suspended queues and messages of no queue are left out,
 * as no file of one process has them. Nothing is there unless all is. Throws `StoreError`.
 */
export async function writeParts(
  to: StorePaths,
  { parts, handshakes }: {
    readonly parts: AsyncIterable<ContentPart>;
    readonly handshakes: (file: LineFile) => Promise<void>;
  },
): Promise<Counts> {
  const places = { ...to, handshakes: handshakesPath(to.storeLog) };
  await using queueFile = await LineFile.open(systemIo, `${places.storeLog}.new`);
  await using messageFile = await LineFile.open(systemIo, `${places.messagesFile}.new`);
  await using handshakeFile = await LineFile.open(systemIo, `${places.handshakes}.new`);
  messageFile.add(messagesHeader);
  let [queueCount, messageCount] = [0, 0];
  for await (const { queues, messages } of parts) {
    for (const record of queues.records()) {
      if (record.suspended) {
        messages.deleteQueue(record.recipientId);
        continue;
      }
      for (const line of storeLogLines([record])) queueFile.add(line);
      await queueFile.drain();
      queueCount++;
    }
    dropUnknown(messages, queues);
    for (const [recipientId, message] of messages.messages()) {
      messageFile.add(messageLine(recipientId, message));
      await messageFile.drain();
    }
    messageCount += messages.size;
  }
  await handshakes(handshakeFile);
  for (const file of [queueFile, messageFile, handshakeFile]) await file.finish();
  for (const path of [places.storeLog, places.messagesFile, places.handshakes]) {
    try {
      await Deno.rename(`${path}.new`, path);
      await systemIo.syncDirectory(directoryOf(path));
    } catch (error) {
      throw ioError("write", path, error);
    }
  }
  return { queues: queueCount, messages: messageCount };
}

/** Nobody else can use what is copied, or where it is copied to, which stays as it is, lock files included. */
export async function lockForCopy(paths: readonly StorePaths[]): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  for (const { storeLog, messagesFile } of paths) {
    const locks = await lockLogs({ storeLog, messagesFile });
    for (const [i, { isNew, release }] of locks.entries()) {
      stack.defer(async () => {
        if (isNew) await Deno.remove(lockPath([storeLog, messagesFile][i]!)).catch(() => {});
        release();
      });
    }
  }
  return stack.move();
}
