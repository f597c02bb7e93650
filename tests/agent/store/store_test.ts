import { assert, assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/store/memory.ts";
import { SqliteStore } from "../../../agent/store/sqlite.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { testAgentStore } from "./contract.ts";
import { fullConnection, messageRecord, put, putMessage } from "./samples.ts";

testAgentStore("memory", async (test) => {
  await using store = new MemoryStore();
  await test(store);
}, { permissions: "none" });

for (
  const [kind, options] of [
    ["SQLite", {}],
    ["SQLite with passphrase", { passphrase: "correct horse", iterations: 1000 }],
  ] as const
) {
  testAgentStore(kind, async (test) => {
    await using folder = await temporaryFolder();
    await using store = await SqliteStore.open(`${folder.path}/agent.db`, options);
    await test(store);
  });
}

Deno.test(
  "memory: of messages that are done only the last are kept, of others all",
  { permissions: "none" },
  async () => {
    await using store = new MemoryStore();
    await store.commit(put(fullConnection("a")));
    for (let id = 1; id <= 3000; id++) {
      await store.commit([putMessage("a", id)]);
      if (id > 10) await store.commit([{ type: "message done", connection: "a", id }]);
    }
    const kept = (await store.messages("a", { limit: 10_000 })).map(({ id }) => id);
    assertEquals(kept.length, 1010);
    assertEquals([kept[0], kept[9], kept[10], kept.at(-1)], [1, 10, 2001, 3000]);
    const done = { ...messageRecord("a", 3001), done: true };
    await store.commit([{ type: "put message", message: done }]);
    assertEquals((await store.messages("a", { limit: 10_000 })).length, 1010);
    assert(await store.message("a", 2001) === null);
  },
);
