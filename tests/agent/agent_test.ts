import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Agent, AgentError, type AgentErrorCode, type KeySource, MemoryStore } from "../../agent/mod.ts";
import { formatQueueInfo, generateKeyPair, loadPrivateKey, SmpClient } from "../../mod.ts";
import { connectAgents, keySource, TestAgent } from "../support/agent.ts";
import { startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

async function assertFails(command: () => Promise<unknown>, code: AgentErrorCode): Promise<void> {
  const error = await assertRejects(command, AgentError);
  assertEquals(error.code, code, error.message);
}

for (const servers of [1, 2]) {
  Deno.test(`two agents connect over ${servers} server(s), and send both ways`, async () => {
    await using one = await startServer();
    await using two = await startServer();
    await using a = await TestAgent.start(one.address);
    await using b = await TestAgent.start(servers === 1 ? one.address : two.address);
    await connectAgents(a, b);
    assertEquals(await a.send("b", "hello"), 1);
    assertEquals((await a.next("sent")).id, 1);
    const { message, connection } = await b.next("message");
    assertEquals([connection, message.id, message.integrity], ["a", 1, { type: "OK" }]);
    assertEquals(message.sender.id, 1);
    assertEquals(await b.send("a", "welcome"), 2);
    const answer = (await a.next("message")).message;
    assertEquals([new TextDecoder().decode(answer.body), answer.id, answer.sender.id], ["welcome", 2, 1]);
    for (const { at } of [answer.server, answer.sender]) assert(Math.abs(Date.now() - at.getTime()) < 60_000);
    assertEquals([two.gauges().queues, one.gauges().queues], servers === 1 ? [0, 2] : [1, 1]);
    assertEquals([...a.events, ...b.events].filter(({ type }) => type === "error"), []);
  });
}

Deno.test("one agent connects to itself, many times at once", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  await Promise.all(Array.from({ length: 10 }, (_, i) => connectAgents(a, a, [`to ${i}`, `from ${i}`])));
  for (let i = 0; i < 10; i++) await a.send(`to ${i}`, `text ${i}`);
  for (let i = 0; i < 10; i++) assertEquals(await a.text(`from ${i}`), `text ${i}`);
  assertEquals(a.agent.connections().length, 20);
});

Deno.test("without a reply there is a connection of one direction", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address);
  const { invitation } = await a.agent.create("b");
  await b.agent.join(invitation, { alias: "a", reply: false });
  await b.next("connected");
  await b.send("a", "one way");
  assertEquals(await a.text("b"), "one way");
  await assertFails(() => a.send("b", "back"), "CONN SIMPLEX");
  await assertFails(() => b.agent.subscribe("a"), "CONN SIMPLEX");
  await assertFails(() => b.agent.suspend("a"), "CONN SIMPLEX");
  assertEquals(server.gauges().queues, 1);
  await b.agent.delete("a");
  assertEquals(b.agent.connections(), []);
});

Deno.test("100 messages sent at once come whole and in order, with their numbers", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address);
  await connectAgents(a, b);
  const texts = Array.from({ length: 100 }, (_, i) => `message ${i}`);
  const ids = await Promise.all(texts.map((text) => a.send("b", text)));
  assertEquals(ids, texts.map((_, i) => i + 1));
  for (const text of texts) {
    const { message } = await b.next("message");
    assertEquals([new TextDecoder().decode(message.body), message.integrity], [text, { type: "OK" }]);
  }
  for (const id of ids) assertEquals((await a.next("sent")).id, id);
  const stored = await a.agent.messages("b", { limit: 3 });
  assertEquals(stored.map(({ id, done }) => [id, done]), [[98, true], [99, true], [100, true]]);
});

Deno.test("a body may be as long as a block has room, and of any bytes; a longer one uses up no number", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address);
  await connectAgents(a, b);
  let most = 3071;
  await assertFails(() => a.agent.send("b", new Uint8Array(most)), "CMD LARGE");
  for (;;) {
    const body = Uint8Array.from({ length: most }, (_, i) => i);
    try {
      assertEquals(await a.agent.send("b", body), 1);
    } catch (error) {
      assert(error instanceof AgentError && error.code === "CMD LARGE" && most > 3000);
      most--;
      continue;
    }
    assertEquals((await b.next("message")).message.body, body);
    break;
  }
  await a.agent.send("b", new Uint8Array(0));
  assertEquals((await b.next("message")).message.body.length, 0);
});

