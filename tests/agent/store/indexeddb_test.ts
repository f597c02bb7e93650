import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { deleteDB, type IDBPDatabase, openDB } from "idb";
import dumps from "../../vectors/agent/indexeddb_v2.json" with { type: "json" };
import { readBackup, writeBackup } from "../../../agent/backup.ts";
import { IndexedDbStore, StoreError } from "../../../agent/store/indexeddb.ts";
import { deserialize } from "../../../agent/store/serialize.ts";
import { MemoryStore } from "../../../agent/store/memory.ts";
import { SqliteStore } from "../../../agent/store/sqlite.ts";
import type { AgentStore, StoreChange } from "../../../agent/store/store.ts";
import { asciiText, textBytes } from "../../../protocol/mod.ts";
import { temporaryDatabase } from "../../support/indexeddb.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { soon } from "../../support/wait.ts";
import {
  emptyConnection,
  everything,
  frameRecord,
  fullConnection,
  heldFrame,
  messageRecord,
  pieceRecord,
  put,
  putMessage,
  putQueued,
  sessionConnection,
  sessionMessage,
} from "./samples.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const locked = { passphrase: "correct horse", iterations: 1000 };

const test = (name: string, run: () => Promise<void>) => Deno.test(name, { permissions: "none" }, run);

async function assertFails(
  action: () => Promise<unknown>,
  code: StoreError["code"],
  text: string,
): Promise<void> {
  const error = await assertRejects(action, StoreError);
  assertEquals(error.code, code, error.message);
  assertStringIncludes(error.message, text);
}

/** All that is in a database, as text. */
async function contents(name: string): Promise<string> {
  const database = await openDB(name);
  const rows = await Promise.all([...database.objectStoreNames].map((table) => database.getAll(table)));
  database.close();
  return JSON.stringify(
    rows,
    (_, value) => value instanceof Uint8Array ? asciiText(new Uint8Array(value.buffer)) : value,
  );
}

async function all(store: AgentStore): Promise<StoreChange[]> {
  return await Array.fromAsync(store.snapshot());
}

/** The state that is left when a page has opened a database, done something and was closed. */
async function using<T>(
  name: string,
  options: Parameters<typeof IndexedDbStore.open>[1],
  use: (store: IndexedDbStore) => Promise<T>,
): Promise<T> {
  await using store = await IndexedDbStore.open(name, options);
  return await use(store);
}

test("what was committed is there after the database was opened again", async () => {
  for (const options of [{}, locked]) {
    await using database = temporaryDatabase();
    await using(database.name, options, (store) => store.commit(everything()));
    const memory = new MemoryStore();
    await memory.commit(everything());
    const found = await using(database.name, options, async (store) => [
      await store.connections(),
      await store.deliveries("a-out", 100),
      await store.messages("a"),
      await store.messages("s"),
      await store.frames("s", 0, 100),
      await store.held("s", 4),
      await store.pieces("s"),
      await store.undelivered("s", 0, 100, 100),
      await store.events(0, 100),
      await store.discarded(),
    ]);
    assertEquals(found, [
      await memory.connections(),
      await memory.deliveries("a-out", 100),
      await memory.messages("a"),
      await memory.messages("s"),
      await memory.frames("s", 0, 100),
      await memory.held("s", 4),
      await memory.pieces("s"),
      await memory.undelivered("s", 0, 100, 100),
      await memory.events(0, 100),
      await memory.discarded(),
    ]);
  }
});

test("every transaction that writes waits for the disk", async () => {
  await using database = temporaryDatabase();
  const { transaction } = IDBDatabase.prototype;
  const relaxed: unknown[] = [];
  IDBDatabase.prototype.transaction = function (names, mode, options) {
    if (mode === "readwrite" && options?.durability !== "strict") relaxed.push(names);
    return transaction.call(this, names, mode, options);
  };
  try {
    await using(database.name, locked, async (store) => {
      await store.commit(everything());
      await store.prune(10);
      await store.changePassphrase("another");
      await store.changePassphrase(null);
    });
  } finally {
    IDBDatabase.prototype.transaction = transaction;
  }
  assertEquals(relaxed, []);
});

