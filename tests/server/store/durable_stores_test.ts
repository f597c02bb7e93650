import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { encodeBase64, encodePublicKeyText, randomBytes, textBytes } from "../../../protocol/mod.ts";
import { Metrics } from "../../../server/observe/metrics.ts";
import { copyStores, type DurableStores, verifyStores } from "../../../server/store/durable.ts";
import { StoreError } from "../../../server/store/error.ts";
import { type LogIo, systemIo } from "../../../server/store/log_io.ts";
import { loadMessages } from "../../../server/store/message_journal.ts";
import type { QueueRecord, StoredMessage } from "../../../server/store/store.ts";
import { fakeSigner } from "../../support/broker.ts";
import { openStores, storePaths, temporaryFolder } from "../../support/durable.ts";
import { soon, until } from "../../support/wait.ts";

const permissions = { read: true, write: true };
const reference = new URL("../../vectors/reference-store.log", import.meta.url);

function newQueue(senderKey: QueueRecord["senderKey"] = null): QueueRecord {
  const [recipientId, senderId] = [encodeBase64(randomBytes(12)), encodeBase64(randomBytes(12))];
  return {
    recipientId,
    senderId,
    recipientKey: fakeSigner().publicKey,
    senderKey,
    suspended: false,
    changedAt: 0,
  };
}

function newMessage(text: string, timestamp = new Date()): StoredMessage {
  return { id: encodeBase64(randomBytes(6)), timestamp, body: textBytes(text) };
}

/** All queues of stores, by recipient ID. */
async function queuesOf({ queues }: DurableStores): Promise<Map<string, QueueRecord>> {
  const found = new Map<string, QueueRecord>();
  for await (const record of queues.records()) found.set(record.recipientId, { ...record, changedAt: 0 });
  return found;
}

/** The texts of a queue's messages, which are removed. */
async function textsOf({ messages }: DurableStores, recipientId: string): Promise<string[]> {
  const texts: string[] = [];
  for (let first; (first = await messages.first(recipientId)) !== undefined;) {
    texts.push(new TextDecoder().decode(first.body));
    await messages.remove(recipientId, first.id);
  }
  return texts;
}

Deno.test("the store log has the records of the reference, byte for byte", { permissions }, async () => {
  // smp.md Store log
  await using folder = await temporaryFolder();
  const stores = await openStores(folder.path);
  const [one, two, three] = [newQueue(), newQueue(), newQueue()];
  const senderKey = fakeSigner().publicKey;
  for (const queue of [one, two, three]) await stores.queues.create(queue);
  await stores.queues.secure(one.recipientId, senderKey);
  await stores.queues.suspend(two.recipientId, 1);
  await stores.queues.delete(three.recipientId);
  const key = encodePublicKeyText;
  const create = ({ recipientId, senderId, recipientKey }: QueueRecord, sk = "") =>
    `CREATE rid=${recipientId} sid=${senderId} rk=${key(recipientKey)} sk=${sk}\n`;
  const { storeLog } = storePaths(folder.path);
  const changes = [
    `SECURE ${one.recipientId} ${key(senderKey)}\n`,
    `DELETE ${two.recipientId}\n`,
    `DELETE ${three.recipientId}\n`,
  ];
  assertEquals(
    await Deno.readTextFile(storeLog),
    [...[one, two, three].map((q) => create(q)), ...changes].join(""),
  );
  // OFF is logged as DELETE, but lasts as long as the server runs.
  assertEquals((await stores.queues.byRecipientId(two.recipientId))?.suspended, true);
  await stores.close();
  await (await openStores(folder.path)).close();
  assertEquals(await Deno.readTextFile(storeLog), create(one, key(senderKey)));
  assertEquals((await Deno.stat(storeLog)).mode! & 0o777, 0o600);
});

