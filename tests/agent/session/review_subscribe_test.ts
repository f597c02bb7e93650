import { assertEquals, assertRejects } from "@std/assert";
import { AgentError, MemoryStore } from "../../../agent/mod.ts";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { steadyPort } from "../../support/ports.ts";
import { startServer } from "../../support/server.ts";

const session = { extensions: ["session1"] };

Deno.test("who is away while a server forgets everything subscribes, and has another queue made", async () => {
  const port = steadyPort();
  let one = await startServer({ port });
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
  const { address } = one;
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

Deno.test("who has several servers subscribes when one of them can be reached, and to the other when that is back", async () => {
  await using one = await startServer();
  const port = steadyPort();
  let two = await startServer({ port });
  const { address } = two;
  const store = new MemoryStore();
  await using bob = await TestAgent.start(one.address, session);
  {
    await using alice = await TestAgent.start([one.address, address], { ...session, store, routes: 2 });
    await connectAgents(alice, bob, ["bob", "alice"]);
    await alice.next("route", ({ direction, change }) => direction === "receiving" && change === "added");
  }
  await two.stop();
  {
    await using alice = await TestAgent.start([one.address, address], { ...session, store, routes: 2 });
    await alice.agent.subscribe("bob");
    await bob.send("alice", "hello");
    assertEquals(await alice.text(), "hello");
    two = await startServer({ port });
    await alice.next("route", ({ direction, from }) => direction === "receiving" && from === address);
  }
  await two.stop();
});

Deno.test("who cannot reach any of its servers is told when it subscribes", async () => {
  const one = await startServer(), two = await startServer();
  await using three = await startServer();
  const store = new MemoryStore();
  const servers = [one.address, two.address];
  await using bob = await TestAgent.start(three.address, session);
  {
    await using alice = await TestAgent.start(servers, { ...session, store, routes: 2 });
    await connectAgents(alice, bob, ["bob", "alice"]);
    await alice.next("route", ({ direction, change }) => direction === "receiving" && change === "added");
  }
  await one.stop();
  await two.stop();
  await using alice = await TestAgent.start(servers, { ...session, store, routes: 2 });
  const error = await assertRejects(() => alice.agent.subscribe("bob"), AgentError);
  assertEquals(error.code, "BROKER NETWORK");
});
