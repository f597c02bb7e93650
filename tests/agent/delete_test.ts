import { assert, assertEquals } from "@std/assert";
import { AgentError, MemoryStore } from "../../agent/mod.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../server/mod.ts";
import { connectAgents, TestAgent } from "../support/agent.ts";
import { steadyPort } from "../support/ports.ts";
import { startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

Deno.test("deleting a connection that receives messages disturbs no other, again and again", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address);
  await connectAgents(a, b, ["stays", "a"]);
  const before = server.metrics.connectionsAccepted;
  for (let i = 0; i < 6; i++) {
    await connectAgents(a, b, [`x${i}`, `y${i}`]);
    for (let k = 0; k < 30; k++) await b.send(`y${i}`, "m");
    await a.next("message", ({ connection }) => connection === `x${i}`);
    await a.agent.delete(`x${i}`);
    await b.send("a", `still ${i}`);
    assertEquals(await a.text("stays"), `still ${i}`);
    // What was not sent is told to the sender alone; all before may have been.
    await until(() => server.metrics.commands.get("DEL OK") === i + 1);
    await b.send(`y${i}`, "late").catch(() => {});
    await b.next("error", ({ connection }) => connection === `y${i}`);
  }
  assertEquals(a.events.filter(({ type }) => type === "down" || type === "up" || type === "error"), []);
  assertEquals(server.metrics.connectionsAccepted, before);
  assertEquals(a.agent.connections().map(({ connection }) => connection), ["stays"]);
});

Deno.test("of a connection that was deleted nothing is told, also of what it had to tell", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address, { acknowledge: "manual" });
  await using b = await TestAgent.start(server.address);
  await connectAgents(a, b);
  await b.send("a", "unread");
  await a.next("message");
  await a.agent.delete("b");
  await connectAgents(a, b, ["b2", "a2"]);
  await b.send("a2", "read");
  assertEquals(await a.text("b2"), "read");
  assertEquals(a.events.filter((event) => "connection" in event && event.connection === "b"), []);
});

Deno.test("of two deletions of a connection at once one is done, and the other finds none", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  await a.agent.create("b");
  const [first, second] = await Promise.allSettled([a.agent.delete("b"), a.agent.delete("b")]);
  assertEquals(first!.status, "fulfilled");
  assert(second!.status === "rejected" && second.reason instanceof AgentError);
  assertEquals([second.reason.code, server.metrics.commands.get("DEL OK")], ["CONN UNKNOWN", 1]);
});

/** A server that keeps its queues when it is stopped, and its port. */
function steadyServer() {
  return { queues: new MemoryQueueStore(), messages: new MemoryMessageStore(), port: steadyPort() };
}

/** Waits until the store has no queue to delete any more. */
async function forgotten(store: MemoryStore): Promise<void> {
  let left = 1;
  await until(() => {
    void store.discarded().then(({ length }) => left = length);
    return left === 0;
  });
}

for (const isRestarted of [false, true]) {
  const when = isRestarted ? "over a restart of the agent" : "while the agent runs";
  Deno.test(`a connection whose server is gone is deleted at once, and its queue when that is back, ${when}`, async () => {
    await using other = await startServer();
    const stores = steadyServer();
    const server = await startServer(stores);
    const store = new MemoryStore();
    let a = await TestAgent.start(server.address, { store });
    await a.agent.create("b");
    assertEquals(server.gauges().queues, 1);
    await server.stop();
    await a.next("down");
    await soon(a.agent.delete("b"));
    a.agent.setServers([other.address]);
    await a.agent.create("b");
    if (isRestarted) {
      await a[Symbol.asyncDispose]();
      a = await TestAgent.start(other.address, { store });
    }
    await using again = await startServer(stores);
    await until(() => again.gauges().queues === 0);
    await until(() => again.metrics.commands.get("DEL OK") === 1);
    assertEquals(a.agent.connections().map(({ connection }) => connection), ["b"]);
    assertEquals(other.gauges().queues, 1);
    await forgotten(store);
    await a[Symbol.asyncDispose]();
  });
}

Deno.test("a queue that its server has deleted already is not asked for again", async () => {
  const stores = steadyServer();
  const server = await startServer(stores);
  const store = new MemoryStore();
  await using a = await TestAgent.start(server.address, { store });
  await a.agent.create("b");
  await server.stop();
  await a.next("down");
  await a.agent.delete("b");
  await using again = await startServer({ port: stores.port });
  await until(() => again.metrics.commands.get("DEL ERR AUTH") === 1);
  await forgotten(store);
  await a.agent.create("b");
  assertEquals(again.metrics.commands.get("DEL ERR AUTH"), 1);
});