test("a limit of nothing gives nothing, and a large one all", async () => {
  await using database = temporaryDatabase();
  await using store = await IndexedDbStore.open(database.name);
  await store.commit(everything());
  for (const limit of [0, -1, NaN]) {
    const found = [await store.deliveries("a-out", limit), await store.events(0, limit)];
    assertEquals(found, [[], []], `${limit}`);
  }
  for (const limit of [2 ** 32, Number.MAX_SAFE_INTEGER, Infinity]) {
    const found = [await store.deliveries("a-out", limit), await store.events(0, limit)];
    assertEquals(found.map(({ length }) => length), [2, 6], `${limit}`);
  }
});

test("a closed store refuses everything", async () => {
  await using database = temporaryDatabase();
  const store = await IndexedDbStore.open(database.name);
  await store[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  assertEquals(await store.closed, null);
  await assertFails(() => store.commit(put(emptyConnection("b"))), "WRITE", "it is closed");
  await assertFails(() => store.prune(1), "WRITE", "it is closed");
  await assertFails(() => store.messages("a"), "READ", "it is closed");
  await assertFails(() => all(store), "READ", "it is closed");
});

test("frames and messages that are not delivered are found by any numbers", async () => {
  await using database = temporaryDatabase();
  await using store = await IndexedDbStore.open(database.name);
  const numbers = [1, 2, 3, 4];
  await store.commit([
    ...put(fullConnection("a")),
    ...numbers.map((number) => ({ type: "put frame", frame: frameRecord("a", number) } as const)),
    ...numbers.map((number) => {
      const message = { ...sessionMessage("a", 10 * number, number), delivered: number === 2 };
      return { type: "put message", message } as const;
    }),
  ]);
  const frames = async (after: number, limit: number) =>
    (await store.frames("a", after, limit)).map(({ number }) => number);
  const undelivered = async (from: number, to: number, limit: number) =>
    (await store.undelivered("a", from, to, limit)).map(({ number }) => number);
  for (const limit of [0, -1, NaN]) {
    assertEquals([await frames(0, limit), await undelivered(0, 4, limit)], [[], []], `${limit}`);
  }
  for (const limit of [2 ** 32, Number.MAX_SAFE_INTEGER, Infinity]) {
    const found = [await frames(-Infinity, limit), await undelivered(-Infinity, Infinity, limit)];
    assertEquals(found, [numbers, [1, 3, 4]], `${limit}`);
  }
  assertEquals([await undelivered(3, 2, 9), await undelivered(3, 3, 9)], [[], [3]]);
  assertEquals([await frames(4, 9), await frames(Infinity, 9)], [[], []]);
});

test("with a passphrase only IDs, order, times, done and delivered can be read", async () => {
  const [body, plaintext] = [textBytes("the body"), textBytes("the plaintext")];
  const [frame, message] = [textBytes("the frame"), textBytes("encrypted")];
  const held = { ...heldFrame("s", 9), frame: textBytes("held back") };
  const piece = { ...pieceRecord("s", 8), piece: textBytes("a piece") };
  const changes: StoreChange[] = [
    ...everything(),
    { type: "put message", message: { ...messageRecord("a", 7), body } },
    { type: "put outbox", entry: { ...outbox("a", 20), plaintext } },
    { type: "put frame", frame: { ...frameRecord("s", 9), frame, message } },
    { type: "put held", held },
    { type: "put piece", piece },
  ];
  const secrets = [
    "the body",
    "the plaintext",
    "alias of",
    "example",
    "initiator",
    "active",
    "it failed",
    "NO_ID",
    "the frame",
    "encrypted",
    "held back",
    "a piece",
    "10000 10001",
    "three.example",
    "smp::one",
  ];
  for (const options of [{}, locked]) {
    await using database = temporaryDatabase();
    await using(database.name, options, (store) => store.commit(changes));
    const stored = await contents(database.name);
    const found = secrets.filter((secret) => stored.includes(secret));
    assertEquals(found, "passphrase" in options ? [] : secrets);
  }
});

function outbox(connection: string, position: number) {
  const [change] = putQueued(connection, position);
  return (change as Extract<StoreChange, { type: "put outbox" }>).entry;
}

test("nothing is left in any table of what was deleted", async () => {
  for (const options of [{}, locked]) {
    await using database = temporaryDatabase();
    const { name } = database;
    await using(name, options, async (store) => {
      await store.commit(everything());
      await store.commit([
        { type: "delete receiving", connection: "a", id: "a-in" },
        { type: "delete sending", connection: "a", id: "a-out" },
        { type: "delete inbound", connection: "s", id: "s-inbound" },
        { type: "delete outbound", connection: "s", id: "s-outbound" },
      ]);
    });
    const others = ["connections", "discarded_queues", "events", "frames", "held_frames", "messages"];
    const always = ["owner", ...("passphrase" in options ? ["passphrase"] : [])];
    assertEquals(await filled(name), [...others, ...always, "session_keys", "sessions"]);
    await using(name, options, async (store) => {
      await store.commit(everything());
      await store.commit([
        ...["a", "b", "s"].map((connection) => ({ type: "delete connection", connection } as const)),
        { type: "delete discarded", id: "old" },
      ]);
    });
    assertEquals(await filled(name), always);
  }
});

test("old messages and what was to go by a route are deleted, however many there are", async () => {
  await using database = temporaryDatabase();
  await using store = await IndexedDbStore.open(database.name);
  const numbers = Array.from({ length: 2100 }, (_, i) => i + 1);
  await store.commit([
    ...put(fullConnection("a")),
    ...numbers.map((id) =>
      ({ type: "put message", message: { ...messageRecord("a", id), done: true } }) as const
    ),
    ...numbers.flatMap((position) => putQueued("a", position)),
  ]);
  assertEquals(await store.prune(2050), 2049);
  await store.commit([{ type: "delete sending", connection: "a", id: "a-out" }]);
  assertEquals((await all(store)).map(({ type }) => type), [
    "put connection",
    "put receiving",
    ...Array.from({ length: 51 }, () => "put message"),
  ]);
});

/** The names of the tables that have rows. */
async function filled(name: string): Promise<string[]> {
  const database = await openDB(name);
  const names: string[] = [];
  for (const table of database.objectStoreNames) {
    if (await database.count(table) > 0) names.push(table);
  }
  database.close();
  return names.toSorted();
}

test("a snapshot has all of what is large, while it is changed", async () => {
  await using database = temporaryDatabase();
  await using store = await IndexedDbStore.open(database.name, locked);
  const numbers = Array.from({ length: 70 }, (_, i) => i + 1);
  const size = (number: number) => number % 16 === 0 ? 100_000 : number;
  await store.commit([
    ...put(emptyConnection("a")),
    ...numbers.map((number) => {
      const frame = { ...frameRecord("a", number), frame: new Uint8Array(size(number)).fill(number) };
      return { type: "put frame", frame } as const;
    }),
  ]);
  const found: number[] = [];
  for await (const change of store.snapshot()) {
    if (change.type !== "put frame") continue;
    const { number, frame } = change.frame;
    assertEquals([frame.length, frame.at(-1)], [size(number), number]);
    found.push(number);
    await store.commit([{ type: "delete frame", connection: "a", number: 71 - number }]);
  }
  assertEquals(found, numbers);
  assertEquals(await store.frames("a", 0, 100), []);
});

test("a value that was moved to another row is refused", async () => {
  await using database = temporaryDatabase();
  await using(
    database.name,
    locked,
    (store) => store.commit([...put(fullConnection("a")), putMessage("a", 1), putMessage("a", 2)]),
  );
  const raw = await openDB(database.name);
  const [one, two] = await raw.getAll("messages");
  await raw.put("messages", { ...two, body: one.body });
  raw.close();
  await using store = await IndexedDbStore.open(database.name, locked);
  await store.message("a", 1);
  await assertFails(() => store.message("a", 2), "READ", "was changed");
});

test("a passphrase is needed, and can be given until there is something", async () => {
  await using database = temporaryDatabase();
  const { name } = database;
  await using(name, {}, () => Promise.resolve());
  await using(name, locked, (store) => store.commit(everything()));
  await assertFails(() => IndexedDbStore.open(name), "PASSPHRASE", "needs its passphrase");
  await assertFails(() => IndexedDbStore.open(name, { passphrase: "correct Horse" }), "PASSPHRASE", "wrong");
  assertEquals((await using(name, locked, (store) => store.messages("a"))).length, 2);
  await using other = temporaryDatabase();
  await using(other.name, {}, (store) => store.commit(put(emptyConnection("a"))));
  await assertFails(() => IndexedDbStore.open(other.name, locked), "PASSPHRASE", "without a passphrase");
});

test("a passphrase is set, changed and removed, while reads and commits go on", async () => {
  await using database = temporaryDatabase();
  const { name } = database;
  let expected: StoreChange[] = [];
  let from: { readonly passphrase?: string } = {};
  let id = 100;
  await using(name, {}, (store) => store.commit(everything()));
  for (const next of ["one", "two", null, "three"]) {
    await using(name, { ...from, iterations: 1000 }, async (store) => {
      const commits = () => store.commit([putMessage("a", id++)]);
      const before = commits();
      const changing = store.changePassphrase(next);
      const after = commits();
      const reading = async () => {
        for (let i = 0; i < 5; i++) {
          assertEquals((await store.connections()).length, 3);
          assert((await all(store)).length > 10);
        }
      };
      await Promise.all([before, changing, after, reading()]);
      expected = await all(store);
    });
    const stored = await contents(name);
    assertEquals(stored.includes("alias of"), next === null);
    if (from.passphrase !== undefined && next !== null) {
      await assertFails(() => IndexedDbStore.open(name, from), "PASSPHRASE", "wrong");
    }
    from = next === null ? {} : { passphrase: next };
    assertEquals(await using(name, from, all), expected);
  }
  await using store = await IndexedDbStore.open(name, from);
  await assertFails(() => store.changePassphrase(""), "PASSPHRASE", "is empty");
  await store.changePassphrase(null);
  await assertFails(() => store.changePassphrase(null), "PASSPHRASE", "has none");
});

test("a database of a newer version is told and left alone", async () => {
  await using database = temporaryDatabase();
  (await openDB(database.name, 1000)).close();
  // The second time its lock was given back.
  for (let i = 0; i < 2; i++) {
    await assertFails(() => IndexedDbStore.open(database.name), "OPEN", "newer version");
  }
});

test("what is stored does not keep the block alive that it is a part of", async () => {
  await using database = temporaryDatabase();
  await using(database.name, {}, async (store) => {
    const block = new Uint8Array(4096);
    const message = { ...messageRecord("a", 1), body: block.subarray(10, 20) };
    await store.commit([...put(fullConnection("a")), { type: "put message", message }]);
  });
  assert((await contents(database.name)).length < 4096);
});

test("a database is used by one page at a time, until another takes it", async () => {
  await using database = temporaryDatabase();
  const { name } = database;
  const first = await IndexedDbStore.open(name);
  await first.commit(put(fullConnection("a")));
  await assertFails(() => IndexedDbStore.open(name), "IN_USE", "another agent uses it");
  await using second = await IndexedDbStore.open(name, { steal: true });
  const error = await soon(first.closed);
  assertEquals(error?.code, "IN_USE");
  const calls: (() => Promise<unknown>)[] = [
    () => first.commit([putMessage("a", 1)]),
    () => first.prune(1),
    () => first.changePassphrase("x"),
    () => first.connections(),
    () => first.waitingRoutes(),
    () => all(first),
  ];
  for (const call of calls) await assertFails(call, "IN_USE", "another page has taken it");
  await first[Symbol.asyncDispose]();
  await second.commit([putMessage("a", 2)]);
  assertEquals((await second.messages("a")).map(({ id }) => id), [2]);
  // The lock is the second's.
  await assertFails(() => IndexedDbStore.open(name), "IN_USE", "another agent uses it");
});

test("a store that has lost its database writes nothing, even before it is told", async () => {
  await using database = temporaryDatabase();
  const { name } = database;
  const first = await IndexedDbStore.open(name);
  await first.commit(put(fullConnection("a")));
  // Another page's, as this one sees it before it hears of its lock.
  const raw = await openDB(name);
  await raw.put("owner", "another page", 1);
  raw.close();
  await assertFails(() => first.commit([putMessage("a", 1)]), "IN_USE", "another page has taken it");
  assertEquals((await soon(first.closed))?.code, "IN_USE");
  await using second = await IndexedDbStore.open(name);
  assertEquals(await second.messages("a"), []);
});

test("what the loser says is committed is there, and nothing else, whenever it is stolen", async () => {
  await using database = temporaryDatabase();
  const { name } = database;
  await using(name, {}, (store) => store.commit(put(fullConnection("a"))));
  let store = await IndexedDbStore.open(name);
  for (let round = 0; round < 20; round++) {
    const kept: number[] = [];
    let isLost = false;
    const writing = (async () => {
      for (let id = 1; !isLost; id++) {
        await store.commit([putMessage("a", round * 1000 + id)])
          .then(() => kept.push(round * 1000 + id), () => isLost = true);
      }
    })();
    for (let i = 0; i < round; i++) await Promise.resolve();
    const thief = await IndexedDbStore.open(name, { steal: true });
    const found = await thief.messages("a", { limit: 1000, before: (round + 1) * 1000 });
    await soon(writing);
    const mine = (ids: readonly number[]) => ids.filter((id) => id >= round * 1000);
    assertEquals(mine(found.map(({ id }) => id)), kept);
    assertEquals((await thief.messages("a", { limit: 1000 })).length, found.length);
    store = thief;
  }
  await store[Symbol.asyncDispose]();
});

test("of several thieves at once the last has the database", async () => {
  await using database = temporaryDatabase();
  const { name } = database;
  await using(name, {}, (store) => store.commit(put(fullConnection("a"))));
  const opening = Array.from({ length: 5 }, () => IndexedDbStore.open(name, { steal: true }));
  const stores = await Promise.all(opening);
  const last = stores.pop()!;
  for (const store of stores) assertEquals((await soon(store.closed))?.code, "IN_USE");
  await last.commit([putMessage("a", 1)]);
  await last[Symbol.asyncDispose]();
  assertEquals(await last.closed, null);
});

test("a page can delete or update a database that another has open", async () => {
  const ways: ((name: string) => Promise<unknown>)[] = [
    IndexedDbStore.delete,
    deleteDB,
    async (name) => (await openDB(name, 1000)).close(),
  ];
  for (const way of ways) {
    await using database = temporaryDatabase();
    const store = await IndexedDbStore.open(database.name);
    await store.commit(put(fullConnection("a")));
    await soon(way(database.name));
    assertEquals((await soon(store.closed))?.code, "IN_USE");
    await assertFails(() => store.commit([putMessage("a", 1)]), "IN_USE", "another page");
  }
  await using database = temporaryDatabase();
  await IndexedDbStore.delete(database.name);
  await using(database.name, locked, (store) => store.commit(everything()));
  await IndexedDbStore.delete(database.name);
  await using store = await IndexedDbStore.open(database.name);
  assertEquals(await all(store), []);
});

test("a page that does not let go of a database keeps others from waiting for ever", async () => {
  const ways: ((name: string) => Promise<unknown>)[] = [IndexedDbStore.open, IndexedDbStore.delete];
  await Promise.all(ways.map(async (way) => {
    await using database = temporaryDatabase();
    const { name } = database;
    const raw = await openDB(name, 1, { upgrade: makeFirst });
    await assertFails(() => soon(way(name)), "IN_USE", "another agent uses it");
    raw.close();
    await using store = await soon(IndexedDbStore.open(name));
    assertEquals(await all(store), []);
  }));
});

/** The tables of version 1. */
function makeFirst(database: IDBPDatabase): void {
  for (const name of ["connections", "receiving", "sending"]) {
    database.createObjectStore(name, { keyPath: "alias" });
  }
  database.createObjectStore("outbox", { keyPath: ["alias", "position"] });
  database.createObjectStore("messages", { keyPath: ["alias", "id"] }).createIndex("at", "at");
  database.createObjectStore("passphrase");
}

/** Makes a database as version 1 did. */
async function writeFirst(name: string, passphrase?: string): Promise<void> {
  let seal = (plaintext: Bytes) => Promise.resolve(plaintext);
  const database = await openDB(name, 1, { upgrade: makeFirst });
  if (passphrase !== undefined) {
    const salt = new Uint8Array(16).fill(7);
    const base = await crypto.subtle.importKey("raw", textBytes(passphrase), "PBKDF2", false, ["deriveKey"]);
    const key = await crypto.subtle.deriveKey(
      { name: "PBKDF2", hash: "SHA-256", salt, iterations: 1000 },
      base,
      { name: "AES-GCM", length: 256 },
      false,
      ["encrypt"],
    );
    seal = async (plaintext) => {
      const iv = crypto.getRandomValues(new Uint8Array(16));
      const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, plaintext));
      // The tag stood before the ciphertext.
      return Uint8Array.from([...iv, ...sealed.subarray(-16), ...sealed.subarray(0, -16)]);
    };
    const proof = await seal(textBytes("SMP agent store"));
    await database.put("passphrase", { salt, iterations: 1000, proof }, 1);
  }
  const { receiving, sending } = fullConnection("x");
  const [{ keys: receivingKeys }, { keys: sendingKeys }] = [receiving[0]!, sending[0]!];
  const connection = (alias: string, createdAt: number, state: object) => ({
    alias,
    createdAt,
    state: { role: "joiner", reply: true, receiving: "none", sending: "new", connected: false, ...state },
    lastMessageId: 12,
    lastSent: { id: 5, hash: Uint8Array.of(14) },
    lastReceived: { id: 15, hash: Uint8Array.of(16) },
    lastServerId: "bGFzdA==",
    lastPlaintextHash: Uint8Array.of(17),
    suspended: true,
    unreadable: 18,
  });
  // One in use, one that is being joined, one whose joining was given up.
  await database.put(
    "connections",
    connection("zoe", 1, { receiving: "active", sending: "active", connected: true }),
  );
  await database.put("connections", connection("bob", 2, {}));
  await database.put("connections", connection("al", 3, {}));
  await database.put("receiving", {
    alias: "zoe",
    ...receivingKeys,
    recipientKey: await seal(receivingKeys.recipientKey),
    decryptionKey: await seal(receivingKeys.decryptionKey),
  });
  for (const alias of ["zoe", "bob", "al"]) {
    await database.put("sending", {
      alias,
      ...sendingKeys,
      senderKey: await seal(sendingKeys.senderKey),
      signingKey: await seal(sendingKeys.signingKey),
    });
  }
  const entry = async (alias: string, position: number, kind: string) => ({
    alias,
    position,
    kind,
    messageId: kind === "MSG" ? 12 : 0,
    plaintext: await seal(Uint8Array.of(position)),
    createdAt: 5,
    attempted: true,
  });
  await database.put("outbox", await entry("zoe", 16, "MSG"));
  await database.put("outbox", await entry("bob", 1, "KEY"));
  const message = async (id: number, at: number, done: boolean, serverId: string | null) => ({
    alias: "zoe",
    id,
    body: await seal(Uint8Array.of(id)),
    at,
    done,
    received: serverId && { integrity: { type: "OK" }, serverId, serverAt: 6, senderId: id, senderAt: 8 },
  });
  await database.put("messages", await message(9, 30, false, "bGFzdA=="));
  await database.put("messages", await message(10, 20, false, "b3RoZXI="));
  await database.put("messages", await message(11, 40, true, "ZG9uZQ=="));
  await database.put("messages", await message(12, 50, false, null));
  database.close();
}