Deno.test("a log of the reference loads, large exponents included, and is written as it would", {
  permissions,
}, async () => {
  await using folder = await temporaryFolder();
  const { storeLog } = storePaths(folder.path);
  await Deno.copyFile(reference, storeLog);
  const text = await Deno.readTextFile(reference);
  const live = new Map<string, string>();
  for (const line of text.trimEnd().split("\n")) {
    const [word, first, second, rest] = line.split(/ (?:rid=)?(\S+) ?(\S*) ?(.*)/s);
    if (word === "CREATE") live.set(first!, `${second} ${rest}`);
    if (word === "SECURE") live.set(first!, live.get(first!)! + second);
    if (word === "DELETE") live.delete(first!);
  }
  await using stores = await openStores(folder.path);
  assert(live.size > 0);
  assertEquals(new Set((await queuesOf(stores)).keys()), new Set(live.keys()));
  // Waits for the compaction beside it.
  await stores.close();
  const written = (await Deno.readTextFile(storeLog)).trimEnd().split("\n");
  assertEquals(written, [...live].map(([rid, rest]) => `CREATE rid=${rid} ${rest}`));
});

Deno.test("a second key for a queue, which the reference logs although it refuses it, changes nothing", {
  permissions,
}, async () => {
  await using folder = await temporaryFolder();
  const stores = await openStores(folder.path);
  const queue = newQueue();
  const [right, wrong] = [fakeSigner().publicKey, fakeSigner().publicKey];
  await stores.queues.create(queue);
  await stores.queues.secure(queue.recipientId, right);
  await stores.close();
  const { storeLog } = storePaths(folder.path);
  const late = `SECURE ${queue.recipientId} ${encodePublicKeyText(wrong)}\nDELETE AAAA\nSECURE AAAA ${
    encodePublicKeyText(wrong)
  }\r\n`;
  await Deno.writeTextFile(storeLog, late, { append: true });
  await using again = await openStores(folder.path);
  assertEquals((await again.queues.byRecipientId(queue.recipientId))?.senderKey, right);
});

Deno.test(
  "a last line that is torn anywhere is dropped with a notice, and nothing else",
  { permissions },
  async () => {
    await using folder = await temporaryFolder();
    const { storeLog, messagesFile } = storePaths(folder.path);
    const first = await openStores(folder.path);
    const [kept, last] = [newQueue(), newQueue(fakeSigner().publicKey)];
    for (const queue of [kept, last]) await first.queues.create(queue);
    for (const text of ["kept", "last"]) await first.messages.append(kept.recipientId, newMessage(text));
    await first.close();
    for (const [file, isLog] of [[storeLog, true], [messagesFile, false]] as const) {
      const whole = await Deno.readTextFile(file);
      const end = whole.trimEnd().lastIndexOf("\n") + 1;
      // Every offset of the words, some of the keys.
      for (let at = end + 1; at < whole.length - 1; at += at < end + 60 || at > whole.length - 8 ? 1 : 29) {
        await Deno.writeTextFile(file, whole.slice(0, at));
        const stores = await openStores(folder.path);
        assert(stores.notices.some((notice) => notice.includes(`dropped the last line of ${file}`)), `${at}`);
        const queues = await queuesOf(stores);
        assertEquals(queues.has(last.recipientId), !isLog);
        assert(queues.has(kept.recipientId));
        assertEquals(stores.messages.size, isLog ? 2 : 1);
        await stores.close();
        // It has been written anew without it.
        assert((await Deno.readTextFile(file)).endsWith("\n"));
        await Deno.writeTextFile(file, whole);
      }
    }
  },
);

const damages: readonly (readonly [string, string])[] = [
  ["CREATE rid=AAAA sid=BBBB rk=rsa:AAAA sk=", "public key"],
  ["CREATE rid=AAAA sid=BBBB", "CREATE"],
  ["CREATE sid=AAAA rid=BBBB rk= sk=", "rid="],
  ["SECURE AAAA", "rsa:"],
  ["SECURE AAAA rsa:!", "base64"],
  ["DELETE", "record"],
  ["DELETE !", "record"],
  ["DELETE AAAA BBBB", "record"],
  ["delete AAAA", "record"],
  ["\u0000\u0001", "record"],
  ["x".repeat(3_000_000), "record"],
];

