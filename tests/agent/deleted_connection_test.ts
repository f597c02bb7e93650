import { assert, assertEquals, assertRejects } from "@std/assert";
import { AgentError, MemoryStore } from "../../agent/mod.ts";
import { connectAgents, TestAgent } from "../support/agent.ts";
import { steadyPort } from "../support/ports.ts";
import { startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../server/mod.ts";

/** So long that a connection is made anew while what it had to send before waits. */
const retry = { first: 500, most: 500 };
const unlimited = { handshakesPerSecondPerIp: 0, newQueuesPerHourPerIp: 0 };

/** What is left of a connection's events that nobody expects. */
function errors(...agents: TestAgent[]) {
  return agents.flatMap(({ events }) => events.filter(({ type }) => type === "error" || type === "down"));
}

Deno.test("a name is used again while the connection that had it waits for its peer", async () => {
  await using server = await startServer({ limits: unlimited });
  await using joiner = await TestAgent.start(server.address, { retry });
  const one = await TestAgent.start(server.address);
  const { invitation } = await one.agent.create("b");
  // Whoever made the invitation is offline: HELLO is refused.
  await one.agent.close();
  await using two = await TestAgent.start(server.address);
  await joiner.agent.join(invitation, { alias: "bob" });
  await until(() => (server.metrics.commands.get("SEND ERR AUTH") ?? 0) > 0);
  await joiner.agent.delete("bob");
  await joiner.agent.join((await two.agent.create("b")).invitation, { alias: "bob" });
  await Promise.all([joiner.next("connected"), two.next("connected")]);
  await joiner.send("bob", "to the new one");
  assertEquals(await two.text("b"), "to the new one");
  assertEquals(errors(joiner, two), []);
  assertEquals(joiner.agent.connections().length, 1);
});

Deno.test("a name is used again while the server of the connection that had it is down, over a restart too", async () => {
  await using good = await startServer();
  const bad = await startServer();
  const one = await TestAgent.start(bad.address);
  const { invitation } = await one.agent.create("b");
  await one.agent.close();
  await bad.stop();
  await using two = await TestAgent.start(good.address);
  const invited = (await two.agent.create("b")).invitation;
  const store = new MemoryStore();
  {
    await using b = await TestAgent.start(good.address, { store });
    await b.agent.join(invitation, { alias: "bob" });
    await b.agent.delete("bob");
    await b.agent.join(invited, { alias: "bob" });
    await Promise.all([b.next("connected"), two.next("connected")]);
  }
  assertEquals(await store.waitingRoutes(), []);
  await using b = await TestAgent.start(good.address, { store });
  await b.send("bob", "to the new one");
  assertEquals(await two.text("b"), "to the new one");
});

Deno.test("what waited for a deleted connection is not sent to the next one of its name, and costs that nothing", async () => {
  await using server = await startServer({ limits: { ...unlimited, messagesPerQueue: 1 } });
  await using a = await TestAgent.start(server.address, { retry });
  await using old = await TestAgent.start(server.address, { acknowledge: "manual" });
  await using next = await TestAgent.start(server.address);
  await connectAgents(old, a, ["a", "bob"]);
  await a.send("bob", "old 1");
  await a.next("sent");
  await a.send("bob", "old 2");
  await until(() => (server.metrics.commands.get("SEND ERR QUOTA") ?? 0) > 0);
  await a.agent.delete("bob");
  await connectAgents(next, a, ["a", "bob"]);
  for (const text of ["new 1", "new 2", "new 3"]) await a.send("bob", text);
  for (const text of ["new 1", "new 2", "new 3"]) {
    const { message } = await next.next("message");
    assertEquals([new TextDecoder().decode(message.body), message.integrity], [text, { type: "OK" }]);
  }
  for (let id = 1; id <= 3; id++) assertEquals((await a.next("sent")).id, id);
  assertEquals(errors(a, next), []);
});

Deno.test("nothing of a deleted connection is told of the next one of its name", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address, { acknowledge: "manual" });
  await connectAgents(a, b);
  await a.send("b", "old");
  assertEquals(await b.text("a"), "old");
  await b.agent.delete("a");
  await a.agent.delete("b");
  await connectAgents(a, b);
  await b.agent.subscribe("a");
  await a.send("b", "new");
  assertEquals(await b.text("a"), "new");
  assertEquals(await b.agent.messages("a").then((all) => all.length), 1);
});

Deno.test("connections that are deleted while they receive hold up no other", async () => {
  await using server = await startServer({ limits: unlimited });
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address);
  await connectAgents(a, b, ["stays", "friend"]);
  const before = server.metrics.connectionsAccepted;
  for (let i = 0; i < 5; i++) {
    await connectAgents(a, b, [`x${i}`, `y${i}`]);
    await Promise.all(Array.from({ length: 20 }, () => b.send(`y${i}`, "m")));
    await a.next("message", ({ connection }) => connection === `x${i}`);
    const deleting = a.agent.delete(`x${i}`);
    await b.send("friend", `${i}`);
    await soon(deleting);
    assertEquals(await a.text("stays"), `${i}`);
  }
  assertEquals(errors(a), []);
  assertEquals(server.metrics.connectionsAccepted, before);
});

Deno.test("a connection whose server is gone is deleted here at once, and there when the server is back, over a restart", async () => {
  const port = steadyPort();
  const stores = { queues: new MemoryQueueStore(), messages: new MemoryMessageStore(), port };
  const store = new MemoryStore();
  const server = await startServer(stores);
  {
    await using a = await TestAgent.start(server.address, { store });
    for (const alias of ["b", "c"]) await a.agent.create(alias);
    await server.stop();
    await a.next("down");
    await soon(a.agent.delete("b"));
    assertEquals(a.agent.connections().map(({ connection }) => connection), ["c"]);
    assert(await assertRejects(() => a.agent.subscribe("b"), AgentError));
  }
  assertEquals((await store.discarded()).length, 1);
  await using back = await startServer(stores);
  assertEquals(back.gauges().queues, 2);
  await using _again = await TestAgent.start(back.address, { store });
  await until(() => back.gauges().queues === 1);
  await until(async () => (await store.discarded()).length === 0);
});

Deno.test("a queue is deleted at its server as soon as that is back", async () => {
  const stores = { queues: new MemoryQueueStore(), messages: new MemoryMessageStore(), port: steadyPort() };
  const server = await startServer(stores);
  await using a = await TestAgent.start(server.address);
  for (const alias of ["b", "c"]) await a.agent.create(alias);
  await server.stop();
  await a.next("down");
  await a.agent.delete("b");
  await using back = await startServer(stores);
  await a.next("up");
  await until(() => back.gauges().queues === 1);
});

Deno.test("two connections made at once under one name are one, and leave no queue behind", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  const made = await Promise.allSettled([a.agent.create("x"), a.agent.create("x"), a.agent.create("x")]);
  const codes = made.map((one) => one.status === "rejected" ? one.reason.code : "made");
  assertEquals(codes, ["made", "CONN DUPLICATE", "CONN DUPLICATE"]);
  assertEquals([server.gauges().queues, a.agent.connections().length], [1, 1]);
  await a.agent.delete("x");
  await a.agent.create("x");
  assertEquals(server.gauges().queues, 1);
});