Deno.test("commands on what is not there, or there already, are refused", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  const { invitation } = await a.agent.create("b");
  await assertFails(() => a.agent.create("b"), "CONN DUPLICATE");
  await assertFails(() => a.agent.join(invitation, { alias: "b" }), "CONN DUPLICATE");
  await assertFails(() => a.agent.join("smp::x", { alias: "c" }), "CMD SYNTAX");
  const short = await generateKeyPair("decrypt", 1024);
  await assertFails(
    () => a.agent.join({ ...invitation, encryptionKey: short.publicKey }),
    "AGENT A_ENCRYPTION",
  );
  for (
    const command of [
      () => a.send("x", ""),
      () => a.agent.subscribe("x"),
      () => a.agent.suspend("x"),
      () => a.agent.delete("x"),
      () => a.agent.acknowledge("x", 1),
    ]
  ) await assertFails(command, "CONN UNKNOWN");
  await assertFails(() => a.send("b", "too early"), "CONN SIMPLEX");
  await assertFails(() => a.agent.acknowledge("b", 1), "CMD PROHIBITED");
  assertEquals(a.agent.connections().length, 1);
  assertEquals(formatQueueInfo(a.agent.invitation("b")!), formatQueueInfo(invitation));
});

Deno.test("an agent that is closed does nothing more, and its events end", async () => {
  await using server = await startServer();
  const stop = new AbortController();
  await using a = await TestAgent.start(server.address, { signal: stop.signal });
  stop.abort();
  await assertFails(() => a.agent.create(), "INTERNAL");
});

Deno.test("options that cannot be are told", async () => {
  const client = { allowUnverified: true };
  const cases = [
    [{ servers: [] }, "at least one"],
    [{ servers: ["a:b"] }, "port"],
    [{ servers: ["a"] }, "no key hash"],
    [{ servers: ["a"], client, buffer: 0 }, "buffer"],
    [{ servers: ["a"], client, keyPool: -1 }, "keyPool"],
    [{ servers: ["a"], client, joinTimeout: 0.5 }, "joinTimeout"],
    [{ servers: ["a"], client, retry: { first: 1, most: 2 ** 31 } }, "retry.most"],
  ] as const;
  for (const [options, text] of cases) {
    const error = await assertRejects(() => Agent.start(options));
    assertStringIncludes((error as Error).message, text);
  }
});

Deno.test("an agent that requires forward secrecy uses no server without it", async () => {
  const client = { forwardSecrecy: "required" } as const;
  await using server = await startServer({ extensions: ["open1", "window1"] });
  await using a = await TestAgent.start(server.address, { client });
  await assertFails(() => a.agent.create(), "BROKER TRANSPORT VERSION");
  await using better = await startServer();
  await using b = await TestAgent.start(better.address, { client });
  await b.agent.create();
});

Deno.test("an invitation to a server that nobody can tell from an impostor is not joined", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address);
  const { invitation } = await a.agent.create();
  const { host, port } = invitation.server;
  const unverifiable = { ...invitation, server: { host, port: port! } };
  await assertFails(() => b.agent.join(unverifiable), "BROKER TRANSPORT BAD_HASH");
  assertEquals(b.agent.connections(), []);
  await using c = await TestAgent.start(server.address, { client: { allowUnverified: true } });
  const alias = await c.agent.join(unverifiable);
  await Promise.all([a.next("connected"), c.next("connected")]);
  assertEquals(c.agent.connections().map(({ connection }) => connection), [alias]);
});

Deno.test("servers can be changed while the agent runs", async () => {
  await using one = await startServer();
  await using two = await startServer();
  await using a = await TestAgent.start(one.address);
  await a.agent.create();
  a.agent.setServers([two.address]);
  await a.agent.create();
  assertEquals([one.gauges().queues, two.gauges().queues], [1, 1]);
});

