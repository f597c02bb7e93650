import { assert, assertEquals, assertRejects } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { SqliteStore, StoreError } from "../../../agent/store/sqlite.ts";
import type { Connection, StoreChange } from "../../../agent/store/store.ts";
import { asciiText, encodeBase64 } from "../../../protocol/mod.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import {
  everything,
  fullConnection,
  messageRecord,
  outboxEntry,
  put,
  receivingRoute,
  sendingRoute,
  sessionBelongings,
  sessionConnection,
  withoutSessions,
} from "./samples.ts";

const passphrase = "correct horse";
const twoDays = 2 * 86_400_000;

/** Makes a database of a dump (`sqlite3 FILE .dump` and its pragmas) in a folder. */
async function restore(folder: string, dump: string): Promise<string> {
  const path = `${folder}/agent.db`;
  using database = new DatabaseSync(path);
  database.exec(await Deno.readTextFile(new URL(`../../vectors/agent/${dump}.sql`, import.meta.url)));
  return path;
}

/** What a connection was in the first version: `lastHash` and other things of routes were its own. */
function expected(
  alias: string,
  createdAt: number,
  routes: Pick<Connection, "receiving" | "sending">,
): Connection {
  const connection = fullConnection("", createdAt);
  return {
    ...connection,
    record: { ...connection.record, alias, extensions: null, connected: false },
    ...routes,
  };
}

/** Connections with what is new in each of them, its IDs, replaced by the label. */
function named(connections: readonly Connection[]): Connection[] {
  return connections.map((connection) => {
    const { record, receiving, sending } = connection;
    for (const { id } of [record, ...receiving, ...sending]) assert(/^[A-Za-z0-9+/]{16}$/.test(id), id);
    return {
      ...connection,
      record: { ...record, id: "" },
      receiving: receiving.map((route) => ({ ...route, id: "" })),
      sending: sending.map((route) => ({ ...route, id: "" })),
    };
  });
}

/** In the dumps. */
const keyHash = "aGFzaA==";

const { keys } = receivingRoute("");
const receiving = {
  ...receivingRoute(""),
  keys: { ...keys, server: { ...keys.server, keyHash }, verificationKey: Uint8Array.of(7) },
  unacknowledged: [],
};
const sending = sendingRoute("");

Deno.test("a database of the first version is brought up to date with all that is in it", async () => {
  await using folder = await temporaryFolder();
  await using store = await SqliteStore.open(await restore(folder.path, "v1"));
  const connections = await store.connections();
  const a = expected("a", 1000, { receiving: [receiving], sending: [sending] });
  const b = expected("b", 2000, { receiving: [], sending: [] });
  const none = { id: 0, hash: new Uint8Array() };
  assertEquals(named(connections), [
    { ...a, record: { ...a.record, connected: true } },
    {
      ...b,
      record: {
        ...b.record,
        role: "initiator",
        lastSent: none,
        lastReceived: none,
        lastPosition: 10,
        unreadable: 0,
      },
    },
  ]);
  const { record: { id }, sending: [route] } = connections[0]!;
  const delivered = { connection: id, route: route!.id, attempted: false };
  assertEquals(await store.deliveries(route!.id, 10), [
    { ...outboxEntry(id, 1), ...delivered, giveUpAt: 5 + twoDays },
    { ...outboxEntry(id, 11), ...delivered, giveUpAt: null },
  ]);
  assertEquals(await store.messages(id), [messageRecord(id, 1), messageRecord(id, 2)]);
  assertEquals(await store.events(0, 10), [{ id: 1, connection: id, event: { type: "message", id: 1 } }]);
});