Deno.test(
  "a damaged line in the middle ends the start with its number and changes nothing",
  { permissions },
  async () => {
    await using folder = await temporaryFolder();
    const { storeLog } = storePaths(folder.path);
    const whole = await Deno.readTextFile(reference);
    for (const [damage, what] of damages) {
      const text = whole.replace("\n", `\n${damage}\n`);
      await Deno.writeTextFile(storeLog, text);
      const error = await assertRejects(() => openStores(folder.path), StoreError);
      assertEquals(error.code, "CORRUPT");
      for (const part of [storeLog, "line 2 ", what, "--repair"]) assertStringIncludes(error.message, part);
      assert(error.message.length < 1000);
      assertEquals(await Deno.readTextFile(storeLog), text);
      const { problems } = await verifyStores(storePaths(folder.path));
      assertEquals(problems.map(({ file, line }) => [file, line]), [[storeLog, 2]]);
      // The lock is free again.
      await Deno.writeTextFile(storeLog, whole);
      await (await openStores(folder.path)).close();
    }
  },
);

Deno.test("--repair goes on without the damaged lines and keeps the file", { permissions }, async () => {
  await using folder = await temporaryFolder();
  const { storeLog, messagesFile } = storePaths(folder.path);
  const first = await openStores(folder.path);
  const queue = newQueue();
  await first.queues.create(queue);
  for (const text of ["1", "2", "3"]) await first.messages.append(queue.recipientId, newMessage(text));
  await first.close();
  const lines = (await Deno.readTextFile(messagesFile)).split("\n");
  lines[2] = lines[2]!.replace("MSG", "MSX");
  for (const run of [1, 2]) {
    const damagedLog = `junk\n${await Deno.readTextFile(storeLog)}`;
    await Deno.writeTextFile(storeLog, damagedLog);
    if (run === 1) await Deno.writeTextFile(messagesFile, lines.join("\n"));
    const stores = await openStores(folder.path, { repair: true });
    assert(stores.notices.some((notice) => notice.includes(`${storeLog}.broken-${run}`)));
    assertEquals(await Deno.readTextFile(`${storeLog}.broken-${run}`), damagedLog);
    assertEquals((await Deno.stat(`${storeLog}.broken-${run}`)).mode! & 0o777, 0o600);
    assertEquals([...(await queuesOf(stores)).keys()], [queue.recipientId]);
    if (run === 2) assertEquals(await textsOf(stores, queue.recipientId), ["1", "3"]);
    await stores.close();
  }
  assertEquals(await Deno.readTextFile(`${messagesFile}.broken-1`), lines.join("\n"));
});

for (const messages of ["memory", "journal"] as const) {
  Deno.test(`messages: ${messages} is there after a stop, in order, and what was removed is not`, {
    permissions,
  }, async () => {
    await using folder = await temporaryFolder();
    const [one, two] = [newQueue(), newQueue()];
    const first = await openStores(folder.path, { messages });
    for (const queue of [one, two]) await first.queues.create(queue);
    for (let i = 0; i < 50; i++) {
      for (const { recipientId } of [one, two]) await first.messages.append(recipientId, newMessage(`${i}`));
    }
    for (let i = 0; i < 20; i++) {
      await first.messages.remove(one.recipientId, (await first.messages.first(one.recipientId))!.id);
    }
    await first.close();
    // Any mode reads what another one has written.
    for (const mode of ["journal", "memory", messages] as const) {
      await (await openStores(folder.path, { messages: mode })).close();
    }
    const again = await openStores(folder.path, { messages });
    assertEquals(again.messages.size, 80);
    assertEquals(await textsOf(again, one.recipientId), Array.from({ length: 30 }, (_, i) => `${i + 20}`));
    await again.queues.delete(two.recipientId);
    await again.close();
    const last = await openStores(folder.path, { messages });
    assertEquals(last.messages.size, 0);
    await last.close();
  });
}

Deno.test(
  "messages: memory leaves no file that could bring back what is acknowledged later",
  { permissions },
  async () => {
    await using folder = await temporaryFolder();
    const { messagesFile } = storePaths(folder.path);
    const queue = newQueue();
    const first = await openStores(folder.path, { messages: "memory" });
    await first.queues.create(queue);
    await first.messages.append(queue.recipientId, newMessage("once"));
    await first.close();
    assertEquals((await Deno.stat(messagesFile)).mode! & 0o777, 0o600);
    await using second = await openStores(folder.path, { messages: "memory" });
    assertEquals(await textsOf(second, queue.recipientId), ["once"]);
    await assertRejects(() => Deno.stat(messagesFile), Deno.errors.NotFound);
  },
);