test("what version 1 has stored is there, with a passphrase or without, once", async () => {
  for (const passphrase of [undefined, locked.passphrase]) {
    const options = passphrase === undefined ? {} : { passphrase };
    await using database = temporaryDatabase();
    const { name } = database;
    await writeFirst(name, passphrase);
    if (passphrase !== undefined) {
      await assertFails(() => IndexedDbStore.open(name), "PASSPHRASE", "needs its passphrase");
      await assertFails(() => IndexedDbStore.open(name, { passphrase: "x" }), "PASSPHRASE", "wrong");
    } else {
      await assertFails(() => IndexedDbStore.open(name, locked), "PASSPHRASE", "without a passphrase");
    }
    await using(name, options, async (store) => {
      const connections = await store.connections();
      const [zoe, bob, al] = connections as [
        typeof connections[0],
        typeof connections[0],
        typeof connections[0],
      ];
      const { id } = zoe!.record;
      const full = fullConnection("x");
      assertEquals(zoe!.record, {
        ...full.record,
        id,
        alias: "zoe",
        createdAt: 1,
        lastSent: { id: 5, hash: Uint8Array.of(14) },
        lastPosition: 16,
        extensions: [],
      });
      assertEquals(zoe!.receiving, [{
        ...full.receiving[0]!,
        id: zoe!.receiving[0]!.id,
        status: "active",
        unacknowledged: [{ id: 9, serverId: "bGFzdA==" }],
      }]);
      assertEquals(zoe!.sending, [{ ...full.sending[0]!, id: zoe!.sending[0]!.id }]);
      assertEquals([bob!.record.alias, bob!.receiving, bob!.sending[0]!.status], ["bob", [], "new"]);
      assertEquals([al!.record.alias, al!.sending[0]!.status, al!.record.extensions], ["al", "failed", null]);
      const [queued] = await store.deliveries(zoe!.sending[0]!.id, 10);
      assertEquals([queued!.plaintext, queued!.attempted, queued!.giveUpAt], [Uint8Array.of(16), true, null]);
      const [key] = await store.deliveries(bob!.sending[0]!.id, 10);
      assertEquals([key!.kind, key!.giveUpAt], ["KEY", 5 + 2 * 86_400_000]);
      const messages = await store.messages(id);
      assertEquals(messages.map(({ id, done }) => [id, done]), [[9, false], [10, false], [11, true], [
        12,
        false,
      ]]);
      assertEquals(messages.map(({ body }) => body[0]), [9, 10, 11, 12]);
      assertEquals(messages[3]!.received, null);
      const events = await store.events(0, 10);
      assertEquals(events.map(({ event }) => event), [{ type: "message", id: 10 }, {
        type: "message",
        id: 9,
      }]);
    });
    const once = await using(name, options, all);
    assertEquals(await using(name, options, all), once);
    assertEquals((await contents(name)).includes("zoe"), passphrase === undefined);
  }
});

