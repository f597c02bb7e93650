import { assert, assertEquals, assertRejects } from "@std/assert";
import { IndexedDbStore } from "../../../agent/store/indexeddb.ts";
import { MemoryStore } from "../../../agent/store/memory.ts";
import { SqliteStore } from "../../../agent/store/sqlite.ts";
import type { AgentStore } from "../../../agent/store/store.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { temporaryDatabase } from "../../support/indexeddb.ts";
import { emptyRecord, fullRecord, messageRecord, outboxEntry, put } from "./samples.ts";

const passphrase = { passphrase: "correct horse", iterations: 1000 };

/** What every store must do, over each of them. */
function testStores(name: string, test: (store: AgentStore) => Promise<void>): void {
  Deno.test(`memory: ${name}`, { permissions: "none" }, async () => {
    await using store = new MemoryStore();
    await test(store);
  });
  for (const [kind, options] of [["SQLite", {}], ["SQLite with passphrase", passphrase]] as const) {
    Deno.test(`${kind}: ${name}`, async () => {
      await using folder = await temporaryFolder();
      await using store = await SqliteStore.open(`${folder.path}/agent.db`, options);
      await test(store);
    });
  }
  for (const [kind, options] of [["IndexedDB", {}], ["IndexedDB with passphrase", passphrase]] as const) {
    Deno.test(`${kind}: ${name}`, { permissions: "none" }, async () => {
      await using database = temporaryDatabase();
      await using store = await IndexedDbStore.open(database.name, options);
      await test(store);
    });
  }
}

testStores("connections are kept with all that is in them, oldest first", async (store) => {
  assertEquals(await store.connections(), []);
  await store.commit([put(emptyRecord("b")), put(fullRecord("a"))]);
  const all = await store.connections();
  assertEquals(new Set(all.map(({ alias }) => alias)), new Set(["a", "b"]));
  assertEquals(all.find(({ alias }) => alias === "a"), fullRecord("a"));
  assertEquals(all.find(({ alias }) => alias === "b"), emptyRecord("b"));
});

testStores("a connection is changed, with its queues or without", async (store) => {
  await store.commit([put(emptyRecord("a"))]);
  const record = { ...fullRecord("a"), createdAt: 2000 };
  await store.commit([put(record)]);
  assertEquals(await store.connections(), [record]);
  const changed = { ...record, lastMessageId: 99, lastServerId: "bmV3" };
  await store.commit([{ type: "put connection", record: changed, withQueues: false }]);
  assertEquals(await store.connections(), [changed]);
});

testStores("an outbox is read in order, changed and emptied", async (store) => {
  await store.commit([put(fullRecord("a")), put(fullRecord("b"))]);
  assertEquals(await store.outboxAliases(), []);
  await store.commit([1, 2, 11].map((n) => ({ type: "put outbox", entry: outboxEntry("a", n) })));
  await store.commit([{ type: "put outbox", entry: outboxEntry("b", 12) }]);
  assertEquals((await store.outboxAliases()).toSorted(), ["a", "b"]);
  assertEquals(await store.outbox("a", 2), [outboxEntry("a", 1), outboxEntry("a", 2)]);
  const attempted = { ...outboxEntry("a", 1), attempted: true };
  await store.commit([{ type: "put outbox", entry: attempted }]);
  assertEquals(await store.outbox("a", 10), [attempted, outboxEntry("a", 2), outboxEntry("a", 11)]);
  await store.commit([1, 2, 11].map((position) => ({ type: "delete outbox", alias: "a", position })));
  assertEquals([await store.outbox("a", 10), await store.outboxAliases()], [[], ["b"]]);
});

testStores("messages are read by number and in pages, and can be done", async (store) => {
  await store.commit([put(fullRecord("a"))]);
  const ids = [1, 2, 3, 4, 5];
  await store.commit(ids.map((id) => ({ type: "put message", message: messageRecord("a", id) })));
  assertEquals(await store.messages("a"), ids.map((id) => messageRecord("a", id)));
  assertEquals((await store.messages("a", { limit: 2 })).map(({ id }) => id), [4, 5]);
  assertEquals((await store.messages("a", { before: 4, limit: 2 })).map(({ id }) => id), [2, 3]);
  assertEquals([await store.message("a", 3), await store.message("a", 6)], [messageRecord("a", 3), null]);
  assertEquals(await store.messages("b"), []);
  await store.commit([{ type: "message done", alias: "a", id: 3 }, {
    type: "message done",
    alias: "a",
    id: 77,
  }]);
  assertEquals((await store.messages("a")).filter(({ done }) => done).map(({ id }) => id), [3]);
});

testStores("what is deleted is gone with all that belongs to it", async (store) => {
  await store.commit([
    put(fullRecord("a")),
    put(fullRecord("b")),
    { type: "put outbox", entry: outboxEntry("a", 1) },
    { type: "put message", message: messageRecord("a", 1) },
    { type: "put message", message: messageRecord("b", 1) },
  ]);
  await store.commit([{ type: "delete connection", alias: "a" }]);
  assertEquals((await store.connections()).map(({ alias }) => alias), ["b"]);
  assertEquals([await store.outbox("a", 10), await store.messages("a")], [[], []]);
  assertEquals((await store.messages("b")).length, 1);
  await store.commit([put(emptyRecord("a"))]);
  assertEquals((await store.connections()).find(({ alias }) => alias === "a"), emptyRecord("a"));
});

testStores("old messages that are done are removed", async (store) => {
  await store.commit([put(fullRecord("a"))]);
  const messages = [1, 2, 3, 4].map((id) => ({ ...messageRecord("a", id, id * 10), done: id !== 2 }));
  await store.commit(messages.map((message) => ({ type: "put message", message })));
  assertEquals(await store.prune(35), 2);
  assertEquals((await store.messages("a")).map(({ id }) => id), [2, 4]);
  assertEquals(await store.prune(35), 0);
});

testStores("many commits at once are all kept", async (store) => {
  await store.commit([put(fullRecord("a"))]);
  const ids = Array.from({ length: 500 }, (_, i) => i + 1);
  await Promise.all(
    ids.map((id) => store.commit([{ type: "put message", message: messageRecord("a", id) }])),
  );
  assertEquals((await store.messages("a", { limit: 1000 })).map(({ id }) => id), ids);
});

async function testFailure(store: AgentStore): Promise<void> {
  await store.commit([put(fullRecord("a"))]);
  const bad = store.commit([
    { type: "put message", message: messageRecord("a", 1) },
    { type: "put message", message: messageRecord("nobody", 1) },
  ]);
  const good = store.commit([{ type: "put message", message: messageRecord("a", 2) }]);
  const error = await assertRejects(() => bad);
  assert(error instanceof Error && "code" in error && error.code === "WRITE");
  await good;
  assertEquals((await store.messages("a")).map(({ id }) => id), [2]);
}

Deno.test("SQLite: a commit that fails changes nothing and takes no other with it", async () => {
  await using store = await SqliteStore.open(":memory:");
  await testFailure(store);
});

Deno.test("IndexedDB: a commit that fails changes nothing and takes no other with it", async () => {
  await using database = temporaryDatabase();
  await using store = await IndexedDbStore.open(database.name);
  await testFailure(store);
});
