import { assertEquals } from "@std/assert";
import { MemoryMessageStore, MemoryQueueStore } from "../../../server/mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { dyingStore } from "../../support/dying_store.ts";
import { steadyPort } from "../../support/ports.ts";
import { connected, sessions } from "../../support/restored.ts";
import { startServer } from "../../support/server.ts";
import { until } from "../../support/wait.ts";

/** How often the application was told that the other side has deleted the connection. */
function ends({ events }: TestAgent): number {
  return events.filter((event) => event.type === "session" && event.change === "closed").length;
}

for (const isRestarted of [false, true]) {
  const when = isRestarted ? "over a restart of the agent" : "while the agent runs";
  Deno.test(`the other side of a deleted connection is told when its server is back, ${when}`, async () => {
    const stores = { queues: new MemoryQueueStore(), messages: new MemoryMessageStore(), port: steadyPort() };
    await using own = await startServer();
    const server = await startServer(stores);
    const pair = await connected({ alice: own, bob: server });
    await using alice = pair.alice;
    await using bob = pair.bob;
    await bob.stop();
    await server.stop();
    await alice.agent.agent.delete("bob");
    assertEquals(await alice.store.connections(), []);
    if (isRestarted) await alice.restore(alice.store);
    await using _again = await startServer(stores);
    await until(async () => (await alice.store.discarded()).length === 0);
    await bob.start();
    await until(() => ends(bob.agent) > 0);
    await until(() => own.gauges().queues === 0);
    assertEquals(ends(bob.agent), 1);
  });
}

Deno.test("the other side of a deleted connection is told once, though the program ends at any change of its store", async () => {
  await using server = await startServer();
  const pair = await connected(server);
  await pair.alice.stop();
  await using bob = pair.bob;
  const { store } = pair.alice;
  // The connection is taken away, then each thing that is left to be done.
  for (const isAfter of [false, true, false, true, false]) {
    let isDead = false;
    const mortal = dyingStore(store, { commits: 0, isAfter, died: () => isDead = true });
    const alice = await TestAgent.start(server.address, { ...sessions, store: mortal });
    await alice.agent.delete("bob").catch(() => {});
    await until(() => isDead);
    await alice[Symbol.asyncDispose]();
  }
  await using _alice = await TestAgent.start(server.address, { ...sessions, store });
  await until(() => ends(bob.agent) > 0);
  await until(async () => (await store.discarded()).length === 0 && server.gauges().queues === 0);
  assertEquals(ends(bob.agent), 1);
});