test("a move from version 1 that ended in the middle is made when it is opened again", async () => {
  await using database = temporaryDatabase();
  const { name } = database;
  await writeFirst(name, locked.passphrase);
  const { clear } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.clear = function () {
    if (this.name === "first_messages") throw new Error("the page is closed");
    return clear.call(this);
  };
  try {
    await assertFails(() => IndexedDbStore.open(name, locked), "OPEN", "the page is closed");
  } finally {
    IDBObjectStore.prototype.clear = clear;
  }
  await using store = await IndexedDbStore.open(name, locked);
  assertEquals((await store.connections()).map(({ record }) => record.alias), ["zoe", "bob", "al"]);
});

test("an empty database of version 1 keeps its passphrase", async () => {
  await using database = temporaryDatabase();
  const { name } = database;
  await writeFirst(name, locked.passphrase);
  const raw = await openDB(name, 1);
  for (const table of ["connections", "receiving", "sending", "outbox", "messages"]) await raw.clear(table);
  raw.close();
  await assertFails(() => IndexedDbStore.open(name), "PASSPHRASE", "needs its passphrase");
  assertEquals(await using(name, locked, all), []);
  await assertFails(() => IndexedDbStore.open(name), "PASSPHRASE", "needs its passphrase");
});

/** A database that a program with version 2 has made, as `serialize` writes it, and what that program read in it. */
interface Dump {
  readonly version: number;
  readonly stores: readonly {
    readonly name: string;
    readonly keyPath: string | string[] | null;
    readonly autoIncrement: boolean;
    readonly indexes: readonly {
      readonly name: string;
      readonly keyPath: string | string[];
      readonly unique: boolean;
    }[];
    readonly rows: readonly { readonly key?: number; readonly value: unknown }[];
  }[];
  readonly snapshot: readonly StoreChange[];
}