Deno.test("another program that subscribes takes a connection over", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address, { store });
  await connectAgents(a, b);
  await using client = await SmpClient.connect(server.address);
  const { recipientId, senderId, recipientKey } = (await store.connections())[0]!.receiving[0]!.keys;
  await client.subscribe({ recipientId, senderId, recipientKey: await loadPrivateKey(recipientKey, "sign") });
  assertEquals((await b.next("end")).connection, "a");
  await b.agent.subscribe("a");
  await a.send("b", "back");
  assertEquals(await b.text(), "back");
});

Deno.test("a suspended queue takes no more, a deleted one is gone on the server", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address);
  await connectAgents(a, b);
  await b.agent.suspend("a");
  assertEquals(b.agent.connections()[0]?.suspended, true);
  const id = await a.send("b", "too late");
  const failed = await a.next("error");
  assertEquals([failed.error.code, failed.connection, failed.id], ["SMP AUTH", "b", id]);
  await a.agent.delete("b");
  await b.agent.delete("a");
  assertEquals([server.gauges().queues, a.agent.connections(), b.agent.connections()], [0, [], []]);
  await assertFails(() => a.send("b", "x"), "CONN UNKNOWN");
});

Deno.test("in the mode manual a message waits for its acknowledgement, over a restart too", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address, { acknowledge: "manual" });
  await connectAgents(a, b);
  await a.send("b", "one");
  await a.send("b", "two");
  const { message } = await b.next("message");
  await a.next("sent", ({ id }) => id === 2);
  assertEquals(b.events.filter(({ type }) => type === "message"), []);
  // The server delivers what was not acknowledged again to whoever subscribes.
  await b.agent.subscribe("a");
  assertEquals((await b.next("message")).message, message);
  await b.agent.acknowledge("a", message.id);
  assertEquals(await b.text(), "two");
  await b.agent.acknowledge("a", message.id);
  await assertFails(() => b.agent.acknowledge("a", 99), "CMD PROHIBITED");
});

Deno.test("an application that reads nothing keeps messages at the server", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  const b = await Agent.start({ servers: [server.address], keyPool: keySource(), buffer: 1 });
  const { invitation } = await b.create("a");
  await a.agent.join(invitation, { alias: "b" });
  await a.next("connected");
  for (const text of ["1", "2", "3", "4"]) await a.send("b", text);
  await a.next("sent", ({ id }) => id === 4);
  assert(server.gauges().messages >= 3);
  const texts: string[] = [];
  for await (const event of b.events()) {
    if (event.type !== "message") continue;
    texts.push(new TextDecoder().decode(event.message.body));
    if (texts.length === 4) break;
  }
  assertEquals(texts, ["1", "2", "3", "4"]);
  await b.close();
});

Deno.test("who is not approved is kept out, and the next one may come", async () => {
  await using server = await startServer();
  const asked: string[] = [];
  await using a = await TestAgent.start(server.address, {
    approve: ({ connection, senderKey }) => {
      asked.push(`${connection} ${senderKey.bits}`);
      return asked.length > 1;
    },
  });
  await using b = await TestAgent.start(server.address, { joinTimeout: 1, retry: { first: 1, most: 5 } });
  await using c = await TestAgent.start(server.address);
  const { invitation } = await a.agent.create("x");
  await b.agent.join(invitation, { alias: "a" });
  assertEquals((await a.next("security")).reason, "confirmation not approved");
  assertEquals((await b.next("error")).error.code, "SMP AUTH");
  await c.agent.join(invitation, { alias: "a" });
  await Promise.all([a.next("connected"), c.next("connected")]);
  assertEquals(asked, ["x 1024", "x 1024"]);
});

Deno.test("joining a queue that somebody else has joined, or that is gone, fails for good", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address);
  await using c = await TestAgent.start(server.address);
  const { invitation } = await a.agent.create("b");
  await b.agent.join(invitation, { alias: "a" });
  await Promise.all([a.next("connected"), b.next("connected")]);
  await c.agent.join(invitation, { alias: "a" });
  await c.send("a", "never");
  const errors = [await c.next("error"), await c.next("error")];
  assertEquals(errors.map(({ error, id }) => [error.code, id]), [["SMP AUTH", undefined], ["SMP AUTH", 1]]);
  await a.send("b", "still there");
  assertEquals(await b.text(), "still there");
});

