import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { BackupError, type BackupErrorCode, readBackup, writeBackup } from "../../agent/backup.ts";
import { maxFrame, openFrames, sealFrames } from "../../agent/backup_file.ts";
import { MemoryStore } from "../../agent/store/memory.ts";
import { serialize } from "../../agent/store/serialize.ts";
import { type AgentStore, type StoreChange, StoreError } from "../../agent/store/store.ts";
import { asciiText, joinParts, ParseError, textBytes } from "../../protocol/mod.ts";
import {
  everything,
  farewell,
  frameRecord,
  fullConnection,
  fullSession,
  heldFrame,
  inboundRoute,
  messageRecord,
  outboundRoute,
  pieceRecord,
  put,
  putMessage,
  repairStages,
  sessionConnection,
  withoutSessions,
} from "./store/samples.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const passphrase = "correct horse";
const fast = { passphrase, iterations: 10 };
/** Magic, version, iterations, salt, check. */
const headerLength = 56;

async function storeWith(changes: readonly StoreChange[]): Promise<MemoryStore> {
  const store = new MemoryStore();
  await store.commit(changes);
  return store;
}

async function all(store: AgentStore): Promise<StoreChange[]> {
  return await Array.fromAsync(store.snapshot());
}

async function backupOf(changes: readonly StoreChange[]): Promise<Bytes> {
  const stream = writeBackup(await storeWith(changes), fast);
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Big enough for several frames. */
function large(messages = 10): StoreChange[] {
  const ids = Array.from({ length: messages }, (_, i) => i + 20);
  return [
    ...everything(),
    ...ids.map((id) => {
      const message = { ...messageRecord("a", id), body: new Uint8Array(20_000).fill(id) };
      return { type: "put message", message } as const;
    }),
  ];
}

/** A file that is authentic, with any contents. */
async function forged(...contents: readonly Bytes[]): Promise<Bytes> {
  return joinParts(
    await Array.fromAsync(sealFrames(
      async function* () {
        yield* contents;
      }(),
      fast,
    )),
  );
}

function change(value: object): Bytes {
  const bytes = serialize(value);
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, bytes.length);
  return joinParts([length, bytes]);
}

