import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { sealedColumns, type TableName } from "../../../agent/store/rows.ts";
import { SqliteStore, StoreError } from "../../../agent/store/sqlite.ts";
import type { StoreChange } from "../../../agent/store/store.ts";
import { asciiText, encodeBase64, textBytes } from "../../../protocol/mod.ts";
import { requiring } from "../../support/requires.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { soon, until } from "../../support/wait.ts";
import {
  delivery,
  discardedQueue,
  emptyConnection,
  eventRecord,
  everything,
  frameRecord,
  fullConnection,
  heldFrame,
  messageRecord,
  outboxEntry,
  pieceRecord,
  put,
  putMessage,
  sessionConnection,
} from "./samples.ts";

const pipeTest = requiring(Deno.build.os === "windows" ? "there are no named pipes" : null);
const passphrase = { passphrase: "correct horse", iterations: 1000 };

async function assertFails(
  run: () => Promise<unknown>,
  code: StoreError["code"],
  text: string,
): Promise<void> {
  const error = await assertRejects(run, StoreError);
  assertEquals(error.code, code, error.message);
  assertStringIncludes(error.message, text);
}

async function all(changes: AsyncIterable<StoreChange>): Promise<StoreChange[]> {
  return await Array.fromAsync(changes);
}

async function close(store: SqliteStore): Promise<void> {
  await store[Symbol.asyncDispose]();
}

/** Has something done before each call of a method of databases, until it is disposed of. */
function spyOn(
  name: "exec" | "prepare" | "close",
  before: (database: DatabaseSync, sql: string) => void,
): Disposable {
  const { exec, prepare, close } = DatabaseSync.prototype;
  const methods = { exec, prepare, close };
  const spy = function (this: DatabaseSync, sql: string) {
    before(this, sql);
    return Reflect.apply(methods[name], this, [sql]);
  };
  Object.assign(DatabaseSync.prototype, { [name]: spy });
  return { [Symbol.dispose]: () => void Object.assign(DatabaseSync.prototype, methods) };
}