Deno.test("a full queue waits and holds up no other", async () => {
  await using server = await startServer({ limits: { messagesPerQueue: 2 } });
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address, { acknowledge: "manual" });
  await connectAgents(a, b);
  await connectAgents(a, b, ["b2", "a2"]);
  const texts = ["1", "2", "3", "4", "5"];
  for (const text of texts) await a.send("b", text);
  await a.send("b2", "other");
  assertEquals(await b.text("a2"), "other");
  await until(() => (server.metrics.refused.get("quota") ?? 0) > 0);
  for (const text of texts) {
    const { message } = await b.next("message", ({ connection }) => connection === "a");
    assertEquals(new TextDecoder().decode(message.body), text);
    await b.agent.acknowledge("a", message.id);
  }
  assertEquals(a.events.filter(({ type }) => type === "error"), []);
});

Deno.test("what the agent has made ready is taken first", async () => {
  await using server = await startServer();
  let taken = 0;
  const source = keySource();
  const counting: KeySource = {
    take: (least) => {
      taken++;
      return source.take(least);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  await using a = await TestAgent.start(server.address, { keyPool: counting });
  const { invitation } = await a.agent.create();
  assertEquals(taken, 2);
  await a.agent.join(invitation);
  await a.next("connected");
  await a.next("connected");
  // Joining takes two for the sending queue and two for the reply queue, answering two more.
  assertEquals(taken, 8);
});

Deno.test("commands can be given as values", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address, { acknowledge: "manual" });
  const invited = await a.agent.execute({ type: "NEW", connection: "b" });
  assert(invited.type === "INV");
  const { invitation } = invited;
  assertEquals(await a.agent.execute({ type: "JOIN", connection: "a", invitation }), {
    type: "OK",
    connection: "a",
  });
  for (let i = 0; i < 2; i++) await a.next("connected");
  const body = new TextEncoder().encode("x");
  assertEquals(await a.agent.execute({ type: "SEND", connection: "a", body }), {
    type: "STORED",
    connection: "a",
    id: 1,
  });
  const { message: { id } } = await a.next("message");
  for (const type of ["SUB", "OFF", "DEL"] as const) {
    if (type === "OFF") await a.agent.execute({ type: "ACK", connection: "b", id });
    assertEquals(await a.agent.execute({ type, connection: "b" }), { type: "OK", connection: "b" });
  }
  assertEquals(await a.agent.execute({ type: "SUBALL" }), { type: "SUBSCRIBED", connections: ["a"] });
});

Deno.test("messages that are done are removed after the retention, others stay", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  {
    await using a = await TestAgent.start(server.address, { store });
    const { invitation } = await a.agent.create("b");
    await a.agent.join(invitation, { alias: "a" });
    for (let i = 0; i < 2; i++) await a.next("connected");
    await a.send("a", "done");
    await a.next("sent");
    await a.text();
  }
  const { id: connection } = (await store.connections()).find(({ record }) => record.alias === "a")!.record;
  assertEquals((await store.messages(connection)).length, 1);
  const old = { connection, id: 9, body: new Uint8Array(1), at: 1, done: false, received: null };
  const message = { ...old, number: null, delivered: false };
  await store.commit([{ type: "put message", message }]);
  const last = Date.now() + 1;
  await until(() => Date.now() > last);
  await using _again = await TestAgent.start(server.address, { store, retention: 1 });
  assertEquals((await store.messages(connection)).map(({ id }) => id), [9]);
});

Deno.test("hundreds of connections are subscribed without more commands at a time than a client lets wait", async () => {
  await using server = await startServer();
  await using agent = await TestAgent.start(server.address, { client: { inFlight: 10, waiting: 100 } });
  const aliases = Array.from({ length: 250 }, (_, i) => `${i}`);
  for (const alias of aliases) await agent.agent.create(alias);
  assertEquals(await soon(agent.agent.subscribeAll()), aliases);
  assertEquals(agent.events, []);
});
