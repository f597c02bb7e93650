import { assert, assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import { textBytes } from "../../../protocol/mod.ts";
import { connectAgents, type EventOf, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";
import { streamPair } from "../../support/streams.ts";
import { until } from "../../support/wait.ts";

const sessions = { extensions: ["session1"] };

Deno.test("what comes while 500 messages wait for the application stays at the server, and comes later", async () => {
  await using server = await startServer();
  await using pair = await streamPair(server, { b: { acknowledge: "manual" } });
  const { alice: sender, bob: receiver } = pair;
  const count = 600;
  for (let i = 0; i < count; i++) await sender.send("b", `${i}`);
  const messages = () => receiver.events.filter(({ type }) => type === "message") as EventOf<"message">[];
  await until(() => messages().length >= 500);
  const before = messages().length;
  assert(before < 500 + 64, `${before}`);
  // In the order of the odd ones and the even ones, so that there are many gaps.
  let acknowledged = 0;
  while (acknowledged < count) {
    await until(() => messages().length > acknowledged);
    const waiting = messages().slice(acknowledged);
    acknowledged += waiting.length;
    const odd = waiting.filter((_, i) => i % 2 === 1), even = waiting.filter((_, i) => i % 2 === 0);
    for (const { message } of [...odd, ...even]) await receiver.agent.acknowledge("a", message.id);
  }
  const bodies = messages().map((
    { message: { body, integrity } },
  ) => [new TextDecoder().decode(body), integrity.type]);
  assertEquals(bodies, Array.from({ length: count }, (_, i) => [`${i}`, "OK"]));
  const delivered = () => sender.events.filter(({ type }) => type === "delivered").length;
  await until(() => delivered() >= count);
  assertEquals(delivered(), count);
  assertEquals(sender.events.filter(({ type }) => type === "sent").length, count);
});

Deno.test("a message of 1 MiB comes through a queue that is full again and again, and after restarts of the sender", async () => {
  await using server = await startServer({ limits: { messagesPerQueue: 20 } });
  const store = new MemoryStore();
  let sender = await TestAgent.start(server.address, { ...sessions, store });
  await using receiver = await TestAgent.start(server.address, sessions);
  await connectAgents(sender, receiver);
  const body = textBytes("0123456789abcdef".repeat(65_536));
  await sender.agent.send("b", body);
  await sender.agent.send("b", textBytes("after"));
  await sender[Symbol.asyncDispose]();
  sender = await TestAgent.start(server.address, { ...sessions, store });
  await sender.agent.subscribeAll();
  const { message } = await receiver.next("message");
  assertEquals(message.body, body);
  assertEquals(await receiver.text(), "after");
  await sender.next("delivered", ({ id }) => id === 2);
  await sender[Symbol.asyncDispose]();
});

Deno.test("messages that are acknowledged twice at the same time make no more room than once", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  await using pair = await streamPair(server, { b: { acknowledge: "manual", store } });
  const { alice: sender, bob: receiver } = pair;
  const ids = [];
  for (let i = 0; i < 4; i++) {
    await sender.send("b", `${i}`);
    ids.push((await receiver.next("message")).message.id);
  }
  await Promise.all([ids[0]!, ids[1]!, ids[0]!, ids[1]!].map((id) => receiver.agent.acknowledge("a", id)));
  assertEquals((await store.connections())[0]?.session?.waiting, 2);
  await receiver.agent.acknowledge("a", ids[0]!);
  assertEquals((await store.connections())[0]?.session?.waiting, 2);
});