Deno.test("a copy has no messages of queues that are gone, and can be started", { permissions }, async () => {
  await using folder = await temporaryFolder();
  await using other = await temporaryFolder();
  {
    await using stores = await openStores(folder.path);
    const queue = newQueue();
    await stores.queues.create(queue);
    await stores.messages.append(queue.recipientId, newMessage("x"));
    // smp.md Store log: after a restart the queue is gone.
    await stores.queues.suspend(queue.recipientId, 1);
  }
  const counts = await copyStores(storePaths(folder.path), storePaths(other.path));
  assertEquals(counts, { queues: 0, messages: 0 });
  await using _stores = await openStores(other.path);
  await Deno.remove(storePaths(folder.path).storeLog);
  await assertRejects(
    () => copyStores(storePaths(folder.path), storePaths(`${folder.path}/x`)),
    StoreError,
    "it is not there, but",
  );
});

for (const messages of ["journal", "memory"] as const) {
  for (const harm of ["not there", "damaged"] as const) {
    Deno.test(`messages: ${messages} of queues whose store log is ${harm} are not thrown away`, {
      permissions,
    }, async () => {
      await using folder = await temporaryFolder();
      const { storeLog, messagesFile } = storePaths(folder.path);
      const queue = newQueue();
      {
        await using stores = await openStores(folder.path, { messages });
        await stores.queues.create(queue);
        await stores.messages.append(queue.recipientId, newMessage("x"));
      }
      const [log, text] = [await Deno.readTextFile(storeLog), await Deno.readTextFile(messagesFile)];
      if (harm === "damaged") await Deno.writeTextFile(storeLog, log.replace("CREATE", "CR?ATE"));
      else await Deno.remove(storeLog);
      const error = await assertRejects(() => openStores(folder.path, { messages }), StoreError);
      assertEquals(error.code, "CORRUPT");
      assertStringIncludes(error.message, `Cannot read ${storeLog}: `);
      if (harm === "damaged") {
        assertEquals((await verifyStores({ storeLog, messagesFile })).problems.length, 1);
      } else await assertRejects(() => verifyStores({ storeLog, messagesFile }), StoreError, error.message);
      assertEquals(await Deno.readTextFile(messagesFile), text);
      {
        await using stores = await openStores(folder.path, { messages, repair: true });
        assertEquals([stores.queues.size, stores.messages.size], [0, 0]);
        const copy = `${messagesFile}.broken-1`;
        assertStringIncludes(stores.notices.join("\n"), `the file is kept as ${copy}`);
        assertEquals(await Deno.readTextFile(copy), text);
      }
      // By hand, from the copies.
      await Deno.writeTextFile(storeLog, log);
      await Deno.writeTextFile(messagesFile, text);
      await using stores = await openStores(folder.path, { messages });
      assertEquals(await textsOf(stores, queue.recipientId), ["x"]);
    });
  }
}

const fullDisks = [
  ["a full disk", () => Object.assign(new Error("full"), { code: "ENOSPC" }), "no space is left on the disk"],
  // As Deno says it.
  ["a used quota", () => new Error("Disk quota exceeded (os error 122)"), "no space is left for this user"],
] as const;
for (
  const [torn, [disk, full, reason]] of ["", "MSG AAAA"].flatMap((torn) =>
    fullDisks.map((disk) => [torn, disk] as const)
  )
) {
  const what = torn === "" ? "whole logs" : "a torn log";
  Deno.test(`on ${disk} ${what} can be read all the same, and written when there is room`, {
    permissions,
  }, async () => {
    await using folder = await temporaryFolder();
    const queue = newQueue();
    {
      await using stores = await openStores(folder.path);
      await stores.queues.create(queue);
      for (const text of ["a", "b"]) await stores.messages.append(queue.recipientId, newMessage(text));
    }
    await Deno.writeTextFile(storePaths(folder.path).messagesFile, torn, { append: true });
    let isFull = true;
    const io: LogIo = {
      ...systemIo,
      async open(path, isNew) {
        const file = await systemIo.open(path, isNew);
        const write = async (bytes: Uint8Array) => {
          if (isFull) throw full();
          return await file.write(bytes);
        };
        return { ...file, write };
      },
    };
    {
      await using stores = await openStores(folder.path, { io, fsyncInterval: 1, log: () => {} });
      assert(!stores.healthy);
      const first = (await stores.messages.first(queue.recipientId))!;
      assertEquals(first.body, textBytes("a"));
      const remove = () => stores.messages.remove(queue.recipientId, first.id);
      await assertRejects(remove, StoreError, reason);
      // Between two tries.
      await until(() => ![...Deno.readDirSync(folder.path)].some(({ name }) => name.endsWith("s.log.new")));
      isFull = false;
      await until(() => stores.healthy);
      await remove();
    }
    await using stores = await openStores(folder.path);
    assertEquals(await textsOf(stores, queue.recipientId), ["b"]);
  });
}