async function* chunks(bytes: Uint8Array, size = 10_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Where each frame begins, and where the file ends. */
function framesOf(file: Bytes): number[] {
  const view = new DataView(file.buffer);
  const starts = [headerLength];
  while (starts.at(-1)! < file.length) {
    const start = starts.at(-1)!;
    starts.push(start + 4 + (view.getUint32(start) & 0x7fffffff) + 16);
  }
  assertEquals(starts.at(-1), file.length);
  return starts;
}

/** Reading fails, and nothing is in the store. */
async function assertRefused(file: Uint8Array, code: BackupErrorCode, text = ""): Promise<void> {
  const store = new MemoryStore();
  const error = await assertRejects(() => readBackup(store, chunks(file), { passphrase }), BackupError, text);
  assertEquals([error.code, await all(store)], [code, []], error.message);
}

const test = (name: string, run: () => Promise<void>) => Deno.test(name, { permissions: "none" }, run);

test("a backup has all that is in a store, in frames of bounded size", async () => {
  for (const changes of [[], everything(), large()]) {
    const file = await backupOf(changes);
    const frames = framesOf(file);
    for (const [i, start] of frames.slice(0, -1).entries()) assert(frames[i + 1]! - start <= 65_536 + 4);
    const store = new MemoryStore();
    const messages = changes.filter(({ type }) => type === "put message").length;
    assertEquals(await readBackup(store, chunks(file), { passphrase }), {
      servers: [],
      connections: changes.length === 0 ? 0 : 3,
      messages,
    });
    assertEquals(await all(store), await all(await storeWith(changes)));
  }
});

Deno.test("a backup that version 1 has written is read, whose messages are of no session", async () => {
  const file = await Deno.readFile(new URL("../vectors/agent/v1.backup", import.meta.url));
  const store = new MemoryStore();
  await readBackup(store, chunks(file), { passphrase });
  assertEquals(await all(store), await all(await storeWith(withoutSessions())));
});

test("a session with as much as it can have comes back from a backup as it was", async () => {
  const session = fullSession();
  const key = new Uint8Array(32).fill(1);
  const pair = session.keys.pair!;
  const ranges = Array.from({ length: 64 }, (_, i) => [2 * i + 10, 2 * i + 10] as const);
  const whole = {
    ...session,
    ratchet: {
      ...session.ratchet!,
      turn: {
        side: "other",
        pair,
        sending: { chainKey: key, number: 2 ** 32 - 1, ciphertext: new Uint8Array(1088) },
      },
      known: Array.from({ length: 32 }, () => key),
      skipped: Array.from({ length: 2000 }, (_, number) => ({ dh: key, number, key, at: 1e12 })),
    },
    stored: { upTo: 8, ranges },
  } as const;
  const changes = put({ ...sessionConnection("s"), session: whole });
  const store = new MemoryStore();
  await readBackup(store, chunks(await backupOf(changes)), { passphrase });
  assertEquals(await all(store), await all(await storeWith(changes)));
});

test("a repair that is under way comes back from a backup, however far it is", async () => {
  for (const stage of repairStages()) {
    const session = fullSession();
    const former = [new Uint8Array(8).fill(18), new Uint8Array(8).fill(19)];
    const repair = { doneAt: 6600, asked: 6700, called: 0, former, stage };
    const keys = { ...session.keys, upgradedAt: 6500, isSlow: true, repair };
    const lastSent = { id: 4, hash: new Uint8Array(32).fill(20) };
    const later = { number: 31, lastSent, ownKey: new Uint8Array(32).fill(22) };
    const fork = { number: 29, lastSent, ownKey: new Uint8Array(32).fill(21), later };
    const tags = new Uint8Array(128).fill(23);
    const whole = { ...session, keys, fork, copies: 1030, heardAt: 7000, parted: true, tags };
    const changes: StoreChange[] = [
      ...put({ ...sessionConnection("s"), session: whole }),
      { type: "put discarded", queue: farewell("gone") },
    ];
    const store = new MemoryStore();
    await readBackup(store, chunks(await backupOf(changes)), { passphrase });
    assertEquals(await all(store), await all(await storeWith(changes)));
  }
});

test("a backup is read from a stream, and from chunks of any size", async () => {
  const file = await backupOf(everything());
  const expected = await all(await storeWith(everything()));
  for (const size of [1, 7, file.length]) {
    const store = new MemoryStore();
    await readBackup(store, chunks(file, size), { passphrase });
    assertEquals(await all(store), expected);
  }
  const store = new MemoryStore();
  await readBackup(store, new Blob([file]).stream(), { passphrase });
  assertEquals(await all(store), expected);
});

test("a message of 1 MiB and an outbox entry and a ratchet message of 4 MiB fit", async () => {
  const changes = everything().map((change): StoreChange => {
    if (change.type === "put frame" && change.frame.number === 1) {
      const [frame, message] = [new Uint8Array((1 << 20) + 64), new Uint8Array(4 << 20)];
      return { ...change, frame: { ...change.frame, frame, message } };
    }
    if (change.type === "put held" && change.held.number === 4) {
      return { ...change, held: { ...change.held, frame: new Uint8Array(4 << 20) } };
    }
    if (change.type === "put message") {
      return { ...change, message: { ...change.message, body: new Uint8Array(1 << 20) } };
    }
    if (change.type !== "put outbox" || change.entry.position !== 1) return change;
    return { ...change, entry: { ...change.entry, plaintext: new Uint8Array(4 << 20) } };
  });
  const store = new MemoryStore();
  await readBackup(store, chunks(await backupOf(changes), 65_536), { passphrase });
  assertEquals(await all(store), await all(await storeWith(changes)));
});

test("nothing that is stored can be read in a backup, and none is like another", async () => {
  const body = textBytes("the body of this message");
  const changes: StoreChange[] = [
    ...everything(),
    { type: "put message", message: { ...messageRecord("a", 9), body } },
  ];
  const [one, two] = [await backupOf(changes), await backupOf(changes)];
  const text = asciiText(one);
  for (
    const secret of ["the body", btoa("the body of"), "alias", "example", "connection", "type", "put message"]
  ) {
    assert(!text.includes(secret), secret);
  }
  const same = one.filter((byte, i) => i >= headerLength + 4 && byte === two[i]).length;
  assert(same < one.length / 50, `${same} of ${one.length}`);
});

test("an empty passphrase is refused, a wrong one is told", async () => {
  assertThrows(() => writeBackup(new MemoryStore(), { passphrase: "" }), RangeError, "passphrase");
  const file = await backupOf(everything());
  const store = new MemoryStore();
  for (const wrong of ["", "correct Horse"]) {
    const reading = () => readBackup(store, chunks(file), { passphrase: wrong });
    assertEquals((await assertRejects(reading, BackupError)).code, "PASSPHRASE");
  }
  assertEquals(await all(store), []);
});

test("a file that was cut anywhere is refused", async () => {
  const file = await backupOf([...put(fullConnection("a")), putMessage("a", 1)]);
  for (let length = 0; length < file.length; length++) {
    await assertRefused(file.subarray(0, length), "DAMAGED");
  }
  const several = await backupOf(large());
  for (const start of framesOf(several).slice(0, -1)) {
    for (const length of [start, start + 4, start + 100]) {
      await assertRefused(several.subarray(0, length), "DAMAGED");
    }
  }
});

test("a bit that was changed anywhere is noticed", async () => {
  const file = await backupOf([]);
  const codes: BackupErrorCode[] = [
    ...Array.from({ length: 16 }, () => "FORMAT" as const),
    ...Array.from({ length: 3 }, () => "VERSION" as const),
    // That of an older version.
    "DAMAGED",
    // Too many rounds.
    "DAMAGED",
    ...Array.from({ length: headerLength - 21 }, () => "PASSPHRASE" as const),
  ];
  for (let at = 0; at < file.length; at++) {
    const changed = file.slice();
    changed[at]! ^= 1;
    await assertRefused(changed, codes[at] ?? "DAMAGED");
  }
  const several = await backupOf(large());
  for (const [i, start] of framesOf(several).slice(0, -1).entries()) {
    const end = framesOf(several)[i + 1]!;
    for (const at of [start, start + 3, start + 4, Math.floor((start + end) / 2), end - 1]) {
      const changed = several.slice();
      changed[at]! ^= 0x80;
      await assertRefused(changed, "DAMAGED");
    }
  }
});

test("frames that are left out, changed in order, doubled or of another file are noticed", async () => {
  const [file, other] = [await backupOf(large()), await backupOf(large())];
  const starts = framesOf(file);
  assert(starts.length > 4);
  const frame = (of: Bytes, i: number) => of.subarray(starts[i], starts[i + 1]);
  const header = file.subarray(0, headerLength);
  const count = starts.length - 1;
  const order = Array.from({ length: count }, (_, i) => frame(file, i));
  const wrong: Uint8Array[][] = [
    order.slice(1),
    order.toSpliced(1, 1),
    order.slice(0, -1),
    [order[1]!, order[0]!, ...order.slice(2)],
    [order[0]!, ...order],
    [...order, order.at(-1)!],
    [...order, Uint8Array.of(0)],
    order.with(1, frame(other, 1)),
    order.with(-1, frame(other, count - 1)),
    [order.at(-1)!],
  ];
  for (const frames of wrong) await assertRefused(joinParts([header, ...frames]), "DAMAGED");
  await assertRefused(joinParts([other.subarray(0, headerLength), ...order]), "DAMAGED");
  // The frame before the last one says that it is the last, and the last one that it is not.
  for (const i of [count - 2, count - 1]) {
    const changed = order[i]!.slice();
    changed[0]! ^= 0x80;
    await assertRefused(joinParts([header, ...order.slice(0, i), changed]), "DAMAGED");
  }
  const store = new MemoryStore();
  await readBackup(store, chunks(joinParts([header, ...order])), { passphrase });
});

test("another program's file and a newer version's are told", async () => {
  for (const text of ["SQLite format 3\0 and so on", "x", "SMP agent backuP", "PK\x03\x04".padEnd(5000)]) {
    await assertRefused(textBytes(text), "FORMAT", "not a backup");
  }
  const file = await backupOf([]);
  file[19] = 4;
  for (const length of [20, 30, file.length]) {
    await assertRefused(file.subarray(0, length), "VERSION", "newer");
  }
  file[19] = 0;
  await assertRefused(file, "DAMAGED");
});

test("a forged length or number of rounds costs nothing", async () => {
  const file = await backupOf([]);
  const view = new DataView(file.buffer);
  for (const length of [maxFrame + 1, 0x7fffffff, 0xffffffff]) {
    view.setUint32(headerLength, length);
    let taken = 0;
    const endless = async function* () {
      yield file;
      while (taken++ < 1000) yield new Uint8Array(65_536);
    };
    const reading = readBackup(new MemoryStore(), endless(), { passphrase });
    assertEquals((await assertRejects(() => reading, BackupError)).code, "DAMAGED");
    assertEquals(taken, 0);
  }
  for (const rounds of [0, 10_000_001, 0xffffffff]) {
    view.setUint32(20, rounds);
    await assertRefused(file, "DAMAGED");
  }
});

test("an authentic file with what no agent stores is refused", async () => {
  const [connection, receiving, sending] = put(fullConnection("a")) as [
    StoreChange,
    StoreChange,
    StoreChange,
  ];
  const record = fullConnection("a").record;
  const message = messageRecord("a", 1);
  const session = fullSession();
  const ratchet = session.ratchet!;
  const [inbound, outbound] = [inboundRoute("i"), outboundRoute("o")];
  const [frame, held, piece] = [frameRecord("a", 2), heldFrame("a", 2), pieceRecord("a", 0, { route: "i" })];
  const withSession = (changed: object) => [
    connection,
    { type: "put session", connection: "a", session: { ...session, ...changed }, withKeys: true },
  ];
  const withKeys = (changed: object) => withSession({ keys: { ...session.keys, ...changed } });
  const withRatchet = (changed: object) => withSession({ ratchet: { ...ratchet, ...changed } });
  const withInbound = (changed: object, id = "i") => ({
    type: "put inbound",
    connection: "a",
    route: { ...inbound, keys: { ...inbound.keys, ...changed }, id },
    withKeys: true,
  });
  const withOutbound = (changed: object, id = "o") => ({
    type: "put outbound",
    connection: "a",
    route: { ...outbound, keys: { ...outbound.keys, ...changed }, id },
    withKeys: true,
  });
  const bytes = (length: number) => new Uint8Array(length);
  const none = { dh: bytes(32), number: 1, key: bytes(32), at: 1 };
  const contents: (readonly object[])[] = [
    withSession({ more: 1 }),
    withSession({ status: "ended" }),
    withSession({ lastNumber: -1 }),
    withSession({ stored: { upTo: 5, ranges: [[6, 7]] } }),
    withSession({ stored: { upTo: 5, ranges: [[9, 8]] } }),
    withSession({ stored: { upTo: 5, ranges: [[7, 8], [9, 9]] } }),
    withSession({ stored: { upTo: 5, ranges: [[7, 8, 9]] } }),
    withSession({ stored: { upTo: 5, ranges: [[7]] } }),
    withSession({
      stored: { upTo: 5, ranges: Array.from({ length: 193 }, (_, i) => [2 * i + 7, 2 * i + 7]) },
    }),
    withSession({}).slice(1),
    [...withSession({}), ...withSession({}).slice(1)],
    withKeys({ safetyCode: "12345" }),
    withKeys({ secret: bytes(31) }),
    withKeys({ repairKey: bytes(33) }),
    withKeys({ pair: { ...session.keys.pair, kemPrivate: bytes(2399) } }),
    withKeys({ kinds: [256] }),
    withKeys({ streams: [{ id: "a" }] }),
    withKeys({ transcript: { invitation: 1 } }),
    withKeys({ transcript: { invitation: "é" } }),
    withKeys({ transcript: { joinerUpgrade: bytes(65_536) } }),
    withKeys({ transcript: { more: "" } }),
    withRatchet({ rootKey: bytes(31) }),
    withRatchet({ previous: 2 ** 32 }),
    withRatchet({ turn: { side: "none" } }),
    withRatchet({ turn: { side: "own", remote: { dh: bytes(32), kem: bytes(1183) } } }),
    withRatchet({ turn: { side: "own", remote: null } }),
    withRatchet({ turn: { side: "other", pair: null, sending: null } }),
    withRatchet({ known: Array.from({ length: 33 }, () => bytes(32)) }),
    withRatchet({ skipped: Array.from({ length: 2001 }, () => none) }),
    withRatchet({ skipped: [{ ...none, key: bytes(16) }] }),
    [withInbound({})],
    [connection, withInbound({}), withInbound({})],
    [connection, withInbound({}), withOutbound({}, "i")],
    [connection, receiving, withInbound({}, "a-in")],
    [connection, { ...withInbound({}), withKeys: false }],
    [connection, withInbound({ routeKey: bytes(31) })],
    [connection, withInbound({ routeId: bytes(9) })],
    [connection, withInbound({ blockSize: 65_537 })],
    [connection, { ...withInbound({}), route: { ...inbound, status: "none" } }],
    [connection, withOutbound({ routeKey: bytes(0) })],
    [connection, withOutbound({ senderKey: bytes(20_000) })],
    [connection, { ...withOutbound({}), route: { ...outbound, cursor: -1 } }],
    [{ type: "put frame", frame }],
    [connection, { type: "put frame", frame: { ...frame, message: bytes((4 << 20) + 1) } }],
    [connection, { type: "put frame", frame: { ...frame, frame: bytes(2 << 20) } }],
    [{ type: "put held", held }],
    [connection, { type: "put held", held: { ...held, frame: bytes((4 << 20) + 1) } }],
    [connection, { type: "put held", held: { ...held, serverId: "?" } }],
    [connection, { type: "put piece", piece }],
    [connection, receiving, { type: "put piece", piece: { ...piece, route: "a-in" } }],
    [connection, withInbound({}), { type: "put piece", piece: { ...piece, index: 65_535 } }],
    [connection, withInbound({}), { type: "put piece", piece: { ...piece, index: 9 } }],
    [connection, withInbound({}), { type: "put piece", piece: { ...piece, tag: "AAAA" } }],
    [connection, withInbound({}), { type: "put piece", piece: { ...piece, total: (4 << 20) + 1 } }],
    [connection, withInbound({}), { type: "put piece", piece: { ...piece, piece: bytes(65_537) } }],
    [connection, { type: "put message", message: { ...message, number: -1 } }],
    [connection, { type: "put message", message: { ...message, delivered: 1 } }],
    [{ type: "delete connection", connection: "a" }],
    [{ type: "put connection" }],
    [{ type: "put connection", record: { ...record, more: 1 } }],
    [{ type: "put connection", record: { ...record, id: "" } }],
    [{ type: "put connection", record: { ...record, id: "a".repeat(65) } }],
    [{ type: "put connection", record: { ...record, alias: "a\r\nCON" } }],
    [{ type: "put connection", record: { ...record, role: "king" } }],
    [{ type: "put connection", record: { ...record, createdAt: -1 } }],
    [{ type: "put connection", record: { ...record, lastMessageId: 1.5 } }],
    [{ type: "put connection", record: { ...record, lastSent: { id: 1, hash: new Uint8Array(33) } } }],
    [{ type: "put connection", record: { ...record, extensions: ["a b"] } }],
    [connection, connection],
    [connection, { type: "put connection", record: { ...record, id: "b" } }],
    [receiving],
    [connection, { ...receiving, withKeys: false }],
    [connection, receiving, receiving],
    [connection, { ...sending, route: { ...fullConnection("a").sending[0], status: "unknown" } }],
    [connection, sending, {
      type: "put delivery",
      delivery: { connection: "a", route: "a-out", position: 1, attempted: false, giveUpAt: null },
    }],
    [{ type: "put message", message }],
    [connection, { type: "put message", message: { ...message, body: "text" } }],
    [connection, { type: "put message", message: { ...message, connection: "b" } }],
    [connection, {
      type: "put message",
      message: { ...message, received: { ...message.received, serverId: "?" } },
    }],
    [connection, { type: "put event", event: { id: 1, connection: "a", event: { type: "toString" } } }],
    [["put connection"]],
  ];
  for (const changes of contents) {
    await assertRefused(await forged(joinParts(changes.map(change))), "INVALID");
  }
  const whole = change(connection);
  for (const length of [1, 3, 4, whole.length - 1]) {
    await assertRefused(await forged(whole.subarray(0, length)), "INVALID", "cut");
  }
  await assertRefused(await forged(Uint8Array.of(0, 0, 0, 1, 0x7b)), "INVALID", "not JSON");
});

test("a backup is read into a store without connections only", async () => {
  const file = await backupOf(everything());
  const store = await storeWith(put(fullConnection("z")));
  let isReturned = false;
  const source = async function* () {
    try {
      yield file;
    } finally {
      isReturned = true;
    }
  };
  const error = await assertRejects(() => readBackup(store, source(), { passphrase }), BackupError);
  assertEquals([error.code, (await store.connections()).length], ["NOT_EMPTY", 1]);
  assert(!isReturned);
});

test("a file with its damage behind what was stored already leaves nothing in the store", async () => {
  const file = await backupOf(large(1000));
  assert(file.length > 24 << 20);
  const store = new MemoryStore();
  let most = 0;
  const commit = store.commit.bind(store);
  store.commit = async (changes) => {
    await commit(changes);
    most = Math.max(most, (await store.messages("a", { limit: 10_000 })).length);
    // Whenever the program may end now, the connections do nothing.
    if (most > 0) {
      for (const { receiving, sending } of await store.connections()) {
        assertEquals([receiving, sending], [[], []]);
      }
    }
  };
  file[file.length - 1]! ^= 1;
  const reading = () => readBackup(store, chunks(file, 65_536), { passphrase });
  assertEquals((await assertRejects(reading, BackupError)).code, "DAMAGED");
  assert(most > 500, `${most}`);
  assertEquals(await all(store), []);
});

test("what the source and the store throw is told, and nothing stays", async () => {
  const file = await backupOf(everything());
  const store = new MemoryStore();
  const broken = async function* () {
    yield file.subarray(0, 200);
    throw new Error("the disk is gone");
  };
  await assertRejects(() => readBackup(store, broken(), { passphrase }), Error, "the disk is gone");
  assertEquals(await all(store), []);
  store.commit = () => Promise.reject(new StoreError("WRITE", "no room"));
  await assertRejects(() => readBackup(store, chunks(file), { passphrase }), StoreError, "no room");
});

test("what could not be read again is not written", async () => {
  const record = { ...fullConnection("a").record, alias: "a\r\nb" };
  for (const records of [[record], [{ ...record, alias: "a" }, { ...record, alias: "a", id: "b" }]]) {
    const store = await storeWith(records.map((record) => ({ type: "put connection", record })));
    const error = await assertRejects(() => new Response(writeBackup(store, fast)).arrayBuffer());
    assert(error instanceof BackupError && error.code === "INVALID", String(error));
  }
});

test("a backup that is not read to its end lets go of the store", async () => {
  const store = await storeWith(large());
  let isReturned = false;
  const snapshot = store.snapshot.bind(store);
  store.snapshot = async function* () {
    try {
      yield* snapshot();
    } finally {
      isReturned = true;
    }
  };
  const reader = writeBackup(store, fast).getReader();
  await reader.read();
  await reader.read();
  assert(!isReturned);
  await reader.cancel();
  assert(isReturned);
});

test("one frame after the other is opened", async () => {
  const contents = [textBytes("one"), new Uint8Array(), textBytes("three")];
  const file = await forged(...contents);
  assertEquals(await Array.fromAsync(openFrames(chunks(file, 1), { passphrase })), contents);
});

test("a backup has the servers that it is given, and no password", async () => {
  const store = await storeWith(everything());
  const servers = ["a.example:443", "[::1]:5223"].map((server) => `${server}#${"A".repeat(43)}=`);
  const file = await new Response(writeBackup(store, { ...fast, servers })).bytes();
  const copy = new MemoryStore();
  assertEquals((await readBackup(copy, chunks(file), { passphrase })).servers, servers);
  assertEquals(await all(copy), await all(store));
  assertThrows(() => writeBackup(store, { ...fast, servers: ["secret@a.example"] }), ParseError, "password");
  const many = Array.from({ length: 65 }, (_, i) => `s${i}`);
  assertThrows(() => writeBackup(store, { ...fast, servers: many }), RangeError, "at most 64");
  const record = (servers: unknown) => change({ type: "servers", servers });
  await assertRefused(await forged(record(many)), "INVALID", "at most 64");
  await assertRefused(await forged(record(["a b"])), "INVALID", "host has a space");
  await assertRefused(await forged(record([]), record([])), "INVALID", "change");
});
