import { assert, assertEquals } from "@std/assert";
import { Agent, type AgentEvent, MemoryStore } from "../../../agent/mod.ts";
import type { SmpServer } from "../../../server/mod.ts";
import { keySource, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";
import { soon, until } from "../../support/wait.ts";

/** An agent whose events are read by the test, connected to `peer`, which calls it "b". */
async function unread(server: SmpServer, peer: TestAgent, store: MemoryStore): Promise<Agent> {
  const b = await Agent.start({ servers: [server.address], keyPool: keySource(), store });
  const { invitation } = await b.create("a");
  await peer.agent.join(invitation, { alias: "b" });
  await peer.next("connected");
  return b;
}

/** Reads events until `isLast`, which is not taken. */
async function readTo(agent: Agent, isLast: (event: AgentEvent) => boolean): Promise<AgentEvent[]> {
  const events: AgentEvent[] = [];
  const read = async () => {
    for await (const event of agent.events()) {
      events.push(event);
      if (isLast(event)) return;
    }
  };
  await soon(read());
  return events;
}

const isText = (text: string) => (event: AgentEvent) =>
  event.type === "message" && new TextDecoder().decode(event.message.body) === text;

const texts = (events: readonly AgentEvent[]) =>
  events.flatMap((event) => event.type === "message" ? [new TextDecoder().decode(event.message.body)] : []);

Deno.test("messages whose events are never read stay at the server, and come exactly once when they are", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  const store = new MemoryStore();
  const count = 100;
  const b = await unread(server, a, store);
  for (let i = 0; i < count; i++) await a.send("b", `${i}`);
  await a.next("sent", ({ id }) => id === count);
  assert(server.gauges().messages >= count - 1, `${server.gauges().messages} are left`);
  assertEquals((await b.messages("a")).filter(({ done }) => done), []);
  await b.close();
  const again = await Agent.start({ servers: [server.address], keyPool: keySource(), store });
  await again.subscribe("a");
  const events = await readTo(again, isText(`${count - 1}`));
  assertEquals(texts(events), Array.from({ length: count }, (_, i) => `${i}`));
  assertEquals(events.filter(({ type }) => type === "connected").length, 1);
  // The last one is taken when the next is asked for.
  assertEquals(server.gauges().messages, 1);
  const end = again.events().next();
  await until(() => server.gauges().messages === 0);
  await again.close();
  assertEquals((await soon(end)).done, true);
  const third = await Agent.start({ servers: [server.address], keyPool: keySource(), store });
  await a.send("b", "new");
  await third.subscribe("a");
  assertEquals(texts(await readTo(third, isText("new"))), ["new"]);
  await third.close();
});

Deno.test("an event is told again after a restart if the reader has stopped at it", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  const store = new MemoryStore();
  const b = await unread(server, a, store);
  for (const text of ["one", "two", "three"]) await a.send("b", text);
  assertEquals(texts(await readTo(b, isText("two"))), ["one", "two"]);
  await b.close();
  const again = await Agent.start({ servers: [server.address], keyPool: keySource(), store });
  await again.subscribe("a");
  assertEquals(texts(await readTo(again, isText("three"))), ["two", "three"]);
  await again.close();
});

Deno.test("events that wait for take are all told again after a restart, in order, and then no more", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  const store = new MemoryStore();
  const b = await unread(server, a, store);
  for (const text of ["one", "two"]) await a.send("b", text);
  const read = async (agent: Agent, count: number) => {
    const events: AgentEvent[] = [];
    for await (const event of agent.events({ take: "manual" })) {
      events.push(event);
      if (events.length === count) break;
    }
    return events;
  };
  const first = await soon(read(b, 2));
  assertEquals(first.map(({ type }) => type), ["connected", "message"]);
  await b.close();
  const again = await Agent.start({ servers: [server.address], keyPool: keySource(), store });
  await again.subscribe("a");
  const told = await soon(read(again, 2));
  assertEquals(
    told.map((event) => "eventId" in event && event.eventId),
    first.map((event) => "eventId" in event && event.eventId),
  );
  for (const event of told) if ("eventId" in event) await again.take(event.eventId!);
  assertEquals(texts(await soon(read(again, 1))), ["two"]);
  await again.close();
});
