import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { StoreError } from "../../../server/store/error.ts";
import { prepareFiles, workersProblem } from "../../../server/workers/files.ts";
import { workerOf } from "../../../server/workers/partition.ts";
import { openStores, storePaths, temporaryFolder } from "../../support/durable.ts";
import {
  addMessage,
  filesIn,
  fill,
  newId,
  newQueue,
  openWorkers,
  prepareFolder,
} from "../../support/worker_files.ts";

const permissions = { read: true, write: true };
const plain = ["smp-server-messages.log", "smp-server-store.log", "smp-server-store.log.handshakes"];

Deno.test(
  "the content is the same with 1, 2, 4, 3 workers and again with one process",
  { permissions },
  async () => {
    await using folder = await temporaryFolder();
    let expected, texts: string[] = [];
    {
      await using one = await openWorkers(folder.path, 1);
      await fill(one, 24);
      expected = await one.content();
    }
    assertEquals(filesIn(folder.path), plain);
    for (const workers of [2, 4, 3, 1]) {
      await using open = await openWorkers(folder.path, workers);
      const found = await open.content();
      assertEquals(found, expected);
      texts = [...texts, ...open.files.notices];
      // Each changes something that the next one must find.
      const kept = Object.keys(found.queues);
      const { queues, messages } = open.of(kept[0]!);
      await queues.delete(kept[0]!);
      await messages.deleteQueue(kept[0]!);
      await addMessage(open, kept[1]!);
      const made = newQueue(workers);
      await open.of(made.recipientId).queues.create(made);
      await addMessage(open, made.recipientId);
      await addMessage(open, made.recipientId);
      expected = await open.content();
      assertEquals(open.stores.length, workers);
    }
    assertEquals(filesIn(folder.path), plain);
    assertEquals(texts, [
      "wrote the files of one process anew for 2 workers: 24 queues",
      "wrote the files of 2 workers anew for 4 workers: 24 queues",
      "wrote the files of 4 workers anew for 3 workers: 24 queues",
      "wrote the files of 3 workers anew for one process: 24 queues",
    ]);
    await using stores = await openStores(folder.path);
    assertEquals(stores.queues.size, Object.keys(expected.queues).length);
  },
);

Deno.test("the files of one process are used as they are", { permissions }, async () => {
  await using folder = await temporaryFolder();
  {
    await using one = await openWorkers(folder.path, 1);
    await fill(one);
  }
  const { storeLog, messagesFile } = storePaths(folder.path);
  const before = await Promise.all([storeLog, messagesFile].map((path) => Deno.stat(path)));
  using files = await prepareFolder(folder.path, 1);
  assertEquals(files.files, [{ storeLog, messagesFile, aliases: null }]);
  assertEquals(files.notices, []);
  const after = await Promise.all([storeLog, messagesFile].map((path) => Deno.stat(path)));
  assertEquals(after.map(({ ino, mtime }) => [ino, mtime]), before.map(({ ino, mtime }) => [ino, mtime]));
  assertEquals(filesIn(folder.path), plain);
});

Deno.test("the files of workers are used as they are by as many workers", { permissions }, async () => {
  await using folder = await temporaryFolder();
  {
    await using two = await openWorkers(folder.path, 2);
    await fill(two);
  }
  const names = filesIn(folder.path);
  assertEquals(names, [
    ...["g1-w0", "g1-w1"].map((worker) => `smp-server-messages.log.${worker}`),
    ...["g1-w0", "g1-w1"].flatMap((worker) =>
      ["", ".aliases", ".handshakes"].map((end) => `smp-server-store.log.${worker}${end}`)
    ),
    "smp-server-store.log.workers",
  ]);
  assertEquals(
    await Deno.readTextFile(`${folder.path}/smp-server-store.log.workers`),
    "smp-workers 1 generation=1 workers=2 partitions=256\n",
  );
  for (const name of names) assertEquals((await Deno.stat(`${folder.path}/${name}`)).mode! & 0o777, 0o600);
  using files = await prepareFolder(folder.path, 2);
  assertEquals([files.notices, filesIn(folder.path)], [[], names]);
});

