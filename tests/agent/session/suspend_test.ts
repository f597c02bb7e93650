import { assertEquals, assertRejects } from "@std/assert";
import { AgentError, MemoryStore } from "../../../agent/mod.ts";
import type { StoreChange } from "../../../agent/store/store.ts";
import { formatQueueInfo } from "../../../mod.ts";
import { deferred } from "../../../protocol/mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";
import { soon } from "../../support/wait.ts";

const sessions = { extensions: ["session1"] };

/** Stores nothing of an upgrade that is answered before it may. */
class GatedStore extends MemoryStore {
  readonly gate = deferred<void>();
  readonly reached = deferred<void>();

  override async commit(changes: readonly StoreChange[]): Promise<void> {
    if (changes.some((change) => change.type === "put session" && change.session.status === "answered")) {
      this.reached.resolve();
      await this.gate.promise;
    }
    await super.commit(changes);
  }
}

Deno.test("a connection that is being upgraded is not suspended: the upgrade goes through its queue", async () => {
  await using server = await startServer();
  const store = new GatedStore();
  await using alice = await TestAgent.start(server.address, { ...sessions, store });
  await using bob = await TestAgent.start(server.address, sessions);
  const { invitation } = await alice.agent.create("bob");
  await bob.agent.join(formatQueueInfo(invitation), { alias: "alice" });
  await soon(store.reached.promise);
  const error = await assertRejects(() => soon(alice.agent.suspend("bob")), AgentError, "being upgraded");
  assertEquals(error.code, "CMD PROHIBITED");
  store.gate.resolve();
  await bob.send("alice", "hello");
  assertEquals(await alice.text(), "hello");
  await alice.agent.suspend("bob");
});
