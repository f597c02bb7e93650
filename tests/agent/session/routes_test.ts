import { assert, assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../agent/mod.ts";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";
import { until } from "../../support/wait.ts";

const session = { extensions: ["session1"] };

/** Waits until both sides have replaced the routes that only RSA protected. */
async function settled(...agents: readonly TestAgent[]): Promise<void> {
  for (const agent of agents) {
    await agent.next("route", ({ direction }) => direction === "receiving");
    await agent.next("route", ({ direction }) => direction === "sending");
  }
}

Deno.test("the first routes are replaced, and the queues of 0.3 are gone", async () => {
  await using server = await startServer();
  await using alice = await TestAgent.start(server.address, session);
  await using bob = await TestAgent.start(server.address, session);
  await connectAgents(alice, bob, ["bob", "alice"]);
  await settled(alice, bob);
  await until(() => server.gauges().queues === 2);
  await alice.send("bob", "hello");
  assertEquals(await bob.text(), "hello");
  assert(alice.agent.safetyCode("bob") !== null);
  assertEquals(alice.agent.safetyCode("bob"), bob.agent.safetyCode("alice"));
});

Deno.test("both sides rotate at once while both send, and every message comes once and in order", async () => {
  await using one = await startServer();
  await using two = await startServer();
  const servers = [one.address, two.address];
  await using alice = await TestAgent.start(servers, session);
  await using bob = await TestAgent.start(servers, session);
  await connectAgents(alice, bob, ["bob", "alice"]);
  await settled(alice, bob);
  const count = 30;
  for (let i = 0; i < count; i++) {
    await Promise.all([alice.send("bob", `${i}`), bob.send("alice", `${i}`)]);
    if (i === 10) await Promise.all([alice.agent.rotate("bob"), bob.agent.rotate("alice")]);
  }
  for (let i = 0; i < count; i++) {
    assertEquals([await alice.text(), await bob.text()], [`${i}`, `${i}`]);
  }
  await settled(alice, bob);
  await until(() => one.gauges().queues + two.gauges().queues === 2);
});

Deno.test("a server is left while messages come", async () => {
  await using one = await startServer();
  await using two = await startServer();
  await using alice = await TestAgent.start([one.address], session);
  await using bob = await TestAgent.start([two.address], session);
  await connectAgents(alice, bob, ["bob", "alice"]);
  await settled(alice, bob);
  alice.agent.setServers([one.address, two.address]);
  const lefts: number[] = [];
  for await (const { left } of alice.agent.leave(one.address)) {
    lefts.push(left);
    await bob.send("alice", `${left}`);
  }
  assertEquals(lefts, [1, 0]);
  for (const left of lefts) assertEquals(await alice.text(), `${left}`);
  await until(() => one.gauges().queues === 0);
});

Deno.test("a suspended connection cannot move, and what is sent to it waits", async () => {
  await using one = await startServer();
  await using two = await startServer();
  const servers = [one.address, two.address];
  await using alice = await TestAgent.start(servers, session);
  await using bob = await TestAgent.start(servers, session);
  await connectAgents(alice, bob, ["bob", "alice"]);
  await settled(alice, bob);
  await bob.agent.suspend("alice");
  await assertRejects(() => bob.agent.rotate("alice"), AgentError, "suspended");
  await alice.send("bob", "too late");
  assertEquals((await alice.next("error")).error.code, "SMP AUTH");
  const [server] = bob.agent.connection("alice").session!.servers.receiving;
  for await (const { left, staying } of bob.agent.leave(server!)) assertEquals([left, staying], [0, 1]);
  assertEquals(one.gauges().queues + two.gauges().queues, 2);
});

Deno.test("with two routes each, nobody notices that a server dies", async () => {
  await using one = await startServer();
  await using two = await startServer();
  const options = { ...session, routes: 2 };
  await using alice = await TestAgent.start([one.address, two.address], options);
  await using bob = await TestAgent.start([one.address, two.address], options);
  await connectAgents(alice, bob, ["bob", "alice"]);
  await until(() => alice.agent.connection("bob").session?.servers.sending.length === 2);
  await until(() => bob.agent.connection("alice").session?.servers.sending.length === 2);
  await settled(alice, bob);
  await one.stop();
  for (let i = 0; i < 5; i++) {
    await alice.send("bob", `${i}`);
    assertEquals(await bob.text(), `${i}`);
    await bob.send("alice", `${i}`);
    assertEquals(await alice.text(), `${i}`);
  }
});