const harms: readonly (readonly [string, (path: string) => Promise<void>])[] = [
  ["removed", (path) => Deno.remove(path)],
  ["cut", (path) => Deno.truncate(path, 40)],
  ["emptied", (path) => Deno.truncate(path, 0)],
  ["replaced", async (path) => {
    await Deno.writeTextFile(`${path}.other`, "");
    await Deno.rename(`${path}.other`, path);
  }],
];
for (const [harm, spoil] of harms) {
  for (const noticed of ["by and by", "while nothing is stored", "when the server stops"]) {
    Deno.test(`logs that somebody has ${harm} under the server are written anew ${noticed}`, {
      permissions,
    }, async () => {
      await using folder = await temporaryFolder();
      const paths = Object.values(storePaths(folder.path));
      const [one, two] = [newQueue(), newQueue()];
      const logged: string[] = [];
      {
        const fsyncInterval = noticed === "when the server stops" ? 3_600_000 : 1;
        const log = (message: string) => void logged.push(message);
        await using stores = await openStores(folder.path, { fsyncInterval, log });
        const fill = async (queue: QueueRecord) => {
          await stores.queues.create(queue);
          await stores.messages.append(queue.recipientId, newMessage("x"));
        };
        await fill(one);
        for (const path of paths) await spoil(path);
        await fill(two);
        if (noticed === "while nothing is stored") {
          await until(() => logged.length === 2 && stores.healthy);
          logged.length = 0;
          for (const path of paths) await spoil(path);
        }
        if (noticed !== "when the server stops") {
          await until(() => logged.length === 2 && stores.healthy);
          const { queues, messages, problems } = await verifyStores(storePaths(folder.path));
          assertEquals([queues, messages, problems], [2, 2, []]);
        }
      }
      assertEquals(
        logged.toSorted(),
        paths.map((path) => `${path} was changed by somebody else, it will be written anew`).toSorted(),
      );
      await using stores = await openStores(folder.path);
      assertEquals([stores.queues.size, stores.messages.size], [2, 2]);
    });
  }
}

Deno.test("restore_messages: off neither reads nor writes the messages file", { permissions }, async () => {
  await using folder = await temporaryFolder();
  const { messagesFile } = storePaths(folder.path);
  await Deno.writeTextFile(messagesFile, "not touched");
  const options = { messages: "memory", restoreMessages: false } as const;
  const first = await openStores(folder.path, options);
  await first.messages.append("q", newMessage("gone"));
  await first.close();
  await using second = await openStores(folder.path, options);
  assertEquals([second.messages.size, await Deno.readTextFile(messagesFile)], [0, "not touched"]);
});

Deno.test(
  "messages of queues that are gone are not restored, and old ones are, as a clock may be wrong at the start",
  { permissions },
  async () => {
    await using folder = await temporaryFolder();
    const queue = newQueue();
    const first = await openStores(folder.path);
    await first.queues.create(queue);
    await first.messages.append(queue.recipientId, newMessage("old", new Date(0)));
    await first.messages.append(queue.recipientId, newMessage("young"));
    await first.messages.append("AAAA", newMessage("nobody's"));
    await first.close();
    await using again = await openStores(folder.path);
    assertEquals(await textsOf(again, queue.recipientId), ["old", "young"]);
    assertEquals(again.notices.filter((notice) => notice.startsWith("dropped 1 message ")).length, 1);
  },
);