/** Makes a database of a dump; gives what was read in it. */
async function restore(name: string, dump: object): Promise<readonly StoreChange[]> {
  const { version, stores, snapshot } = deserialize(textBytes(JSON.stringify(dump))) as Dump;
  const database = await openDB(name, version, {
    upgrade(database) {
      for (const { name, keyPath, autoIncrement, indexes } of stores) {
        const store = database.createObjectStore(name, { keyPath, autoIncrement });
        for (const { name, keyPath, unique } of indexes) store.createIndex(name, keyPath, { unique });
      }
    },
  });
  for (const { name, rows } of stores) {
    for (const { key, value } of rows) await database.put(name, value, key);
  }
  database.close();
  return snapshot;
}

test("what version 2 has stored stays, and sessions can be kept beside it", async () => {
  for (const [dump, options] of [[dumps.plain, {}], [dumps.passphrase, locked]] as const) {
    await using database = temporaryDatabase();
    const { name } = database;
    const expected = (await restore(name, dump)).map((change) =>
      change.type === "put message"
        ? { ...change, message: { ...change.message, number: null, delivered: false } }
        : change
    );
    await using(name, options, async (store) => {
      assertEquals(await all(store), expected);
      await store.commit([
        { type: "message delivered", connection: "a", id: 1 },
        { type: "put message", message: sessionMessage("a", 3, 1) },
        ...put(sessionConnection("s")),
      ]);
    });
    await using(name, options, async (store) => {
      assertEquals(await store.undelivered("a", 0, Infinity, 10), [{ id: 3, number: 1 }]);
      assertEquals((await store.connections())[2], sessionConnection("s"));
      const ids = (await store.messages("a")).map(({ id, delivered }) => [id, delivered]);
      assertEquals(ids, [[1, true], [2, false], [3, false]]);
    });
  }
});

