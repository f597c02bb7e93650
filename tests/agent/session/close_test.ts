import { assertEquals, assertRejects } from "@std/assert";
import { AgentError } from "../../../agent/mod.ts";
import { formatQueueInfo } from "../../../mod.ts";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { connected } from "../../support/restored.ts";
import { startServer } from "../../support/server.ts";
import { until } from "../../support/wait.ts";

const session = { extensions: ["session1"] };

async function settled(...agents: readonly TestAgent[]): Promise<void> {
  for (const agent of agents) {
    await agent.next("route", ({ direction }) => direction === "receiving");
    await agent.next("route", ({ direction }) => direction === "sending");
  }
}

Deno.test("who deletes a connection tells the other side, and no queue is left", async () => {
  await using server = await startServer();
  await using alice = await TestAgent.start(server.address, session);
  await using bob = await TestAgent.start(server.address, session);
  await connectAgents(alice, bob, ["bob", "alice"]);
  await bob.next("session", ({ change }) => change === "active");
  await settled(alice, bob);
  await alice.agent.delete("bob");
  await bob.next("session", ({ change }) => change === "closed");
  assertEquals(bob.agent.connection("alice").session?.closed, true);
  const error = await assertRejects(() => bob.send("alice", "hello"), AgentError, "has deleted");
  assertEquals(error.code, "CONN SIMPLEX");
  await until(() => server.gauges().queues === 0);
});

Deno.test("messages that no server has are told to be lost when the other side has deleted the connection", async () => {
  await using one = await startServer();
  await using two = await startServer();
  const pair = await connected({ alice: one, bob: two });
  await using _alice = pair.alice;
  await pair.bob.stop();
  const { store } = pair.bob;
  await pair.alice.agent.agent.delete("bob");
  await one.stop();
  await using bob = await TestAgent.start(two.address, { ...session, store });
  const ids = await Promise.all(Array.from({ length: 3 }, (_, i) => bob.send("alice", `${i}`)));
  await bob.agent.subscribe("alice");
  for (const id of ids) await bob.next("error", (event) => event.id === id);
});

Deno.test("who only sends is heard, and hears what was delivered", async () => {
  await using server = await startServer();
  const pair = await connected(server);
  await using _alice = pair.alice;
  await pair.bob.stop();
  const { agent: alice } = pair.alice, { store } = pair.bob;
  await using bob = await TestAgent.start(server.address, { ...session, store });
  const id = await bob.send("alice", "hello");
  assertEquals(await alice.text(), "hello");
  await bob.next("delivered", (event) => event.id === id);
});

Deno.test("who deletes a connection as soon as it has a session tells the other side, too", async () => {
  await using server = await startServer();
  await using alice = await TestAgent.start(server.address, session);
  await using bob = await TestAgent.start(server.address, session);
  const { invitation } = await alice.agent.create("bob");
  await bob.agent.join(formatQueueInfo(invitation), { alias: "alice" });
  await bob.next("session", ({ change }) => change === "active");
  await bob.agent.delete("alice");
  await alice.next("session", ({ change }) => change === "closed");
});

Deno.test("who sends while the other side deletes the connection is told that it did, not that a queue is gone", async () => {
  await using server = await startServer();
  const pair = await connected(server);
  await using _alice = pair.alice;
  await using _bob = pair.bob;
  const { agent: alice } = pair.alice, { agent: bob } = pair.bob;
  let isClosed = false;
  const sending = (async () => {
    while (!isClosed) {
      await bob.send("alice", "hello").catch(() => {});
      await new Promise((resolve) => setTimeout(resolve));
    }
  })();
  await alice.next("message");
  await alice.agent.delete("bob");
  await bob.next("session", ({ change }) => change === "closed");
  isClosed = true;
  await sending;
  // Of each message that no server has is told.
  const others = bob.events.filter((event) => event.type === "error" && event.id === undefined);
  assertEquals(others, []);
});
