import { assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import { tcpTransport, type Transport } from "../../../client/mod.ts";
import type { SmpServer } from "../../../server/mod.ts";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";
import { until } from "../../support/wait.ts";

// A deleted connection and a later one of the same name have nothing to do with each other.

/** Long enough for another connection of the same name to be made before the next try. */
const retry = { first: 1000, most: 1000 };

const outcomes = ({ metrics }: SmpServer, outcome: string) => metrics.commands.get(outcome) ?? 0;

Deno.test("a connection connects though another of its name was deleted while its peer was offline", async () => {
  await using server = await startServer();
  await using b = await TestAgent.start(server.address, { retry });
  const first = await TestAgent.start(server.address);
  const { invitation: one } = await first.agent.create("b");
  await first.agent.close();
  await using second = await TestAgent.start(server.address);
  const { invitation: two } = await second.agent.create("b");
  await b.agent.join(one, { alias: "bob" });
  // HELLO is refused as long as the first has not taken KEY.
  await until(() => outcomes(server, "SEND ERR AUTH") > 0);
  await b.agent.delete("bob");
  await b.agent.join(two, { alias: "bob" });
  await Promise.all([b.next("connected"), second.next("connected")]);
  await b.send("bob", "hello");
  assertEquals(await second.text("b"), "hello");
  assertEquals([...b.events, ...second.events].filter(({ type }) => type === "error"), []);
});

Deno.test("nothing that was for a server that is gone goes to the new connection, over a restart too", async () => {
  await using good = await startServer();
  const bad = await startServer();
  const first = await TestAgent.start(bad.address);
  const { invitation: one } = await first.agent.create("b");
  await first[Symbol.asyncDispose]();
  await bad.stop();
  await using second = await TestAgent.start(good.address);
  const { invitation: two } = await second.agent.create("b");
  let tries = 0;
  const transport: Transport = (address, signal) => {
    if (address.port === one.server.port) tries++;
    return tcpTransport(address, signal);
  };
  const store = new MemoryStore();
  {
    await using b = await TestAgent.start(good.address, { store, client: { transport } });
    await b.agent.join(one, { alias: "bob" });
    await until(() => tries > 0);
    await b.agent.delete("bob");
    await b.agent.join(two, { alias: "bob" });
    await Promise.all([b.next("connected"), second.next("connected")]);
    assertEquals(b.agent.connections().length, 1);
  }
  const before = tries;
  await using b = await TestAgent.start(good.address, { store, client: { transport } });
  await b.send("bob", "hello");
  assertEquals(await second.text("b"), "hello");
  assertEquals(tries, before);
  assertEquals([...b.events, ...second.events].filter(({ type }) => type === "error"), []);
});

Deno.test("messages that wait for a deleted connection are not sent on a new one of its name, and none of its own is lost", async () => {
  await using full = await startServer({ limits: { messagesPerQueue: 1 } });
  await using server = await startServer();
  await using a = await TestAgent.start(server.address, { retry });
  await using old = await TestAgent.start(full.address, { acknowledge: "manual" });
  await using next = await TestAgent.start(server.address);
  await connectAgents(old, a, ["a", "bob"]);
  await a.send("bob", "for the old one 1");
  const refused = outcomes(full, "SEND ERR QUOTA");
  await a.send("bob", "for the old one 2");
  await until(() => outcomes(full, "SEND ERR QUOTA") > refused);
  await a.agent.delete("bob");
  const { invitation } = await next.agent.create("a");
  await a.agent.join(invitation, { alias: "bob" });
  const ids = [await a.send("bob", "for the new one 1"), await a.send("bob", "for the new one 2")];
  assertEquals(ids, [1, 2]);
  for (const id of ids) {
    const { message } = await next.next("message");
    assertEquals(new TextDecoder().decode(message.body), `for the new one ${id}`);
    assertEquals(message.integrity, { type: "OK" });
    await a.next("sent", (event) => event.id === id && event.connection === "bob");
  }
  await Promise.all([a.next("connected"), next.next("connected")]);
  assertEquals([...a.events, ...next.events].filter(({ type }) => type === "error"), []);
});

Deno.test("events of a deleted connection are not told of a new one of its name", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  await using peer = await TestAgent.start(server.address);
  {
    // An application that takes nothing of what it is told.
    await using a = await TestAgent.start(server.address, { store, acknowledge: "manual" });
    await connectAgents(a, peer, ["bob", "old"]);
    await peer.send("old", "of the old one");
    await a.next("message");
    await a.agent.delete("bob");
    await connectAgents(a, peer, ["bob", "new"]);
    await peer.send("new", "of the new one");
    assertEquals(await a.text("bob"), "of the new one");
    await a.agent.subscribe("bob");
    assertEquals(await a.text("bob"), "of the new one");
    assertEquals(a.events.filter(({ type }) => type === "message"), []);
  }
  await using a = await TestAgent.start(server.address, { store, acknowledge: "manual" });
  assertEquals(await a.text("bob"), "of the new one");
  const messages = await a.agent.messages("bob");
  assertEquals(messages.length, 1);
});
