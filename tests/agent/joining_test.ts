import { assertEquals, assertRejects } from "@std/assert";
import { AgentError, type KeySource, MemoryStore, type StoreChange } from "../../agent/mod.ts";
import { tcpTransport, type Transport } from "../../client/mod.ts";
import { type Channel, networkError } from "../../protocol/mod.ts";
import { connectAgents, keySource, TestAgent } from "../support/agent.ts";
import { HeldStore } from "../support/held_store.ts";
import { startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

Deno.test("a joiner that is away for longer than joining may take after REPLY is connected when it is back", async () => {
  await using server = await startServer();
  const inTime = { joinTimeout: 60_000 };
  const held = new HeldStore();
  await using a = await TestAgent.start(server.address, { store: held, joinTimeout: 1 });
  const store = new MemoryStore();
  const { invitation } = await a.agent.create("b");
  {
    await using b = await TestAgent.start(server.address, { store, ...inTime });
    await Promise.all([b.agent.join(invitation, { alias: "a" }), soon(held.asked)]);
  }
  held.goOn();
  // HELLO is refused again and again, long after the time for joining is over.
  const refused = () => server.metrics.commands.get("SEND ERR AUTH") ?? 0;
  const before = refused();
  await until(() => refused() > before + 5);
  assertEquals(a.events.filter(({ type }) => type === "error"), []);
  await using b = await TestAgent.start(server.address, { store, ...inTime });
  await b.agent.subscribe("a");
  await Promise.all([a.next("connected"), b.next("connected")]);
  await a.send("b", "hello?");
  await b.send("a", "I am here");
  assertEquals([await b.text(), await a.text()], ["hello?", "I am here"]);
});

Deno.test("a joiner that has given up says so, and takes no message", async () => {
  await using server = await startServer();
  const a = await TestAgent.start(server.address);
  const { invitation } = await a.agent.create("b");
  await a[Symbol.asyncDispose]();
  await using b = await TestAgent.start(server.address, { joinTimeout: 1 });
  await b.agent.join(invitation, { alias: "a" });
  const { error, id } = await b.next("error");
  assertEquals([error.code, id], ["SMP AUTH", undefined]);
  assertEquals([b.agent.connection("a").canSend, b.agent.connection("a").connected], [false, false]);
  const refused = await assertRejects(() => b.send("a", "never"), AgentError);
  assertEquals(refused.code, "CONN SIMPLEX");
  assertEquals(await b.agent.messages("a"), []);
  await b.agent.delete("a");
  assertEquals(b.agent.connections(), []);
});

Deno.test("of two connections made at once with one name one is made, and no queue is left behind", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address);
  const { invitation } = await b.agent.create("a");
  const made = await Promise.allSettled([
    a.agent.create("x"),
    a.agent.create("x"),
    a.agent.join(invitation, { alias: "x" }),
  ]);
  assertEquals(made.map(({ status }) => status), ["fulfilled", "rejected", "rejected"]);
  for (const result of made) {
    if (result.status === "rejected") assertEquals(result.reason.code, "CONN DUPLICATE");
  }
  assertEquals([server.gauges().queues, a.agent.connections().length], [2, 1]);
});

/** A store that takes its time for the next commit of a new queue when it is told to, and fails in it. */
class SlowStore extends MemoryStore {
  before: (() => Promise<void>) | null = null;
  error: Error | null = null;

  override async commit(changes: readonly StoreChange[]): Promise<void> {
    const { before, error } = this;
    const isNew = changes.some((change) => change.type === "put receiving" && change.route.status === "new");
    if (!isNew) return await super.commit(changes);
    this.before = this.error = null;
    await before?.();
    if (error !== null) throw error;
    await super.commit(changes);
  }
}

Deno.test("a queue whose connection was lost and made again while it was stored is subscribed to", async () => {
  await using server = await startServer();
  const channels: Channel[] = [];
  const transport: Transport = async (address, signal) => {
    const channel = await tcpTransport(address, signal);
    channels.push(channel);
    return channel;
  };
  const store = new SlowStore();
  await using a = await TestAgent.start(server.address, { store, client: { transport } });
  await using b = await TestAgent.start(server.address);
  await connectAgents(a, b, ["other", "a0"]);
  store.before = async () => {
    await channels.at(-1)!.close();
    await a.next("up");
  };
  await connectAgents(a, b);
  assertEquals(channels.length, 2);
});

Deno.test("a queue that could not be stored is deleted again", async () => {
  await using server = await startServer();
  const store = new SlowStore();
  await using a = await TestAgent.start(server.address, { store });
  store.error = new Error("disk");
  await assertRejects(() => a.agent.create("x"), AgentError);
  assertEquals([server.gauges().queues, a.agent.connections()], [0, []]);
  await a.agent.create("x");
  assertEquals(server.gauges().queues, 1);
});

Deno.test("while the server for the reply is down no keys are thrown away", async () => {
  await using server = await startServer();
  await using own = await startServer();
  await using a = await TestAgent.start(server.address);
  const { invitation } = await a.agent.create("b");
  let isDown = true, tries = 0, taken = 0;
  const transport: Transport = (address, signal) => {
    if (!isDown || address.port !== own.port) return tcpTransport(address, signal);
    tries++;
    return Promise.reject(networkError("connect", new Error("refused")));
  };
  const source = keySource();
  const keyPool: KeySource = {
    take: (least) => (taken++, source.take(least)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  await using b = await TestAgent.start(own.address, { client: { transport }, keyPool });
  await b.agent.join(invitation, { alias: "a" });
  await until(() => tries > 10);
  assertEquals(taken, 2);
  isDown = false;
  await Promise.all([a.next("connected"), b.next("connected")]);
  assertEquals(taken, 4);
});
