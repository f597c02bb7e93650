import { counted } from "../../../cli/counted.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { encodeBase64, encodePublicKeyText } from "../../../protocol/mod.ts";
import { Metrics } from "../../../server/observe/metrics.ts";
import type { DurableOptions, DurableStores } from "../../../server/store/durable.ts";
import { StoreError } from "../../../server/store/error.ts";
import { HandshakeLog, handshakesPath } from "../../../server/store/handshake_log.ts";
import { lockPath } from "../../../server/store/lock.ts";
import { type LogIo, systemIo } from "../../../server/store/log_io.ts";
import { loadMessages } from "../../../server/store/message_journal.ts";
import { fakeSigner } from "../../support/broker.ts";
import { openStores, storePaths, temporaryFolder } from "../../support/durable.ts";
import { patience } from "../../support/wait.ts";

const permissions = { read: true, write: true };
/** So short that every place in the files can be tried. */
const { publicKey: key } = fakeSigner({ bits: 128 });
const keyText = encodePublicKeyText(key);

/** The system's files without syncs, which take most of the time. */
const io: LogIo = {
  ...systemIo,
  open: async (path, isNew) => ({ ...await systemIo.open(path, isNew), sync: () => Promise.resolve() }),
  syncDirectory: () => Promise.resolve(),
};

function open(folder: string, options: Partial<DurableOptions> = {}): Promise<DurableStores> {
  return openStores(folder, { io, ...options });
}

/** An ID, the same for the same number, and so short that there are fewer places to cut. */
function idOf(number: number): string {
  return encodeBase64(Uint8Array.of(number, 1, 2));
}

function createText(number: number, senderKey = ""): string {
  return `CREATE rid=${idOf(number)} sid=${idOf(number + 128)} rk=${keyText} sk=${senderKey}`;
}

function newRecord(number: number) {
  return {
    recipientId: idOf(number),
    senderId: idOf(number + 128),
    recipientKey: key,
    senderKey: null,
    suspended: false,
    changedAt: 0,
  };
}

/** Whether each queue is secured, by recipient ID. */
type Queues = ReadonlyMap<string, boolean>;

async function queuesOf({ queues }: DurableStores): Promise<Queues> {
  const found = new Map<string, boolean>();
  for await (const { recipientId, senderKey } of queues.records()) found.set(recipientId, senderKey !== null);
  return found;
}

/** What a text of whole lines says, by the rules of the original. */
function replay(lines: readonly string[]): Map<string, boolean> {
  const queues = new Map<string, boolean>();
  for (const line of lines) {
    const [word, first, , , senderKey] = line.split(" ");
    if (word === "CREATE") queues.set(first!.slice("rid=".length), senderKey !== "sk=");
    if (word === "SECURE") queues.set(first!, true);
    if (word === "DELETE") queues.delete(first!);
  }
  return queues;
}

/** A log in which each kind of record comes before and after the others. */
const records = [
  createText(1, keyText),
  createText(2),
  `SECURE ${idOf(2)} ${keyText}`,
  createText(3),
  `DELETE ${idOf(1)}`,
  createText(4, keyText),
];

/** What is behind the place where a file was cut. */
const tails = { "nothing": "", "NULs": "\0".repeat(50) };

/** How files are cut: one kind at every place, the others where something begins or ends. */
const cuts = [
  { name: "LF, cut anywhere and followed by nothing", lineEnd: "\n", after: tails.nothing, isAnywhere: true },
  {
    name: "CRLF, cut at any word and followed by NULs",
    lineEnd: "\r\n",
    after: tails.NULs,
    isAnywhere: false,
  },
  { name: "LF, cut at any word and followed by NULs", lineEnd: "\n", after: tails.NULs, isAnywhere: false },
  {
    name: "CRLF, cut at any word and followed by nothing",
    lineEnd: "\r\n",
    after: tails.nothing,
    isAnywhere: false,
  },
] as const;

/**
 * Where to cut a text: beside a space, `=`, `:` or end of a line, and at every other place if it is asked for, but only
 * once in words that come again.
 */
function placesIn(text: string, isAnywhere: boolean): number[] {
  const isNear = (at: number) => at < 2 || at > text.length - 2 || /[\s=:]/.test(text.slice(at - 1, at + 1));
  const inner = new Set<number>();
  const words = new Set<string>();
  for (const { 0: word, index } of isAnywhere ? text.matchAll(/\S+/g) : []) {
    for (let at = 0; !words.has(word) && at < word.length; at++) inner.add(index + at);
    words.add(word);
  }
  return Array.from({ length: text.length + 1 }, (_, at) => at).filter((at) => inner.has(at) || isNear(at));
}