for (const how of ["stop", "crash"]) {
  Deno.test(
    `messages that have expired do not come back after a ${how}, read or not, whatever the lifetime is then`,
    {
      permissions,
    },
    async () => {
      await using folder = await temporaryFolder();
      const { messagesFile } = storePaths(folder.path);
      const queue = newQueue();
      const first = await openStores(folder.path);
      await first.queues.create(queue);
      const messages = ["old", "old and read", "young and read", "young"].map((text) =>
        newMessage(text, new Date(text.startsWith("old") ? 1 : 1_000))
      );
      for (const message of messages) await first.messages.append(queue.recipientId, message);
      // The one is acknowledged while it expires, the other when it has been delivered before.
      const acknowledge = (i: number) => first.messages.remove(queue.recipientId, messages[i]!.id);
      const expiring = first.messages.expire(500);
      await Promise.all([acknowledge(1), expiring]);
      await acknowledge(0);
      await acknowledge(2);
      if (how === "stop") await first.close();
      else await Deno.copyFile(messagesFile, `${messagesFile}.crash`);
      await first.close();
      if (how === "crash") await Deno.rename(`${messagesFile}.crash`, messagesFile);
      await using again = await openStores(folder.path, {});
      assertEquals(await textsOf(again, queue.recipientId), ["young"]);
    },
  );
}

Deno.test("messages that expire while the disk fails are there until it works", { permissions }, async () => {
  await using folder = await temporaryFolder();
  const { messagesFile } = storePaths(folder.path);
  let isFull = false;
  const io: LogIo = {
    ...systemIo,
    open: async (path, isNew) => {
      const file = await systemIo.open(path, isNew);
      const write = (bytes: Uint8Array) => {
        if (isFull) throw new Error("no space left");
        return file.write(bytes);
      };
      return { ...file, write: async (bytes) => await write(bytes) };
    },
  };
  const stores = await openStores(folder.path, { io, log: () => {} });
  for (let i = 0; i < 2_500; i++) void stores.messages.append("AAAA", newMessage(`${i}`, new Date(1)));
  await stores.messages.append("AAAA", newMessage("young", new Date(1_000)));
  isFull = true;
  await assertRejects(() => stores.messages.expire(500), StoreError);
  assertEquals([stores.messages.size, (await loadMessages(messagesFile)).memory.size], [2_501, 2_501]);
  isFull = false;
  assertEquals(await stores.messages.expire(500), 2_500);
  assertEquals([stores.messages.size, (await loadMessages(messagesFile)).memory.size], [1, 1]);
  await stores.close();
});

Deno.test("a second server on the same log is refused, and may start when the first has gone", {
  permissions,
}, async () => {
  await using folder = await temporaryFolder();
  const first = await openStores(folder.path);
  const { storeLog, messagesFile } = storePaths(folder.path);
  const error = await assertRejects(() => openStores(folder.path), StoreError);
  assertEquals(error.code, "LOCKED");
  assertStringIncludes(error.message, storeLog);
  assert((await verifyStores({ storeLog, messagesFile })).locked);
  await assertRejects(
    () => copyStores({ storeLog, messagesFile }, storePaths(`${folder.path}/x`)),
    StoreError,
  );
  await first.close();
  assert(!(await verifyStores({ storeLog, messagesFile })).locked);
  await (await openStores(folder.path)).close();
});

