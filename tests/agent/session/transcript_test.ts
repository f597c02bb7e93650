import { assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";

const session = { extensions: ["session1"] };

Deno.test("what was said before a session, with the keys of its first routes, is not kept when both have it", async () => {
  await using server = await startServer();
  const stores = { alice: new MemoryStore(), bob: new MemoryStore() };
  await using alice = await TestAgent.start(server.address, { ...session, store: stores.alice });
  await using bob = await TestAgent.start(server.address, { ...session, store: stores.bob });
  await connectAgents(alice, bob, ["bob", "alice"]);
  for (const agent of [alice, bob]) {
    for (const direction of ["sending", "receiving"]) {
      await agent.next("route", (event) => event.direction === direction);
    }
  }
  for (const store of [stores.alice, stores.bob]) {
    const [connection] = await store.connections();
    const { transcript, pair, secret } = connection!.session!.keys;
    assertEquals([transcript, pair, secret], [{}, null, null]);
  }
  assertEquals(alice.agent.safetyCode("bob"), bob.agent.safetyCode("alice"));
});
