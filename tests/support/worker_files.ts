import { assertEquals } from "@std/assert";
import { encodeBase64, encodePublicKeyText, type PublicKey, randomBytes } from "../../protocol/mod.ts";
import type { DurableStores } from "../../server/store/durable.ts";
import { type LogIo, systemIo } from "../../server/store/log_io.ts";
import type { QueueRecord } from "../../server/store/store.ts";
import { loadAliases } from "../../server/workers/aliases.ts";
import { prepareFiles, type WorkerFiles, type WorkerFilesOptions } from "../../server/workers/files.ts";
import { workerOf, workerOfHandshake } from "../../server/workers/partition.ts";
import { fakeSigner } from "./broker.ts";
import { openStores, storePaths } from "./durable.ts";

/** Makes the files of a folder those of some workers. */
export function prepareFolder(
  folder: string,
  workers: number,
  options: Partial<WorkerFilesOptions> = {},
): Promise<WorkerFiles> {
  return prepareFiles({ ...storePaths(folder), workers, patience: 0, ...options });
}

/** The system's files for who does not want to wait for the disk. */
export const quickIo: LogIo = {
  ...systemIo,
  async open(path, isNew) {
    return { ...await systemIo.open(path, isNew), sync: () => Promise.resolve() };
  },
  syncDirectory: () => Promise.resolve(),
};

/** What a server has: queues by recipient IDs with sender ID, sender key and IDs of messages; and handshakes. */
export interface Content {
  readonly queues: Readonly<Record<string, readonly [senderId: string, key: string, ...messages: string[]]>>;
  readonly handshakes: readonly number[];
}

/** All stores of a server while they are open. */
export interface OpenWorkers extends AsyncDisposable {
  readonly files: WorkerFiles;
  readonly stores: readonly DurableStores[];
  /** The stores that have a queue. */
  of(recipientId: string): DurableStores;
  /** What is in all of them; also proves that each sender ID leads to its queue. */
  content(): Promise<Content>;
}

/** Opens the files of a folder as some workers would. */
export async function openWorkers(
  folder: string,
  workers: number,
  options: Partial<WorkerFilesOptions> = {},
): Promise<OpenWorkers> {
  await using cleanup = new AsyncDisposableStack();
  const files = cleanup.use(await prepareFolder(folder, workers, options));
  const { repair = false, io } = options;
  const stores: DurableStores[] = [];
  for (const { storeLog, messagesFile } of files.files) {
    stores.push(cleanup.use(await openStores(folder, { storeLog, messagesFile, repair, ...(io && { io }) })));
  }
  const aliases = await Promise.all(
    files.files.map(({ aliases }) => aliases === null ? null : loadAliases(aliases)),
  );
  const kept = cleanup.move();
  return {
    files,
    stores,
    of: (recipientId) => stores[workerOf(recipientId, files)]!,
    async content() {
      const queues: Record<string, [string, string, ...string[]]> = {}, handshakes: number[] = [];
      for (const [worker, { queues: found, messages, replayGuard }] of stores.entries()) {
        for await (const { recipientId, senderId, senderKey, suspended } of found.records()) {
          if (suspended) continue;
          assertEquals(workerOf(recipientId, files), worker);
          const other = workerOf(senderId, files);
          if (other !== worker) assertEquals(aliases[other]!.get(senderId), recipientId);
          const key = senderKey === null ? "" : encodePublicKeyText(senderKey);
          const ids: string[] = [];
          for (let id = ""; ids.length < await messages.count(recipientId); ids.push(id)) {
            id = (await (id === "" ? messages.first(recipientId) : messages.next(recipientId, id)))!.id;
          }
          queues[recipientId] = [senderId, key, ...ids];
        }
        const digests = [...replayGuard.digests()];
        assertEquals(digests.filter((digest) => workerOfHandshake(digest, files) !== worker), []);
        handshakes.push(...digests);
      }
      const sorted = Object.entries(queues).toSorted(([a], [b]) => a < b ? -1 : 1);
      return { queues: Object.fromEntries(sorted), handshakes: handshakes.toSorted((a, b) => a - b) };
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** 12 random bytes, the first of which may be said. */
export function newId(first?: number): string {
  const bytes = randomBytes(12);
  if (first !== undefined) bytes.set([0, first]);
  return encodeBase64(bytes);
}

const keys = [fakeSigner(), fakeSigner()].map(({ publicKey }): PublicKey => publicKey);

/** A new queue in a partition; its sender ID is in another one when that is said. */
export function newQueue(partition: number, senderPartition = partition): QueueRecord {
  return {
    recipientId: newId(partition),
    senderId: newId(senderPartition),
    recipientKey: keys[0]!,
    senderKey: null,
    suspended: false,
    changedAt: 0,
  };
}

/** The key of the sender of a queue that is secured. */
export const senderKey: PublicKey = keys[1]!;

/** Adds a message to a queue; gives its ID. */
export async function addMessage(open: OpenWorkers, recipientId: string, length = 100): Promise<string> {
  const id = newId();
  await open.of(recipientId).messages.append(recipientId, {
    id,
    timestamp: new Date(1_700_000_000_000),
    body: randomBytes(length),
  });
  return id;
}

/** Queues of all sorts with messages, and handshakes, on a server that is open. */
export async function fill(open: OpenWorkers, count = 12): Promise<QueueRecord[]> {
  const made: QueueRecord[] = [];
  for (let i = 0; i < count; i++) {
    // Half of them are of the time when the two IDs had nothing to do with each other.
    const queue = newQueue(i % 8, i % 2 === 0 ? i % 8 : (i * 5 + 3) % 8);
    made.push(queue);
    const { queues, messages, replayGuard } = open.of(queue.recipientId);
    await queues.create(queue);
    if (i % 3 === 0) await queues.secure(queue.recipientId, senderKey);
    const ids = [];
    for (let n = 0; n < i % 5; n++) ids.push(await addMessage(open, queue.recipientId));
    if (i % 6 === 4) {
      await messages.deleteQueue(queue.recipientId);
      ids.splice(0, ids.length, await addMessage(open, queue.recipientId));
    }
    if (i % 4 === 3) await messages.remove(queue.recipientId, ids[0]!);
    await replayGuard.isNew(handshake());
  }
  return made;
}

function handshake() {
  const [sndKey, rcvKey, sndBaseIv, rcvBaseIv] = [32, 32, 16, 16].map((length) => randomBytes(length));
  return { sndKey: sndKey!, rcvKey: rcvKey!, sndBaseIv: sndBaseIv!, rcvBaseIv: rcvBaseIv! };
}

/** The names of the files of a folder but the locks and the socket of a server that runs. */
export function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => !/\.(lock|sock)$/.test(name))
    .toSorted();
}