for (const [dump, options] of [["v1_states", {}], ["v1_passphrase", { passphrase }]] as const) {
  Deno.test(`connections of every state are brought up to date: ${dump}`, async () => {
    await using folder = await temporaryFolder();
    const path = await restore(folder.path, dump);
    await using store = await SqliteStore.open(path, options);
    const connections = await store.connections();
    const of = (alias: string) => connections.find(({ record }) => record.alias === alias)!;
    const label = (id: string) => connections.find(({ record }) => record.id === id)!.record.alias;

    const states = connections.map(({ record, receiving, sending }) => [
      record.alias,
      record.role,
      record.lastPosition,
      record.extensions,
      receiving.map(({ status }) => status).join(),
      sending.map(({ status }) => status).join(),
    ]);
    assertEquals(states, [
      ["friend", "initiator", 24, [], "active", "active"],
      ["joining", "joiner", 10, null, "", "new"],
      ["invited", "initiator", 10, null, "", ""],
      ["greeting", "joiner", 24, null, "new", "confirmed"],
      ["failed", "joiner", 23, null, "", "failed"],
      ["answering", "initiator", 23, [], "active", "confirmed"],
    ]);
    assertEquals(named([of("friend")])[0]!.receiving, [{
      ...receiving,
      status: "active",
      suspended: false,
      unacknowledged: [{ id: 5, serverId: "bGFzdA==" }],
    }]);
    assertEquals(named([of("friend")])[0]!.sending, [sending]);
    assertEquals(of("greeting").receiving[0]!.unacknowledged, []);

    const queued = async (alias: string) =>
      (await store.deliveries(of(alias).sending[0]!.id, 10)).map((one) => [
        one.position,
        one.kind,
        one.attempted,
        one.giveUpAt,
        one.plaintext.join(),
      ]);
    assertEquals(await queued("friend"), [[23, "MSG", false, null, "23,1"], [
      24,
      "MSG",
      false,
      null,
      "24,1",
    ]]);
    assertEquals(await queued("joining"), [
      [1, "KEY", true, 5 + twoDays, "1,1"],
      [2, "HELLO", false, 5 + twoDays, "2,1"],
      [3, "REPLY", false, null, "3,1"],
    ]);
    assertEquals(await queued("answering"), [[2, "HELLO", false, null, "2,1"]]);

    const messages = await store.messages(of("friend").record.id);
    assertEquals(messages.map(({ id, done, body }) => [id, done, body.join()]), [
      [1, true, "1,2"],
      [2, false, "2,2"],
      [3, false, "3,2"],
      [4, true, "4,2"],
      [5, false, "5,2"],
    ]);
    const events = (await store.events(0, 10)).map((
      { id, connection, event },
    ) => [id, label(connection), event]);
    assertEquals(events, [
      [1, "friend", { type: "message", id: 2 }],
      [2, "greeting", { type: "message", id: 1 }],
      [3, "friend", { type: "message", id: 5 }],
    ]);
  });
}

Deno.test("a database of the first version needs its passphrase, and stays as it is without", async () => {
  await using folder = await temporaryFolder();
  const path = await restore(folder.path, "v1_passphrase");
  const before = await Deno.readFile(path);
  for (const options of [{}, { passphrase: "wrong" }]) {
    const error = await assertRejects(() => SqliteStore.open(path, options), StoreError);
    assertEquals(error.code, "PASSPHRASE");
    {
      using database = new DatabaseSync(path);
      assertEquals(database.prepare("PRAGMA user_version").get()!.user_version, 1);
      assertEquals(database.prepare("SELECT count(*) AS count FROM receiving_queues").get()!.count, 3);
    }
    assertEquals((await Deno.readFile(path)).length, before.length);
  }
  const reading = await assertRejects(() => SqliteStore.openForReading(path, { passphrase }), StoreError);
  assertEquals([reading.code, /older version/.test(reading.message)], ["OPEN", true]);
  await (await SqliteStore.open(path, { passphrase }))[Symbol.asyncDispose]();
  const wrong = await assertRejects(() => SqliteStore.open(path, { passphrase: "wrong" }), StoreError);
  assertEquals(wrong.code, "PASSPHRASE");
});

Deno.test("a database of the first version without passphrase gets none", async () => {
  await using folder = await temporaryFolder();
  const path = await restore(folder.path, "v1_states");
  const error = await assertRejects(() => SqliteStore.open(path, { passphrase }), StoreError);
  assertEquals(error.code, "PASSPHRASE");
  await using store = await SqliteStore.open(path);
  assertEquals((await store.connections()).length, 6);
});

Deno.test("what the first version had in the clear is gone with a passphrase", async () => {
  await using folder = await temporaryFolder();
  const path = await restore(folder.path, "v1_passphrase");
  const hash = "the hash of the last plaintext...";
  {
    using database = new DatabaseSync(path);
    database.prepare("UPDATE connections SET last_plaintext_hash = CAST(? AS BLOB)").run(hash);
  }
  assert(asciiText(await Deno.readFile(path)).includes(hash));
  await (await SqliteStore.open(path, { passphrase }))[Symbol.asyncDispose]();
  const after = asciiText(await Deno.readFile(path));
  for (const text of [hash, encodeBase64(new TextEncoder().encode(hash)), "friend", "one.example"]) {
    assert(!after.includes(text), text);
  }
});

