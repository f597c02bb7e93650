import { assertEquals } from "@std/assert";
import { MemoryStore, type StoreChange } from "../../../agent/mod.ts";
import type { CommitOptions } from "../../../agent/store/store.ts";
import { textBytes } from "../../../protocol/mod.ts";
import { connectAgents, sessions, settled, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";

/** Keeps which changes a power cut may undo, and which it may not. */
class ToldStore extends MemoryStore {
  readonly lost = new Set<string>();
  readonly kept = new Set<string>();

  override async commit(changes: readonly StoreChange[], options?: CommitOptions): Promise<void> {
    for (const { type } of changes) (options?.mayBeLost === true ? this.lost : this.kept).add(type);
    await super.commit(changes);
  }
}

Deno.test("a power cut may undo that a message was sent, but not the message", async () => {
  await using server = await startServer();
  const store = new ToldStore();
  await using alice = await TestAgent.start(server.address, { ...sessions, store });
  await using bob = await TestAgent.start(server.address, sessions);
  await connectAgents(alice, bob);
  await settled(alice, bob);
  for (const changes of [store.lost, store.kept]) changes.clear();
  // With something else that is stored at the same time it is stored for good.
  for (let sent = 0; !store.lost.has("put outbound") && sent < 10; sent++) {
    await alice.agent.send("b", textBytes("there"));
    await alice.next("sent");
  }
  const undone = ["message done", "put event", "put outbound", "put session", "delete event"];
  assertEquals([...store.lost].filter((type) => !undone.includes(type)), []);
  assertEquals(store.lost.has("put outbound"), true);
  const put = ["put connection", "put frame", "put message", "put session"];
  assertEquals(put.filter((type) => !store.kept.has(type)), []);
});