Deno.test("a backup moves everything between memory, SQLite and IndexedDB", async () => {
  const options = { passphrase: "of the file", iterations: 10 };
  const sorted = async (store: AgentStore) =>
    (await all(store)).map((change) =>
      JSON.stringify(
        change,
        (_, value) =>
          value === null || typeof value !== "object" || Array.isArray(value)
            ? value
            : Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => a < b ? -1 : 1)),
      )
    ).toSorted();
  await using database = temporaryDatabase();
  await using folder = await temporaryFolder();
  let files = 0;
  const stores = async () => [
    new MemoryStore(),
    await SqliteStore.open(`${folder.path}/${files++}.db`),
    await IndexedDbStore.open(database.name, locked),
  ];
  for (const i of [0, 1, 2]) {
    const some = await stores();
    const from = some[i]!;
    await from.commit(everything());
    const file = await new Response(writeBackup(from, options)).blob();
    const expected = await sorted(from);
    for (const store of some) await store[Symbol.asyncDispose]();
    await IndexedDbStore.delete(database.name);
    for (const to of await stores()) {
      assertEquals(await readBackup(to, file.stream(), options), {
        connections: 3,
        messages: 4,
        servers: [],
      });
      assertEquals(await sorted(to), expected, `${i}`);
      await to[Symbol.asyncDispose]();
    }
    await IndexedDbStore.delete(database.name);
  }
});