Deno.test("files that cannot be used are named", { permissions }, async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/file`, "");
  await Deno.mkdir(`${folder.path}/directory.log`);
  const paths = [`${folder.path}/file/x/log`, `${folder.path}/directory.log`];
  for (const storeLog of paths) {
    const error = await assertRejects(() => openStores(folder.path, { storeLog }), StoreError);
    assertEquals(error.code, "IO");
    assertStringIncludes(error.message, folder.path);
  }
});

Deno.test("missing directories are made for their owner alone", { permissions }, async () => {
  await using folder = await temporaryFolder();
  await (await openStores(`${folder.path}/a/b`)).close();
  assertEquals((await Deno.stat(`${folder.path}/a/b`)).mode! & 0o777, 0o700);
});

Deno.test("closing twice is harmless", { permissions }, async () => {
  await using folder = await temporaryFolder();
  const stores = await openStores(folder.path);
  await Promise.all([stores.close(), stores.close()]);
  await stores.close();
});

Deno.test("any history, compacted at any time, is there after a restart", { permissions }, async () => {
  const step = fc.record({
    operation: fc.constantFrom(
      "create",
      "secure",
      "delete",
      "append",
      "append",
      "remove",
      "expire",
      "compact",
      "restart",
    ),
    queue: fc.nat(3),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 50 }), async (steps) => {
      await using folder = await temporaryFolder();
      let stores = await openStores(folder.path);
      const model = new Map<number, { record: QueueRecord; texts: string[] }>();
      let compacting: Promise<unknown> = Promise.resolve();
      for (const [i, { operation, queue }] of steps.entries()) {
        const found = model.get(queue);
        if (operation === "restart") {
          await compacting;
          await stores.close();
          stores = await openStores(folder.path);
        } else if (operation === "compact") {
          compacting = Promise.all([compacting, compact(stores)]);
        } else if (operation === "create" && found === undefined) {
          const record = newQueue();
          model.set(queue, { record, texts: [] });
          await stores.queues.create(record);
        } else if (found !== undefined) {
          const { recipientId } = found.record;
          if (operation === "secure" && found.record.senderKey === null) {
            const senderKey = fakeSigner().publicKey;
            found.record = { ...found.record, senderKey };
            await stores.queues.secure(recipientId, senderKey);
          } else if (operation === "delete") {
            model.delete(queue);
            await stores.messages.deleteQueue(recipientId);
            await stores.queues.delete(recipientId);
          } else if (operation === "append") {
            found.texts.push(`${i}`);
            await stores.messages.append(recipientId, newMessage(`${i}`, new Date(i)));
          } else if (operation === "expire") {
            for (const { texts } of model.values()) {
              while (texts.length > 0 && Number(texts[0]) < i - 5) texts.shift();
            }
            await stores.messages.expire(i - 5);
          } else if (operation === "remove" && found.texts.length > 0) {
            found.texts.shift();
            await stores.messages.remove(recipientId, (await stores.messages.first(recipientId))!.id);
          }
        }
      }
      await compacting;
      await stores.close();
      const last = await openStores(folder.path);
      const records = [...model.values()].map(({ record }) => [record.recipientId, record] as const);
      assertEquals(await queuesOf(last), new Map(records));
      for (const { record, texts } of model.values()) {
        assertEquals(await textsOf(last, record.recipientId), texts);
      }
      assertEquals(last.messages.size, 0);
      await last.close();
    }),
    { numRuns: 40 },
  );
});

/** Compacts both files. */
async function compact({ queues, messages }: DurableStores): Promise<void> {
  const logs: readonly object[] = [queues, messages];
  await Promise.all(
    logs.map((log) => "compact" in log && typeof log.compact === "function" && log.compact()),
  );
}

Deno.test("a store that is compacted again and again under load loses nothing", { permissions }, async () => {
  await using folder = await temporaryFolder();
  const metrics = new Metrics();
  const stores = await openStores(folder.path, { metrics });
  const queue = newQueue();
  await stores.queues.create(queue);
  const body = "x".repeat(2000);
  const appended: string[] = [];
  const append = async (i: number) => {
    const message = newMessage(`${i} ${body}`);
    await stores.messages.append(queue.recipientId, message);
    appended.push(`${i} ${body}`);
    if (i % 10 > 1) {
      await stores.messages.remove(queue.recipientId, message.id);
      appended.splice(appended.indexOf(`${i} ${body}`), 1);
    }
  };
  for (let i = 0; i < 2000; i += 20) {
    const appends = Array.from({ length: 20 }, (_, k) => append(i + k));
    // On a slow disk one compaction could go on to the end, and keep all that was written meanwhile.
    await soon(Promise.all(i % 200 === 0 ? [...appends, compact(stores)] : appends));
  }
  await stores.close();
  const { size } = await Deno.stat(storePaths(folder.path).messagesFile);
  // All that was written is about 5.5 MB, what is live 1.1 MB.
  assert(size < 5_000_000, `${size}`);
  await using again = await openStores(folder.path, { metrics });
  assertEquals(await textsOf(again, queue.recipientId), appended);
});