Deno.test("files of another number of partitions are written anew", { permissions }, async () => {
  await using folder = await temporaryFolder();
  let expected;
  {
    await using one = await openWorkers(folder.path, 1);
    await fill(one);
    expected = await one.content();
  }
  (await prepareFolder(folder.path, 2, { partitions: 4 }))[Symbol.dispose]();
  await using again = await openWorkers(folder.path, 2, { partitions: 16 });
  assertEquals(again.files.notices.length, 1);
  assertEquals(await again.content(), expected);
});

Deno.test(
  "a queue that is suspended is gone after a change, as after any start",
  { permissions },
  async () => {
    await using folder = await temporaryFolder();
    const queue = newQueue(1);
    {
      await using one = await openWorkers(folder.path, 1);
      await one.of(queue.recipientId).queues.create(queue);
      await addMessage(one, queue.recipientId);
      await one.of(queue.recipientId).queues.suspend(queue.recipientId, 1);
    }
    await using two = await openWorkers(folder.path, 2);
    assertEquals(await two.content(), { queues: {}, handshakes: [] });
    assertEquals(two.files.notices[0], "dropped 1 message of queues that are gone");
  },
);

Deno.test("messages of a queue that was deleted are not missed", { permissions }, async () => {
  await using folder = await temporaryFolder();
  {
    await using one = await openWorkers(folder.path, 1);
    const [a, b] = [newQueue(1), newQueue(2)];
    const { queues, messages } = one.of(a.recipientId);
    for (const queue of [a, b]) {
      await queues.create(queue);
      const id = await addMessage(one, queue.recipientId);
      if (queue === a) await messages.deleteQueue(queue.recipientId);
      else await messages.remove(queue.recipientId, id);
      await queues.delete(queue.recipientId);
    }
  }
  await Deno.remove(storePaths(folder.path).storeLog);
  using files = await prepareFolder(folder.path, 2);
  assertEquals(files.notices, ["wrote the files of one process anew for 2 workers: 0 queues"]);
});

Deno.test("logs in folders of their own, and behind links, stay there", { permissions }, async () => {
  await using folder = await temporaryFolder();
  for (const name of ["a", "b", "c"]) await Deno.mkdir(`${folder.path}/${name}`);
  await Deno.symlink(`${folder.path}/c/queues`, `${folder.path}/a/store.log`);
  const paths = { storeLog: `${folder.path}/a/store.log`, messagesFile: `${folder.path}/b/messages.log` };
  let expected;
  {
    await using one = await openWorkers(folder.path, 1, paths);
    await fill(one);
    expected = await one.content();
  }
  {
    await using three = await openWorkers(folder.path, 3, paths);
    assertEquals(await three.content(), expected);
    assert(filesIn(`${folder.path}/b`).every((name) => /^messages\.log\.g1-w\d$/.test(name)));
    assert(filesIn(`${folder.path}/c`).every((name) => /^queues\.(g1-w\d.*|workers)$/.test(name)));
  }
  await using one = await openWorkers(folder.path, 1, paths);
  assertEquals(await one.content(), expected);
  assertEquals([filesIn(`${folder.path}/b`), filesIn(`${folder.path}/c`)], [["messages.log"], [
    "queues",
    "queues.handshakes",
  ]]);
  assertEquals(filesIn(`${folder.path}/a`), ["store.log"]);
});

