import { assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";

const session = { extensions: ["session1"] };

Deno.test("who is away while a server forgets everything subscribes, and has another queue made", async () => {
  let one = await startServer();
  await using two = await startServer();
  const store = new MemoryStore();
  await using bob = await TestAgent.start(two.address, session);
  {
    await using alice = await TestAgent.start(one.address, { ...session, store });
    await connectAgents(alice, bob, ["bob", "alice"]);
    for (const agent of [alice, bob]) {
      for (const direction of ["receiving", "sending"]) {
        await agent.next("route", (event) => event.direction === direction);
      }
    }
    await alice.send("bob", "hello");
    const { id } = await alice.next("delivered");
    assertEquals(id, 1);
  }
  const { port, address } = one;
  await one.stop();
  one = await startServer({ port });
  try {
    await using alice = await TestAgent.start(address, { ...session, store });
    await alice.agent.subscribe("bob");
    await alice.next("route", ({ direction, change }) => direction === "receiving" && change === "moved");
    await bob.send("alice", "back");
    assertEquals(await alice.text(), "back");
  } finally {
    await one.stop();
  }
});