for (const { name, lineEnd, after, isAnywhere } of cuts) {
  Deno.test(
    `a store log with ${name}, loses what was cut and nothing later`,
    {
      permissions,
    },
    async () => {
      await using folder = await temporaryFolder();
      const { storeLog } = storePaths(folder.path);
      const whole = records.map((line) => line + lineEnd).join("");
      for (const at of placesIn(whole, isAnywhere)) {
        await Deno.writeTextFile(storeLog, whole.slice(0, at) + after);
        const lines = whole.slice(0, at).split(lineEnd);
        const last = lines.pop()!.replace("\r", "");
        // A record that lacks nothing but the end of its line counts. Where only the sender key was cut off, the queue
        // is what it was before it was secured.
        const isWhole = after === "" && (records.includes(last) || last.endsWith(" sk="));
        const expected = replay(isWhole ? [...lines, last] : lines);

        const first = await open(folder.path);
        assertEquals(await queuesOf(first), expected, `cut at ${at}`);
        for (const number of [5, 6]) assert(await first.queues.create(newRecord(number)));
        await first.queues.secure(idOf(6), key);
        await first.close();
        const again = await open(folder.path);
        assertEquals(await queuesOf(again), new Map([...expected, [idOf(5), false], [idOf(6), true]]));
        assertEquals(again.notices, [`read ${counted(again.queues.size, "queue")} and 0 messages`]);
        await again.close();
      }
    },
  );
}

const time = "2026-01-02T03:04:05.678Z";

function messageText(id: number, body: string): string {
  return `MSG ${idOf(1)} ${idOf(id)} ${time} ${btoa(body)}`;
}

/** The texts of the messages in a file. */
async function textsIn(path: string): Promise<string[]> {
  const { memory } = await loadMessages(path);
  return [...memory.messages()].map(([, { body }]) => new TextDecoder().decode(body));
}

for (const { name, lineEnd, after, isAnywhere } of cuts) {
  Deno.test(
    `a message journal with ${name}, loses what was cut and nothing later`,
    {
      permissions,
    },
    async () => {
      await using folder = await temporaryFolder();
      const { storeLog, messagesFile } = storePaths(folder.path);
      await Deno.writeTextFile(storeLog, createText(1) + "\n");
      const lines = [
        "smp-messages 1",
        messageText(10, "first"),
        messageText(11, "second"),
        `ACK ${idOf(1)} ${idOf(10)}`,
        messageText(12, "third"),
        `CLEAR ${idOf(1)}`,
        messageText(13, "a body of more than one group"),
      ];
      const texts = [[], [], ["first"], ["first", "second"], ["second"], ["second", "third"], [], [
        "a body of more than one group",
      ]];
      const whole = lines.map((line) => line + lineEnd).join("");
      for (const at of placesIn(whole, isAnywhere)) {
        await Deno.writeTextFile(messagesFile, whole.slice(0, at) + after);
        // A CR says that the line was whole.
        const count = whole.slice(0, at).split(after === "" ? lineEnd[0]! : lineEnd).length - 1;
        const expected = texts[count]!;
        const first = await open(folder.path);
        assertEquals(await textsIn(messagesFile), expected, `cut at ${at}`);
        const body = new TextEncoder().encode("later");
        await first.messages.append(idOf(1), { id: idOf(20), timestamp: new Date(time), body });
        await first.close();
        await (await open(folder.path)).close();
        assertEquals(await textsIn(messagesFile), [...expected, "later"]);
      }
    },
  );
}

