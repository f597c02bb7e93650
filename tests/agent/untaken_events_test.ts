import { assert, assertEquals } from "@std/assert";
import { Agent, type AgentEvent, type AgentOptions, MemoryStore } from "../../agent/mod.ts";
import { textBytes } from "../../protocol/mod.ts";
import { connectAgents, keySource, TestAgent } from "../support/agent.ts";
import { HostileAgent } from "../support/hostile_agent.ts";
import { startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

/** A store that is used again after the agent was closed, and counts what is read of it. */
class CountingStore extends MemoryStore {
  largestRead = 0;
  reads = 0;

  override async events(after: number, limit: number) {
    const events = await super.events(after, limit);
    this.largestRead = Math.max(this.largestRead, events.length);
    this.reads++;
    return events;
  }
}

function start(server: string, options: Partial<AgentOptions>): Promise<Agent> {
  return Agent.start({ servers: [server], keyPool: keySource(), retry: { first: 5, most: 50 }, ...options });
}

/** Connects an agent whose events are not read, as "a", to one whose are, as "b". */
async function connectUnread(unread: Agent, read: TestAgent): Promise<void> {
  const { invitation } = await unread.create("a");
  await read.agent.join(invitation, { alias: "b" });
  await read.next("connected");
}

/** Reads events until there was one that is the last. */
async function readUntil(agent: Agent, isLast: (event: AgentEvent) => boolean): Promise<AgentEvent[]> {
  const seen: AgentEvent[] = [];
  const reading = (async () => {
    for await (const event of agent.events()) {
      seen.push(event);
      if (isLast(event)) return;
    }
  })();
  await soon(reading);
  return seen;
}

const text = (event: AgentEvent) =>
  event.type === "message" ? new TextDecoder().decode(event.message.body) : "";

Deno.test("messages that nobody reads stay at the server, and all are told after a restart", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  const store = new MemoryStore();
  const count = 100;
  {
    await using b = await start(server.address, { store });
    await connectUnread(b, a);
    await Promise.all(Array.from({ length: count }, (_, i) => a.send("b", `${i}`)));
    await a.next("sent", ({ id }) => id === count);
    // The first has been stored here, and is at the server all the same.
    await until(() => server.gauges().messages === count);
    const { id } = b.connection("a");
    assertEquals((await store.messages(id)).filter(({ done }) => done), []);
  }
  await using b = await start(server.address, { store });
  await b.subscribe("a");
  const seen = await readUntil(b, (event) => text(event) === `${count - 1}`);
  assertEquals(seen.map(({ type }) => type), ["connected", ...Array(count).fill("message")]);
  assertEquals(seen.slice(1).map(text), Array.from({ length: count }, (_, i) => `${i}`));
});

Deno.test("in the mode manual a message is told again that was not acknowledged, whatever was sent since", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  const store = new MemoryStore();
  const count = 110;
  const manual = { acknowledge: "manual", store } as const;
  {
    await using b = await TestAgent.start(server.address, manual);
    await connectAgents(a, b);
    await a.send("b", "important");
    assertEquals(await b.text("a"), "important");
    await Promise.all(Array.from({ length: count }, (_, i) => b.send("a", `${i}`)));
    await b.next("sent", ({ id }) => id === count + 1);
    // Once more from the server, too.
    await b.agent.subscribe("a");
    assertEquals(await b.text("a"), "important");
  }
  await using b = await TestAgent.start(server.address, manual);
  await b.agent.subscribe("a");
  const { message } = await b.next("message");
  assertEquals([message.id, new TextDecoder().decode(message.body)], [1, "important"]);
  await until(() => server.gauges().messages === 1);
  await b.agent.acknowledge("a", message.id);
  await until(() => server.gauges().messages === 0);
  await a.send("b", "next");
  assertEquals(await b.text("a"), "next");
});

Deno.test("of events that nobody reads a bounded number is in memory, and none is lost", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  const store = new CountingStore();
  const [count, buffer] = [100, 8];
  await using b = await start(server.address, { store, buffer });
  await connectUnread(b, a);
  for (let i = 0; i < count; i++) await b.send("a", textBytes(`${i}`));
  for (let i = 0; i < count; i++) assertEquals(await a.text("b"), `${i}`);
  const read = store.reads;
  const seen = await readUntil(b, (event) => event.type === "sent" && event.id === count);
  assertEquals(seen.map(({ type }) => type), ["connected", ...Array(count).fill("sent")]);
  assertEquals(
    seen.map((event) => event.type === "sent" ? event.id : 0),
    Array.from({ length: count + 1 }, (_, i) => i),
  );
  // Read in parts as they were asked for: so they were not in memory.
  assert(store.reads - read >= (count - buffer) / buffer, `${store.reads - read}`);
  assert(store.largestRead <= buffer, `${store.largestRead}`);
});

Deno.test("what a peer makes an agent say is stored a bounded number of times, and holds up nothing", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  await using friend = await TestAgent.start(server.address);
  await using victim = await start(server.address, { store });
  await connectUnread(victim, friend);
  const { invitation } = await victim.create("x");
  await using hostile = await HostileAgent.connect(invitation);
  const count = 130;
  for (let i = 0; i < count; i++) await hostile.body(new Uint8Array(10).fill(i));
  await until(() => victim.connection("x").unreadable === count);
  const stored = await store.events(0, 1000);
  const errors = stored.filter(({ event }) => event.type === "error");
  assert(errors.length === 100, `${errors.length}`);
  await friend.send("b", "unharmed");
  const seen = await readUntil(victim, (event) => text(event) === "unharmed");
  assertEquals(seen.filter(({ type }) => type === "error").length, errors.length);
  // They are taken: there is room for others, also for another connection of the name.
  await hostile.body(new Uint8Array(10));
  assertEquals((await readUntil(victim, ({ type }) => type === "error")).length, 1);
});

Deno.test("events that were told and not taken are told again after a restart, in their order", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  {
    await using a = await start(server.address, { store });
    await a.join((await a.create("to")).invitation, { alias: "from" });
    let connected = 0;
    for await (const event of a.events({ take: "manual" })) {
      if (event.type === "connected" && ++connected === 2) break;
    }
    await a.send("from", textBytes("text"));
    let more = 2;
    for await (const { type } of a.events({ take: "manual" })) {
      if ((type === "message" || type === "sent") && --more === 0) break;
    }
  }
  const stored = (await store.events(0, 100)).map(({ event }) => event.type);
  assertEquals(stored.toSorted(), ["connected", "connected", "message", "sent"]);
  await using a = await start(server.address, { store });
  const seen: AgentEvent[] = [];
  await soon((async () => {
    for await (const event of a.events({ take: "manual" })) {
      seen.push(event);
      if (seen.length === stored.length) return;
    }
  })());
  assertEquals(seen.map(({ type }) => type), stored);
  for (const event of seen) await a.take("eventId" in event ? event.eventId! : 0);
  assertEquals(await store.events(0, 100), []);
});