/** What is in a dump of {@linkcode everything}: tables come one after the other. */
function texts(changes: readonly StoreChange[]): string[] {
  return changes.map((change) => change.type + JSON.stringify(sorted(change)))
    .map((text) => text.replace(keys.server.keyHash!, keyHash)).toSorted();
}

/** What SQLite has made of a schema. */
function schemaOf(path: string): unknown {
  using database = new DatabaseSync(path);
  const query = "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name";
  return [
    database.prepare("PRAGMA application_id").get(),
    database.prepare("PRAGMA user_version").get(),
    ...database.prepare(query).all().map(({ name, sql }) => `${name}: ${String(sql).replace(/\s+/g, " ")}`),
  ];
}

Deno.test("a database of this version is read as it was written", async () => {
  for (const [dump, options] of [["v3", {}], ["v3_passphrase", { passphrase }]] as const) {
    await using folder = await temporaryFolder();
    await using store = await SqliteStore.open(await restore(folder.path, dump), options);
    assertEquals(texts(await Array.fromAsync(store.snapshot())), texts(everything()));
  }
});

Deno.test("a database of version 2 is brought up to date in its place, and can have sessions then", async () => {
  for (const [dump, options] of [["v2", {}], ["v2_passphrase", { passphrase }]] as const) {
    await using folder = await temporaryFolder();
    const path = await restore(folder.path, dump);
    {
      await using store = await SqliteStore.open(path, options);
      assertEquals(texts(await Array.fromAsync(store.snapshot())), texts(withoutSessions()));
      assertEquals(
        (await store.connections()).map(({ session, inbound, outbound }) => [
          session,
          inbound,
          outbound,
        ]),
        [[null, [], []], [null, [], []]],
      );
      await store.commit([...put(sessionConnection("s")), ...sessionBelongings("s")]);
    }
    await using made = await temporaryFolder();
    const other = `${made.path}/agent.db`;
    await (await SqliteStore.open(other))[Symbol.asyncDispose]();
    assertEquals(schemaOf(path), schemaOf(other));
    await using store = await SqliteStore.open(path, options);
    const expected = [...withoutSessions(), ...put(sessionConnection("s")), ...sessionBelongings("s")];
    assertEquals(texts(await Array.fromAsync(store.snapshot())), texts(expected));
    await store.commit([{ type: "delete connection", connection: "s" }]);
    assertEquals(texts(await Array.fromAsync(store.snapshot())), texts(withoutSessions()));
  }
});

Deno.test("a database of version 2 that cannot be brought up to date stays as it is", async () => {
  await using folder = await temporaryFolder();
  const path = await restore(folder.path, "v2_passphrase");
  const before = schemaOf(path);
  for (const options of [{}, { passphrase: "wrong" }]) {
    const error = await assertRejects(() => SqliteStore.open(path, options), StoreError);
    assertEquals([error.code, schemaOf(path)], ["PASSPHRASE", before]);
  }
  const reading = await assertRejects(() => SqliteStore.openForReading(path, { passphrase }), StoreError);
  assertEquals([reading.code, /older version/.test(reading.message)], ["OPEN", true]);
  {
    using database = new DatabaseSync(path);
    // The last step but one of the migration fails.
    database.exec("CREATE INDEX messages_undelivered ON messages (at)");
  }
  const broken = schemaOf(path);
  const error = await assertRejects(() => SqliteStore.open(path, { passphrase }), StoreError);
  assertEquals([error.code, schemaOf(path)], ["OPEN", broken]);
  {
    using database = new DatabaseSync(path);
    database.exec("DROP INDEX messages_undelivered");
  }
  await using store = await SqliteStore.open(path, { passphrase });
  assertEquals(texts(await Array.fromAsync(store.snapshot())), texts(withoutSessions()));
});

function sorted(value: unknown): unknown {
  if (value instanceof Uint8Array) return encodeBase64(value);
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, sorted(part)] as const).toSorted(([a], [b]) =>
      a < b ? -1 : 1
    ),
  );
}