Deno.test("a handshakes file that is cut anywhere remembers what was not cut", { permissions }, async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/handshakes`;
  const digests = [1, 123_456_789, Number.MAX_SAFE_INTEGER, 77];
  const whole = digests.map((digest) => digest.toString(36) + "\n").join("");
  const options = { fsync: "off", fsyncInterval: 1, metrics: new Metrics(), log: () => {}, io } as const;
  for (const after of Object.values(tails)) {
    for (let at = 0; at <= whole.length; at++) {
      await Deno.writeTextFile(path, whole.slice(0, at) + after);
      const kept = digests.slice(0, whole.slice(0, at).split("\n").length - 1);
      const first = await HandshakeLog.open(path, options);
      for (const digest of kept) assert(!first.guard.remember(digest));
      await first.close();
      const text = await Deno.readTextFile(path);
      assert(text === "" || text.endsWith("\n") && !text.includes("\0"));
    }
  }
});

Deno.test("a DELETE that may have been cut off deletes no other queue", { permissions }, async () => {
  await using folder = await temporaryFolder();
  const { storeLog } = storePaths(folder.path);
  const create = (id: string, sender: string) => `CREATE rid=${id} sid=${sender} rk=${keyText} sk=\n`;
  const queues = create("AAAA", "BBBB") + create("AAAAAAAA", "CCCC") + create("DDDD", "EEEE");
  for (
    const [id, left] of [["AAAA", 3], ["AAA", 3], ["AAAAAAAA", 2], ["DDDD", 2], ["DDDDDDDD", 3]] as const
  ) {
    await Deno.writeTextFile(storeLog, `${queues}DELETE ${id}`);
    await using stores = await open(folder.path);
    assertEquals(stores.queues.size, left, id);
  }
});

Deno.test("a file of something else is neither taken for a torn log nor written over", {
  permissions,
}, async () => {
  await using folder = await temporaryFolder();
  const { storeLog, messagesFile } = storePaths(folder.path);
  const texts = [
    "not touched",
    "{}",
    "smp-messages 2",
    "-----BEGIN RSA PRIVATE KEY-----",
    "CREATED by hand",
    "\0\0x",
    "\x7fELF",
  ];
  for (const file of [storeLog, messagesFile]) {
    for (const text of texts) {
      await Deno.writeTextFile(file, text);
      const error = await assertRejects(() => open(folder.path), StoreError);
      assertEquals(error.code, "CORRUPT");
      assertEquals(await Deno.readTextFile(file), text);
    }
    await Deno.remove(file);
  }
});

for (const text of ["", "\n", "\r\n", "\r", "\n\n\n", "\0", "\0".repeat(3_000_000)]) {
  const name = text.length > 9 ? "three million NULs" : JSON.stringify(text);
  Deno.test(`logs with nothing but ${name} are empty logs`, { permissions }, async () => {
    await using folder = await temporaryFolder();
    const { storeLog, messagesFile } = storePaths(folder.path);
    for (const path of [storeLog, handshakesPath(storeLog), lockPath(storeLog)]) {
      await Deno.writeTextFile(path, text);
    }
    if (text === "" || text.startsWith("\0")) await Deno.writeTextFile(messagesFile, text);
    for (const size of [0, 1, 2]) {
      await using stores = await open(folder.path);
      assertEquals(stores.queues.size, size);
      await stores.queues.create(newRecord(size));
    }
  });
}

Deno.test("what a crash left beside the logs changes nothing", { permissions }, async () => {
  await using folder = await temporaryFolder();
  const { storeLog, messagesFile } = storePaths(folder.path);
  const left = createText(9) + "\n";
  for (let size = 0; size < 4; size++) {
    for (const path of [storeLog, messagesFile, handshakesPath(storeLog)]) {
      // Longer than what is written over it, and cut.
      for (const suffix of [".new", ".compact"]) {
        await Deno.writeTextFile(path + suffix, left.repeat(20).slice(0, -size));
      }
    }
    await using stores = await open(folder.path);
    assertEquals(stores.queues.size, size);
    await stores.queues.create(newRecord(size));
    // Makes the next start compact beside its work.
    await stores.queues.secure(idOf(size), key);
  }
});

Deno.test("a directory in the place of a file is named, and nothing else is changed", {
  permissions,
}, async () => {
  const names = storePaths("");
  const lock = lockPath(names.storeLog), handshakes = handshakesPath(names.storeLog);
  for (const name of [names.storeLog, names.messagesFile, lock, handshakes, `${handshakes}.new`]) {
    await using folder = await temporaryFolder();
    await Deno.writeTextFile(storePaths(folder.path).storeLog, createText(1) + "\n");
    if (name === names.storeLog) await Deno.remove(folder.path + name);
    await Deno.mkdir(folder.path + name);
    const error = await assertRejects(() => open(folder.path), StoreError);
    assertEquals(error.code, "IO");
    assertStringIncludes(error.message, folder.path + name.replace(/\.new$/, ""));
    await Deno.remove(folder.path + name);
    await using stores = await open(folder.path);
    assertEquals(stores.queues.size, name === names.storeLog ? 0 : 1);
  }
});

/** Lines with two or more records, as an append to a line without an end made them, and what is known of them. */
const joined: readonly (readonly [string, Queues])[] = [
  [createText(5) + createText(6), new Map([[idOf(1), false], [idOf(5), false], [idOf(6), false]])],
  [createText(5) + `SECURE ${idOf(5)} ${keyText}`, new Map([[idOf(1), false], [idOf(5), true]])],
  [`SECURE ${idOf(1)} ${keyText}DELETE ${idOf(1)}`, new Map()],
  [`DELETE ${idOf(1)}${createText(5)}`, new Map([[idOf(5), false]])],
  [
    `SECURE ${idOf(1)} ${keyText}${createText(5)}${createText(6)}`,
    new Map([[idOf(1), true], [idOf(5), false], [
      idOf(6),
      false,
    ]]),
  ],
  // What is torn was never answered.
  [createText(5).slice(0, -20) + createText(6), new Map([[idOf(1), false], [idOf(6), false]])],
  [`DELETE ${idOf(1).slice(0, 2)}${createText(5)}`, new Map([[idOf(1), false], [idOf(5), false]])],
  ["\0\0\0\0" + createText(5), new Map([[idOf(1), false], [idOf(5), false]])],
  [createText(5) + "\0\0" + createText(6), new Map([[idOf(1), false], [idOf(6), false]])],
  // Nobody knows what this was.
  ["junk" + createText(5), new Map([[idOf(1), false]])],
  [createText(5) + "junk " + createText(6), new Map([[idOf(1), false]])],
  [createText(5) + ` DELETE ${idOf(1)}`, new Map([[idOf(1), false]])],
];

for (const [i, [line, expected]] of joined.entries()) {
  Deno.test(`--repair takes the records that ran together in one line as far as they are whole, ${i + 1}`, {
    permissions,
  }, async () => {
    await using folder = await temporaryFolder();
    const { storeLog } = storePaths(folder.path);
    for (const lineEnd of ["\n", ""]) {
      const text = `${createText(1)}\n${line}${lineEnd}`;
      await Deno.writeTextFile(storeLog, text);
      const error = await assertRejects(() => open(folder.path), StoreError);
      assertStringIncludes(error.message, "line 2 is damaged: ");
      const stores = await open(folder.path, { repair: true });
      assertEquals(await queuesOf(stores), expected);
      const isLost = line.includes("junk") || line.includes(" DELETE") && line.startsWith("CREATE");
      const what = isLost
        ? `left out line 2 of ${storeLog}`
        : "the records that had run together in line 2 of";
      assert(stores.notices.some((notice) => notice.includes(what)), stores.notices.join());
      await stores.close();
      await using again = await open(folder.path);
      assertEquals(await queuesOf(again), expected);
    }
  });
}

Deno.test("--repair takes a file of nothing but joined lines in time that grows with its length", {
  permissions,
}, async () => {
  await using folder = await temporaryFolder();
  const { storeLog } = storePaths(folder.path);
  const lines = 500_000, start = performance.now();
  await Deno.writeTextFile(storeLog, createText(1) + "\n" + "DELETE AAAADELETE AAAA\n".repeat(lines));
  await using stores = await openStores(folder.path, { repair: true });
  // Squared, it would be minutes.
  assert(performance.now() - start < patience);
  assertEquals(stores.queues.size, 1);
  assertStringIncludes(stores.notices.join("\n"), `and ${lines - 10} more of ${storeLog}`);
});

Deno.test("what is said of damaged lines is one sentence, for one line and for many", {
  permissions,
}, async () => {
  await using folder = await temporaryFolder();
  const { storeLog } = storePaths(folder.path);
  const named = [
    [1, "line 1 is damaged: it is not", "left out line 1 of"],
    [2, "lines 1 and 2 are damaged (line 1: it is not", "left out lines 1 and 2 of"],
    [3, "lines 1, 2 and 3 are damaged (line 1", "left out lines 1, 2 and 3 of"],
    [12, "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more are damaged", "9, 10 and 2 more of"],
  ] as const;
  for (const [count, message, notice] of named) {
    await Deno.writeTextFile(storeLog, "junk\n".repeat(count));
    await assertRejects(() => open(folder.path), StoreError, message);
    await using stores = await open(folder.path, { repair: true });
    assert(stores.notices.some((one) => one.includes(notice)), stores.notices.join());
  }
});