Deno.test("nobody uses or converts files that are in use", { permissions }, async () => {
  await using folder = await temporaryFolder();
  const refused = async (workers: number) => {
    const error = await assertRejects(() => prepareFolder(folder.path, workers), StoreError);
    assertEquals(error.code, "LOCKED");
  };
  {
    await using _one = await openStores(folder.path);
    for (const workers of [1, 2]) await refused(workers);
  }
  {
    await using _two = await openWorkers(folder.path, 2);
    for (const workers of [1, 2, 3]) await refused(workers);
    await assertRejects(() => openStores(folder.path), StoreError, "another server uses it");
  }
  // A worker may outlive the process that had started it.
  using files = await prepareFolder(folder.path, 2);
  await using worker = await openStores(folder.path, files.files[1]!);
  files[Symbol.dispose]();
  for (const workers of [1, 2, 3]) await refused(workers);
  assertEquals(filesIn(folder.path).filter((name) => name.endsWith("conversion")), []);
  const stop = new AbortController();
  const options = { patience: 1e9, signal: stop.signal };
  const stopped = assertRejects(() => prepareFolder(folder.path, 3, options), DOMException);
  stop.abort();
  await stopped;
  const waiting = prepareFolder(folder.path, 3, { patience: 1e9 });
  await worker.close();
  using three = await waiting;
  assertEquals(three.files.length, 3);
});

Deno.test(
  "whoever opens the files of one process is told when they are those of workers",
  { permissions },
  async () => {
    await using folder = await temporaryFolder();
    (await prepareFolder(folder.path, 2))[Symbol.dispose]();
    const error = await assertRejects(() => openStores(folder.path), StoreError, "without --workers");
    assertEquals(error.code, "FORM");
    assertEquals(filesIn(folder.path).filter((name) => plain.includes(name)), []);
  },
);

Deno.test("workers need the store log and the journal", () => {
  const settings = { storeLog: true, messages: "journal" } as const;
  assertEquals(workersProblem(settings, "the.ini"), null);
  assertStringIncludes(
    workersProblem({ ...settings, messages: "memory" }, "the.ini")!,
    "set messages: journal",
  );
  assertStringIncludes(workersProblem({ ...settings, storeLog: false }, "the.ini")!, "set enable: on");
});

Deno.test("numbers of workers and partitions that cannot be are refused", async () => {
  for (const workers of [0, 65, 1.5, NaN]) {
    await assertRejects(() => prepareFiles({ ...storePaths("nowhere"), workers }), RangeError, "workers");
  }
  for (const partitions of [0, 1, 3, 1 << 17, 2.5]) {
    const options = { ...storePaths("nowhere"), workers: 2, partitions };
    await assertRejects(() => prepareFiles(options), RangeError, "partitions");
  }
});

Deno.test(
  "handshakes of several workers become one file with the older ones first",
  { permissions },
  async () => {
    await using folder = await temporaryFolder();
    (await prepareFolder(folder.path, 3))[Symbol.dispose]();
    const { storeLog } = storePaths(folder.path);
    const counts = [30_000, 10_000, 20_000];
    for (const [worker, count] of counts.entries()) {
      const digests = Array.from({ length: count }, (_, i) => ((worker + 1) * 1_000_000 + i).toString(36));
      await Deno.writeTextFile(`${storeLog}.g1-w${worker}.handshakes`, digests.join("\n") + "\nnot one\n");
    }
    (await prepareFolder(folder.path, 1))[Symbol.dispose]();
    const lines = (await Deno.readTextFile(`${storeLog}.handshakes`)).trimEnd().split("\n");
    const found = lines.map((line) => Number.parseInt(line, 36));
    assertEquals(found.length, 60_000);
    // Wherever the file is cut, of each worker about as much is in front of it.
    for (const share of [0.25, 0.5, 0.75]) {
      const front = found.slice(0, found.length * share);
      for (const [worker, count] of counts.entries()) {
        const own = front.filter((digest) => Math.floor(digest / 1_000_000) === worker + 1).length;
        assert(Math.abs(own / count - share) < 0.5, `${own} of ${count}`);
      }
    }
    const ofFirst = found.filter((digest) => digest < 2_000_000);
    assertEquals(ofFirst, ofFirst.toSorted((a, b) => a - b));
  },
);

Deno.test("every worker has queues when the IDs are random", () => {
  for (const workers of [2, 3, 64]) {
    const counts = Array.from({ length: workers }, () => 0);
    for (let partition = 0; partition < 256; partition++) {
      counts[workerOf(newId(partition), { workers, partitions: 256 })]!++;
    }
    assert(Math.max(...counts) - Math.min(...counts) <= 1, `${counts}`);
  }
});