/** All bytes of all files, read by another process: one that closes a file gives up the locks that it has on it. */
async function onDisk(folder: string): Promise<string> {
  const files = [...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`);
  const { stdout } = await new Deno.Command("cat", { args: files }).output();
  return asciiText(stdout);
}

/** What another process says of a database. */
async function elsewhere(...args: string[]): Promise<string> {
  await using child = childCommand(args).spawn();
  const { stdout, stderr } = await soon(child.output());
  return new TextDecoder().decode(stdout).trim() || new TextDecoder().decode(stderr);
}

function childCommand(args: readonly string[]): Deno.Command {
  // SQLite needs another database for copying, which Deno allows to programs alone that may do everything.
  const permissions = args[0] === "copy" ? ["--allow-all"] : ["--allow-read", "--allow-write"];
  const script = new URL("store_child.ts", import.meta.url).pathname;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", ...permissions, script, ...args],
    stdout: "piped",
    stderr: "piped",
  });
}

Deno.test("what was committed is there after the store was opened again", async () => {
  for (const options of [{}, passphrase]) {
    await using folder = await temporaryFolder();
    const path = `${folder.path}/agent.db`;
    let before;
    {
      await using store = await SqliteStore.open(path, options);
      await store.commit(everything());
      before = await all(store.snapshot());
      assertEquals(before.length, everything().length);
    }
    await using store = await SqliteStore.open(path, options);
    assertEquals(await all(store.snapshot()), before);
  }
});

Deno.test("nobody else can read any file of a store", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  await using store = await SqliteStore.open(path);
  await store.commit(everything());
  const modes = new Map(
    [...Deno.readDirSync(folder.path)].map((
      { name },
    ) => [name, Deno.statSync(`${folder.path}/${name}`).mode! & 0o777]),
  );
  const names = ["agent.db", "agent.db-lock", "agent.db-shm", "agent.db-wal"];
  assertEquals(modes, new Map(names.map((name) => [name, 0o600])));
});

Deno.test("files that are removed before they are locked are not used: they are made again", async () => {
  for (const ends of [["", "-lock"], ["-lock"], [""]]) {
    await using folder = await temporaryFolder();
    const path = `${folder.path}/agent.db`;
    let times = 0;
    {
      using _ = spyOn("exec", (_database, sql) => {
        // As an import that fails does, between opening and locking.
        if (sql.includes("BEGIN EXCLUSIVE") && sql.includes("busy_timeout") && times++ === 0) {
          for (const end of ends) Deno.removeSync(`${path}${end}`);
        }
      });
      await using store = await SqliteStore.open(path);
      await assertFails(() => SqliteStore.open(path), "IN_USE", "another agent uses it");
      await store.commit(everything());
    }
    assertEquals(times, 3);
    await using store = await SqliteStore.open(path);
    assertEquals((await all(store.snapshot())).length, everything().length);
  }
});

Deno.test("files that are removed each time are given up", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  using _ = spyOn("exec", (_database, sql) => {
    if (sql.includes("BEGIN EXCLUSIVE") && sql.includes("busy_timeout")) Deno.removeSync(`${path}-lock`);
  });
  await assertFails(() => SqliteStore.open(path), "OPEN", "its files are replaced all the time");
});

Deno.test("a store that is removed goes before others can open it, its lock last", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  const store = await SqliteStore.open(path);
  await store.commit(everything());
  const left: string[][] = [];
  using _ = spyOn("close", () => void left.push([...Deno.readDirSync(folder.path)].map(({ name }) => name)));
  await store.remove();
  // When the database is closed, and the lock.
  assertEquals(left.map((names) => names.sort()), [
    ["agent.db", "agent.db-lock", "agent.db-shm", "agent.db-wal"],
    [],
  ]);
});

for (
  const [harm, spoil] of [
    ["removed", (path) => Deno.remove(path)],
    ["moved", (path) => Deno.rename(path, `${path}.moved`)],
    ["replaced by a copy", async (path) => {
      await Deno.copyFile(path, `${path}.copy`);
      await Deno.rename(`${path}.copy`, path);
    }],
  ] as readonly (readonly [string, (path: string) => Promise<void>])[]
) {
  Deno.test(`nothing is stored in a database that was ${harm} while it is used`, async () => {
    await using folder = await temporaryFolder();
    const path = `${folder.path}/agent.db`;
    await using store = await SqliteStore.open(path);
    await store.commit(everything());
    await spoil(path);
    const change = { type: "delete event", id: 1 } as const;
    const told = `${path} was removed or replaced`;
    await assertFails(() => store.commit([change]), "WRITE", told);
    await assertFails(() => store.commit([change], { mayBeLost: true }), "WRITE", told);
    await assertFails(() => store.prune(0), "WRITE", told);
    await assertFails(() => store.changePassphrase("new"), "WRITE", told);
  });
}

Deno.test("commits survive a power cut, what is deleted is overwritten, and references hold", async () => {
  const { close } = DatabaseSync.prototype;
  const found: unknown[] = [];
  DatabaseSync.prototype.close = function (this: DatabaseSync) {
    const { file } = this.prepare("PRAGMA database_list").get()!;
    const pragmas = ["journal_mode", "synchronous", "secure_delete", "foreign_keys", "locking_mode"];
    if (String(file).endsWith(".db")) {
      found.push(pragmas.map((name) => Object.values(this.prepare(`PRAGMA ${name}`).get()!)[0]));
    }
    close.call(this);
  };
  try {
    await using folder = await temporaryFolder();
    {
      await using store = await SqliteStore.open(`${folder.path}/agent.db`);
      await store.commit(everything());
      await store.changePassphrase("correct horse");
    }
    // Of the connection that has rewritten everything, and of the store's.
    const full = 2;
    assertEquals(found, Array.from({ length: 2 }, () => ["wal", full, 1, 1, "normal"]));
  } finally {
    DatabaseSync.prototype.close = close;
  }
});

Deno.test("only what may be lost does not wait for the disk, also when it fails", async () => {
  await using folder = await temporaryFolder();
  await using store = await SqliteStore.open(`${folder.path}/agent.db`);
  const { exec } = DatabaseSync.prototype;
  const seen: string[] = [];
  DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string) {
    if (["COMMIT", "ROLLBACK"].includes(sql)) {
      const [level] = Object.values(this.prepare("PRAGMA synchronous").get()!);
      seen.push(`${sql} ${level}`);
    }
    exec.call(this, sql);
  };
  try {
    const mayBeLost = { mayBeLost: true };
    const change = { type: "delete event", id: 1 } as const;
    const impossible = everything().find(({ type }) => type === "put receiving")!;
    await store.commit([change], mayBeLost);
    await store.commit([change]);
    await Promise.all([store.commit([change], mayBeLost), store.commit([change])]);
    await assertRejects(() => store.commit([impossible], mayBeLost), StoreError);
    await store.commit([change]);
    const [normal, full] = [1, 2];
    assertEquals(seen, [
      `COMMIT ${normal}`,
      `COMMIT ${full}`,
      `COMMIT ${full}`,
      `ROLLBACK ${normal}`,
      `ROLLBACK ${normal}`,
      `COMMIT ${full}`,
    ]);
  } finally {
    DatabaseSync.prototype.exec = exec;
  }
});

Deno.test("no sync that fails goes unnoticed after what may be lost: SQLite begins none by itself", async () => {
  await using folder = await temporaryFolder();
  await using store = await SqliteStore.open(`${folder.path}/agent.db`);
  const limits: unknown[] = [];
  using _ = spyOn("exec", (database, sql) => {
    if (sql === "COMMIT") limits.push(...Object.values(database.prepare("PRAGMA wal_autocheckpoint").get()!));
  });
  const change = { type: "delete event", id: 1 } as const;
  await store.commit([change]);
  for (let i = 0; i < 101; i++) await store.commit([change], { mayBeLost: true });
  // Of many one waits for the disk, so that the log does not grow without end.
  assertEquals(limits, [1000, ...Array.from({ length: 100 }, () => 0), 1000]);
});

Deno.test("after a sync that has failed nothing is stored behind what may not be on the disk", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  await using store = await SqliteStore.open(path);
  const seen: string[] = [];
  let failing = 0;
  using _exec = spyOn("exec", (_database, sql) => {
    if (sql !== "COMMIT") return;
    seen.push(failing > 0 ? "failed" : "stored");
    if (failing-- > 0) throw new Error("disk I/O error");
  });
  using _prepare = spyOn("prepare", (_database, sql) => {
    if (sql.includes("wal_checkpoint")) seen.push("emptied");
  });
  /** The log is also emptied when it has been quiet for a second. */
  const assertSeen = (pattern: RegExp) => assertMatch(seen.splice(0).join(" "), pattern);
  const change = () => store.commit(everything());
  await store.commit(everything(), { mayBeLost: true });
  failing = 1;
  await change();
  await change();
  assertSeen(/^stored (emptied )*failed (emptied )+stored (emptied )*stored$/);
  // Somebody reads what was in the log before, so that it cannot be emptied.
  const reader = store.snapshot()[Symbol.asyncIterator]();
  await reader.next();
  await change();
  failing = 1;
  await assertFails(change, "WRITE", "a sync of its log has failed, and somebody reads it");
  await assertFails(change, "WRITE", "a sync of its log has failed, and somebody reads it");
  assertSeen(/^stored (emptied )*failed( emptied)+$/);
  await reader.return!();
  await change();
  assertSeen(/^(emptied )+stored$/);
});

Deno.test("a database is used by one agent at a time, also in another process", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  {
    await using _store = await SqliteStore.open(path);
    await assertFails(() => SqliteStore.open(path), "IN_USE", "another agent uses it");
    // Also after it was tried in this process.
    assertEquals(await elsewhere("open", path), "IN_USE");
    await Deno.symlink(path, `${folder.path}/link.db`);
    assertEquals(await elsewhere("open", `${folder.path}/link.db`), "IN_USE");
    await assertFails(() => SqliteStore.open(`${folder.path}/link.db`), "IN_USE", "another agent uses it");
  }
  assertEquals(await elsewhere("open", path), "open");
});

pipeTest("what is no regular file is no database, nor beside one, and is not waited for", async () => {
  for (const [make, why] of [["mkfifo", "it is a named pipe, not a file"], ["mkdir", "it is a directory"]]) {
    for (const end of ["", "-lock", "-wal", "-journal"]) {
      await using folder = await temporaryFolder();
      const path = `${folder.path}/agent.db`;
      if (end !== "") await close(await SqliteStore.open(path));
      await Deno.remove(`${path}${end}`).catch(() => {});
      assert((await new Deno.Command(make!, { args: [`${path}${end}`] }).output()).success);
      const said = `Cannot open ${path}${end}: ${why}`;
      // Whoever waits for a pipe waits with all of its process.
      if (make === "mkfifo") assertEquals(await elsewhere("open", path), "OPEN");
      await assertFails(() => SqliteStore.open(path), "OPEN", said);
      // Who only reads takes no lock.
      if (end === "-lock") continue;
      if (make === "mkfifo") assertEquals(await elsewhere("read", path), "OPEN");
      await assertFails(() => SqliteStore.openForReading(path), "OPEN", said);
    }
  }
});

Deno.test("an agent that was killed leaves no lock behind", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  await using child = childCommand(["hold", path]).spawn();
  const reader = child.stdout.getReader();
  assertEquals(asciiText((await soon(reader.read())).value!), "open\n");
  await assertFails(() => SqliteStore.open(path), "IN_USE", "another agent uses it");
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  await child.stderr.cancel();
  await close(await SqliteStore.open(path));
});

Deno.test("a program of the first version and one of this one keep each other out", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  {
    await using store = await SqliteStore.open(path);
    await store.commit(everything());
    assertStringIncludes(await elsewhere("exclusive", path), "locked");
    await store.commit([putMessage("a", 3)]);
  }
  using first = new DatabaseSync(path, { timeout: 0 });
  first.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; BEGIN EXCLUSIVE; COMMIT");
  await assertFails(() => SqliteStore.open(path), "IN_USE", "another agent uses it");
  await assertFails(() => SqliteStore.openForReading(path), "IN_USE", "another agent uses it");
});

Deno.test("a database is read and copied while an agent uses it", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  const copies = ["whole", "main"].map((name) => `${folder.path}/${name}.db`);
  await using store = await SqliteStore.open(path);
  // The tables are in the file itself, not in its log alone.
  await new Deno.Command("cp", { args: [path, copies[1]!] }).output();
  await store.commit(everything());
  const reader = await SqliteStore.openForReading(path);
  assertEquals(await all(reader.snapshot()), await all(store.snapshot()));
  assertEquals(await elsewhere("read", path), String(everything().length));
  assertEquals(await elsewhere("copy", path, copies[0]!), "copied");
  await store.commit(put(fullConnection("c")));
  assertEquals((await all(reader.snapshot())).length, everything().length + 3);
  const contents = await Promise.all(copies.map(async (copy) => {
    await using store = await SqliteStore.open(copy);
    return (await all(store.snapshot())).length;
  }));
  assertEquals(contents, [everything().length, 0]);
});

Deno.test("what was committed goes from the log to the file when it has become quiet", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  await using store = await SqliteStore.open(path);
  const { size } = await Deno.stat(path);
  await store.commit(put(fullConnection("a")));
  const message = { ...messageRecord("a", 1), body: new Uint8Array(100_000) };
  await store.commit([{ type: "put message", message }]);
  await until(() => Deno.statSync(path).size > size + 50_000);
});

Deno.test("a database is opened for reading with its passphrase alone, and only when there is something", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  await assertFails(() => SqliteStore.openForReading(path), "OPEN", path);
  await Deno.writeTextFile(path, "");
  await assertFails(() => SqliteStore.openForReading(path), "OPEN", "it is empty");
  await using store = await SqliteStore.open(path, passphrase);
  await store.commit(everything());
  await assertFails(() => SqliteStore.openForReading(path), "PASSPHRASE", "needs its passphrase");
  await assertFails(() => SqliteStore.openForReading(path, { passphrase: "x" }), "PASSPHRASE", "is wrong");
  const reader = await SqliteStore.openForReading(path, passphrase);
  assertEquals((await all(reader.snapshot())).length, everything().length);
  await store.changePassphrase("other");
  await assertFails(() => all(reader.snapshot()), "PASSPHRASE", "was changed meanwhile");
});

Deno.test("a store that is closed refuses everything, and ends its snapshots", async () => {
  await using folder = await temporaryFolder();
  const store = await SqliteStore.open(`${folder.path}/agent.db`);
  await store.commit(put(fullConnection("a")));
  await store.commit(Array.from({ length: 200 }, (_, i) => putMessage("a", i)));
  const snapshot = store.snapshot()[Symbol.asyncIterator]();
  await snapshot.next();
  await close(store);
  await close(store);
  const rest = async () => {
    while (!(await snapshot.next()).done);
  };
  await assertFails(rest, "READ", "Cannot read the store");
  const calls: Record<string, () => Promise<unknown>> = {
    connections: () => store.connections(),
    discarded: () => store.discarded(),
    waitingRoutes: () => store.waitingRoutes(),
    deliveries: () => store.deliveries("a-out", 1),
    message: () => store.message("a", 1),
    messages: () => store.messages("a"),
    events: () => store.events(0, 1),
    frames: () => store.frames("a", 0, 1),
    held: () => store.held("a", 1),
    pieces: () => store.pieces("a"),
    undelivered: () => store.undelivered("a", 0, 1, 1),
    snapshot: () => all(store.snapshot()),
    commit: () => store.commit([]),
    prune: () => store.prune(0),
    changePassphrase: () => store.changePassphrase("x"),
  };
  for (const [name, call] of Object.entries(calls)) {
    const given = call();
    const error = await assertRejects(() => given, StoreError);
    assertEquals(error.code, ["commit", "prune", "changePassphrase"].includes(name) ? "WRITE" : "READ", name);
  }
});

Deno.test("a commit that cannot be sealed is refused alone", async () => {
  await using folder = await temporaryFolder();
  await using store = await SqliteStore.open(`${folder.path}/agent.db`, passphrase);
  await store.commit(put(fullConnection("a")));
  const message = { ...messageRecord("a", 1), body: null as unknown as Uint8Array<ArrayBuffer> };
  const bad = store.commit([{ type: "put message", message }]);
  const good = store.commit([putMessage("a", 2)]);
  await assertFails(() => bad, "WRITE", "Cannot write to the store");
  await good;
  await store.commit([putMessage("a", 3)]);
  assertEquals((await store.messages("a")).map(({ id }) => id), [2, 3]);
});

/** Changes with a secret in everything that can hold one, and the secrets. */
function secretChanges(): { readonly changes: StoreChange[]; readonly secrets: string[] } {
  const secrets: string[] = [];
  const text = (what: string) => {
    secrets.push(`the ${what} of this test`);
    return secrets.at(-1)!;
  };
  const bytes = (what: string) => textBytes(text(what));
  // Of a fixed length.
  const fixed = (length: number, what: string) => {
    const secret = textBytes(text(what));
    return Uint8Array.from({ length }, (_, i) => secret[i % secret.length]!);
  };
  const { record, receiving: [receiving], sending: [sending] } = fullConnection("a");
  const { session, inbound: [inbound], outbound: [outbound] } = sessionConnection("a");
  const { keys, ratchet } = session!;
  const server = { host: text("host"), keyHash: text("key hash") };
  const changes: StoreChange[] = [
    ...put({
      record: {
        ...record,
        alias: text("alias"),
        lastSent: { id: 1, hash: bytes("sent hash") },
        lastReceived: { id: 1, hash: bytes("received hash") },
        extensions: [text("extension")],
      },
      receiving: [{
        ...receiving!,
        keys: {
          server,
          recipientId: text("recipient ID"),
          senderId: text("sender ID"),
          recipientKey: bytes("recipient key"),
          decryptionKey: bytes("decryption key"),
          senderKey: bytes("sender's key"),
          verificationKey: bytes("verification key"),
        },
        lastServerId: text("last server ID"),
        lastHash: bytes("last hash"),
        unacknowledged: [{ id: 1, serverId: text("unacknowledged ID") }],
      }],
      sending: [{
        ...sending!,
        keys: {
          server,
          senderId: text("other sender ID"),
          senderKey: bytes("sender key"),
          signingKey: bytes("signing key"),
          encryptionKey: bytes("encryption key"),
        },
      }],
      session: {
        ...session!,
        keys: {
          ...keys,
          transcript: { invitation: text("invitation"), joinerUpgrade: bytes("joiner's upgrade") },
          pair: { ...keys.pair!, kemPrivate: bytes("private key of ML-KEM") },
          secret: bytes("secret of the initiator"),
          safetyCode: text("safety code"),
          repairKey: bytes("repair key"),
        },
        ratchet: {
          ...ratchet!,
          rootKey: fixed(32, "32 byte key"),
          skipped: [{ ...ratchet!.skipped[0]!, key: fixed(32, "skipped key") }],
        },
      },
      inbound: [{
        ...inbound!,
        keys: { ...inbound!.keys, server, recipientKey: bytes("inbound key"), routeKey: bytes("route key") },
        lastServerId: text("last inbound ID"),
      }],
      outbound: [{
        ...outbound!,
        keys: {
          ...outbound!.keys,
          server,
          senderKey: bytes("outbound key"),
          routeKey: bytes("other route key"),
        },
      }],
    }),
    {
      type: "put frame",
      frame: { ...frameRecord("a", 1), frame: bytes("frame"), message: bytes("ratchet message") },
    },
    {
      type: "put held",
      held: { ...heldFrame("a", 1), frame: bytes("held frame"), serverId: text("held ID") },
    },
    { type: "put piece", piece: { ...pieceRecord("a", 1), piece: bytes("piece of a message") } },
    {
      type: "put outbox",
      entry: { ...outboxEntry("a", 1), plaintext: bytes("plaintext"), kind: text("kind") },
    },
    { type: "put delivery", delivery: delivery("a", 1) },
    {
      type: "put message",
      message: {
        ...messageRecord("a", 1),
        body: bytes("body"),
        received: { ...messageRecord("a", 1).received!, serverId: text("server ID") },
      },
    },
    {
      type: "put event",
      event: { ...eventRecord("a", 1), event: { type: "error", code: "INTERNAL", message: text("error") } },
    },
    {
      type: "put discarded",
      queue: { ...discardedQueue("old"), server, recipientKey: bytes("discarded key") },
    },
  ];
  return { changes, secrets };
}

/** The secrets that stand in the files of a folder, raw or as base64. */
async function found(folder: string, secrets: readonly string[]): Promise<string[]> {
  const disk = await onDisk(folder);
  return secrets.filter((secret) => disk.includes(secret) || disk.includes(encodeBase64(textBytes(secret))));
}

Deno.test("with a passphrase nothing secret is on the disk, and no other opens it", async () => {
  const { changes, secrets } = secretChanges();
  for (const options of [{}, passphrase]) {
    await using folder = await temporaryFolder();
    const path = `${folder.path}/agent.db`;
    await using store = await SqliteStore.open(path, options);
    await store.commit(changes);
    const expected = options === passphrase ? [] : secrets;
    assertEquals(await found(folder.path, secrets), expected);
    await close(store);
    assertEquals(await found(folder.path, secrets), expected);
    if (options !== passphrase) {
      await assertFails(() => SqliteStore.open(path, passphrase), "PASSPHRASE", "without a passphrase");
      continue;
    }
    await assertFails(() => SqliteStore.open(path), "PASSPHRASE", "needs its passphrase");
    await assertFails(() => SqliteStore.open(path, { passphrase: "correct Horse" }), "PASSPHRASE", "wrong");
    await using again = await SqliteStore.open(path, options);
    const texts = (all: readonly StoreChange[]) => all.map((change) => JSON.stringify(change)).toSorted();
    assertEquals((await all(again.snapshot())).length, changes.length);
    assertEquals(texts(await all(again.snapshot())).join().length, texts(changes).join().length);
  }
});

Deno.test("what is deleted is overwritten in the files of a store", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  const texts = ["the body of a message that is done with", "the body of a connection that is deleted"];
  {
    await using store = await SqliteStore.open(path);
    await store.commit([...put(emptyConnection("a")), ...put(emptyConnection("b"))]);
    for (const [i, connection] of ["a", "b"].entries()) {
      const message = { ...messageRecord(connection, 1), body: textBytes(texts[i]!) };
      await store.commit([{ type: "put message", message }]);
    }
    assertEquals(await found(folder.path, texts), texts);
    await store.commit([
      { type: "message done", connection: "a", id: 1 },
      { type: "delete connection", connection: "b" },
    ]);
    assertEquals(await store.prune(Number.MAX_SAFE_INTEGER), 1);
  }
  assertEquals(await found(folder.path, texts), []);
});

Deno.test("sealed values that change places are refused, in every table", async () => {
  const twice: StoreChange[] = [
    ...["a", "b"].flatMap((id) => {
      const { session, inbound, outbound } = sessionConnection(id);
      return put({ ...fullConnection(id), session, inbound, outbound });
    }),
    ...["a", "b"].map((id) => ({ type: "put frame", frame: frameRecord(id, 2) } as const)),
    ...["a", "b"].map((id) => ({ type: "put held", held: heldFrame(id, 2) } as const)),
    ...[0, 1].map((index) => ({ type: "put piece", piece: pieceRecord("a", index) } as const)),
    ...["a", "b"].map((id) => ({ type: "put outbox", entry: outboxEntry(id, 1) } as const)),
    ...["a", "b"].map((id) => ({ type: "put delivery", delivery: delivery(id, 1) } as const)),
    ...["a", "b"].map((id) => putMessage(id, 1)),
    ...[1, 2].map((id) => ({ type: "put event", event: eventRecord("a", id) } as const)),
    ...["x", "y"].map((id) => ({ type: "put discarded", queue: discardedQueue(id) } as const)),
  ];
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  {
    await using store = await SqliteStore.open(path, passphrase);
    await store.commit(twice);
  }
  const swap = (table: string, column: string) => {
    using database = new DatabaseSync(path);
    const rows = database.prepare(`SELECT rowid AS place, ${column} AS value FROM ${table} ORDER BY rowid`)
      .all();
    assertEquals(rows.length, 2, table);
    const update = database.prepare(`UPDATE ${table} SET ${column} = ? WHERE rowid = ?`);
    update.run(rows[1]!.value!, rows[0]!.place!);
    update.run(rows[0]!.value!, rows[1]!.place!);
  };
  const read = async () => {
    await using store = await SqliteStore.open(path, passphrase);
    return await all(store.snapshot());
  };
  const whole = await read();
  for (const table of Object.keys(sealedColumns) as TableName[]) {
    for (const column of sealedColumns[table].sealed) {
      swap(table, column);
      await assertFails(read, "READ", "what it holds was changed");
      swap(table, column);
    }
  }
  assertEquals(await read(), whole);
  using database = new DatabaseSync(path);
  database.exec("UPDATE messages SET id = 7 WHERE connection = 'a'");
  database.close();
  await assertFails(read, "READ", "what it holds was changed");
});

Deno.test("the same stored twice is sealed otherwise", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  const seen = new Set<string>();
  for (let i = 0; i < 3; i++) {
    {
      await using store = await SqliteStore.open(path, passphrase);
      await store.commit([...put(fullConnection("a")), putMessage("a", 1)]);
    }
    using database = new DatabaseSync(path);
    const { body, data } = database.prepare("SELECT body, data FROM messages").get()!;
    for (const sealed of [body, data]) seen.add((sealed as Uint8Array).slice(0, 12).join());
  }
  assertEquals(seen.size, 6);
});

Deno.test("a passphrase is set, changed and removed while the agent runs", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  const { changes, secrets } = secretChanges();
  const more = Array.from({ length: 300 }, (_, i) => putMessage("a", i + 2));
  await using store = await SqliteStore.open(path, { iterations: 1000 });
  await store.commit([...changes, ...more]);
  const before = await all(store.snapshot());
  const bodies = new Set<string>();
  let isDone = false;
  const reading = (async () => {
    while (!isDone) {
      bodies.add((await store.message("a", 1))!.body.join());
      await new Promise((resolve) => setTimeout(resolve));
    }
  })();
  assertEquals(await found(folder.path, secrets), secrets);
  const early = store.commit([putMessage("a", 1000)]);
  const setting = store.changePassphrase("one");
  const late = store.commit([putMessage("a", 1001)]);
  const pruning = store.prune(0);
  await Promise.all([early, setting, late]);
  assertEquals(await pruning, 0);
  isDone = true;
  await reading;
  assertEquals(bodies.size, 1);
  assertEquals(await found(folder.path, secrets), []);
  assertEquals((await all(store.snapshot())).length, before.length + 2);

  const sealed = async () => {
    const copy = `${folder.path}/copy.db`;
    assertEquals(await elsewhere("copy", path, copy), "copied");
    using database = new DatabaseSync(copy);
    const rows = database.prepare("SELECT body FROM messages ORDER BY id").all().map(({ body }) =>
      String(body)
    );
    await Deno.remove(copy);
    return rows.join("\n");
  };
  const bodiesBefore = await sealed();
  await store.changePassphrase("two");
  // The passphrase wraps the key of the rows, which stay as they are.
  assertEquals(await sealed(), bodiesBefore);
  await assertFails(() => SqliteStore.openForReading(path, { passphrase: "one" }), "PASSPHRASE", "wrong");
  await SqliteStore.openForReading(path, { passphrase: "two" });
  await close(store);
  await assertFails(() => SqliteStore.open(path, { passphrase: "one" }), "PASSPHRASE", "wrong");

  await using again = await SqliteStore.open(path, { passphrase: "two" });
  await again.changePassphrase(null);
  await close(again);
  await using plain = await SqliteStore.open(path);
  assertEquals(await all(plain.snapshot()), [
    ...before.slice(0, -2),
    putMessage("a", 1000),
    putMessage("a", 1001),
    ...before.slice(-2),
  ]);
});

Deno.test("a passphrase is changed by a program that may only read and write", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  {
    await using store = await SqliteStore.open(path);
    await store.commit(everything());
  }
  assertEquals(await elsewhere("passphrase", path), "changed");
  await using store = await SqliteStore.open(path);
  assertEquals((await all(store.snapshot())).length, everything().length);
});

Deno.test("a passphrase that was being changed when the agent was killed is the old one or the new one", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  const messages = Array.from({ length: 300 }, (_, i) => putMessage("a", i + 10));
  const whole = everything().length + messages.length;
  {
    await using store = await SqliteStore.open(path);
    await store.commit([...everything(), ...messages]);
  }
  for (const delay of [0, 3, 7, 12]) {
    const running = `${folder.path}/running`;
    await using child = childCommand(["flip", path, running]).spawn();
    const ended = Promise.all([child.stdout.cancel(), child.stderr.cancel()]);
    await until(() => [...Deno.readDirSync(folder.path)].some(({ name }) => name === "running"));
    await new Promise((resolve) => setTimeout(resolve, delay));
    child.kill("SIGKILL");
    await Promise.all([child.status, ended]);
    await Deno.remove(running);
    const store = await SqliteStore.open(path).catch(() => SqliteStore.open(path, { passphrase: "one" }));
    assertEquals((await all(store.snapshot())).length, whole);
    await store.changePassphrase(null).catch(() => {});
    await close(store);
  }
});

Deno.test("setting a passphrase leaves nothing of what was written and replaced before", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  await using store = await SqliteStore.open(path, { iterations: 1000 });
  await store.commit(put(fullConnection("a")));
  // Bodies of all sizes in mixed order, so that pages are split and joined.
  const count = 5000;
  let seed = 1;
  const random = () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
  const putBody = (id: number, text: string, size: number): StoreChange => {
    const body = textBytes(text.repeat(Math.ceil(size / text.length)));
    return { type: "put message", message: { ...messageRecord("a", id), body } };
  };
  for (let i = 0; i < count; i += 50) {
    await store.commit(Array.from({ length: 50 }, (_, k) => {
      return putBody((i + k) * 7919 % count, `secret ${i + k} `, 30 + random() ** 3 * 9000);
    }));
  }
  for (let i = 0; i < 1000; i++) {
    await store.commit([putBody(Math.floor(random() * count), `secret x${i} `, random() * 2000)]);
  }
  const remains = async () => {
    const { stdout } = await new Deno.Command("grep", { args: ["-racE", "secret", folder.path] }).output();
    return new TextDecoder().decode(stdout).trim().split("\n").some((line) => !line.endsWith(":0"));
  };
  assertEquals(await remains(), true);
  await store.changePassphrase("x");
  assertEquals(await remains(), false);
  assertStringIncludes(asciiText((await store.message("a", 7919 % count))!.body), "secret ");
});

Deno.test("a passphrase that cannot be changed is told, and stays", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  await using store = await SqliteStore.open(path, { iterations: 1000 });
  await store.commit(everything());
  await assertFails(() => store.changePassphrase(null), "PASSPHRASE", "the store has none");
  await assertFails(() => store.changePassphrase(""), "PASSPHRASE", "it is empty");
  const snapshot = store.snapshot()[Symbol.asyncIterator]();
  await snapshot.next();
  await store.commit([putMessage("a", 9)]);
  await assertFails(() => store.changePassphrase("x"), "IN_USE", "is being read");
  await snapshot.return?.();
  await SqliteStore.openForReading(path);
  await store.changePassphrase("x");
  await assertFails(() => SqliteStore.openForReading(path), "PASSPHRASE", "needs its passphrase");
});

Deno.test("a passphrase can be given until there is something in the store", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  await close(await SqliteStore.open(path));
  await close(await SqliteStore.open(path, passphrase));
  await assertFails(() => SqliteStore.open(path), "PASSPHRASE", "needs its passphrase");
  const other = `${folder.path}/other.db`;
  {
    await using store = await SqliteStore.open(other);
    await store.commit([{ type: "put discarded", queue: discardedQueue("x") }]);
  }
  await assertFails(() => SqliteStore.open(other, passphrase), "PASSPHRASE", "without a passphrase");
});

Deno.test("files of other programs and of newer versions are told and left alone", async () => {
  const foreign: Record<string, { readonly sql: string; readonly text: string }> = {
    "another ID": { sql: "PRAGMA application_id = 7", text: "belongs to another program" },
    "another ID, in WAL mode": {
      sql: "PRAGMA journal_mode = WAL; PRAGMA application_id = 7; CREATE TABLE t (x)",
      text: "belongs to another program",
    },
    "other tables": { sql: "CREATE TABLE bookmarks (x)", text: "belongs to another program" },
    "other tables with our version": {
      sql: "CREATE TABLE connections (x); PRAGMA user_version = 1",
      text: "belongs to another program",
    },
    "other tables with the next version": {
      sql: "CREATE TABLE connections (x); PRAGMA user_version = 3",
      text: "belongs to another program",
    },
    "a newer version": {
      sql: "PRAGMA application_id = 0x534d5061; PRAGMA user_version = 4",
      text: "newer version",
    },
  };
  for (const [what, { sql, text }] of Object.entries(foreign)) {
    await using folder = await temporaryFolder();
    const path = `${folder.path}/agent.db`;
    {
      using database = new DatabaseSync(path);
      database.exec(sql);
    }
    const state = () => [
      Deno.readFileSync(path),
      Deno.statSync(path).mtime,
      [...Deno.readDirSync(folder.path)].map(({ name }) => name),
    ];
    const before = state();
    await assertFails(() => SqliteStore.open(path), "OPEN", text);
    await assertFails(() => SqliteStore.openForReading(path), "OPEN", text);
    if (what.includes("WAL") || what.includes("newer")) continue;
    assertEquals(state(), before, what);
  }
});

Deno.test("a foreign database is not even tidied up", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  {
    using database = new DatabaseSync(path);
    database.exec("PRAGMA journal_mode = WAL; PRAGMA application_id = 7; CREATE TABLE t (x)");
  }
  const before = Deno.readFileSync(path);
  await assertFails(() => SqliteStore.open(path), "OPEN", "belongs to another program");
  assertEquals(Deno.readFileSync(path), before);
  assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["agent.db"]);
});

Deno.test("a file that is no database is told and left alone", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  for (const text of ["short", "this is not a database".repeat(1000)]) {
    await Deno.writeTextFile(path, text);
    await assertFails(() => SqliteStore.open(path), "OPEN", `Cannot open ${path}`);
    assertEquals(await Deno.readTextFile(path), text);
  }
  const missing = `${folder.path}/no/agent.db`;
  await assertFails(() => SqliteStore.open(missing), "OPEN", missing);
  await assertFails(() => SqliteStore.open(":memory:"), "OPEN", "use MemoryStore");
});

Deno.test("what is stored does not keep more than itself of the block that it is a part of", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/agent.db`;
  await using store = await SqliteStore.open(path);
  const block = textBytes("before the body|the body|after the body");
  const message = { ...messageRecord("a", 1), body: block.subarray(16, 24) };
  await store.commit([...put(fullConnection("a")), { type: "put message", message }]);
  assertEquals(asciiText((await store.message("a", 1))!.body), "the body");
  assert(!(await onDisk(folder.path)).includes("after the body"));
});
