import { assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import { formatQueueInfo } from "../../../mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";

const sessions = { extensions: ["session1"] };

/** Looks whether texts come in order, each once and whole, and nothing else does. */
async function assertTexts(agent: TestAgent, connection: string, texts: readonly string[]): Promise<void> {
  for (const text of texts) {
    const { message } = await agent.next("message", (event) => event.connection === connection);
    assertEquals([new TextDecoder().decode(message.body), message.integrity], [text, { type: "OK" }]);
  }
  const wrong = agent.events.filter(({ type }) => type === "message" || type === "error");
  assertEquals(wrong, []);
}

Deno.test("a joiner's messages that waited for a session go to an agent of 0.3 in order, with what comes later", async () => {
  await using server = await startServer();
  await using old = await TestAgent.start(server.address);
  await using joiner = await TestAgent.start(server.address, sessions);
  const { invitation } = await old.agent.create("new");
  await joiner.agent.join(formatQueueInfo(invitation), { alias: "old" });
  const texts = Array.from({ length: 12 }, (_, i) => `${i}`);
  const ids: number[] = [];
  for (const text of texts.slice(0, 5)) ids.push(await joiner.send("old", text));
  await joiner.next("connected");
  for (const text of texts.slice(5)) ids.push(await joiner.send("old", text));
  await old.next("connected");
  await old.send("new", "back");
  await assertTexts(old, "new", texts);
  await assertTexts(joiner, "old", ["back"]);
  for (const id of ids) await joiner.next("sent", (event) => event.id === id);
  assertEquals(joiner.agent.connection("old").session, null);
});

Deno.test("an initiator goes on as in 0.3 with a joiner of 0.3", async () => {
  await using server = await startServer();
  await using initiator = await TestAgent.start(server.address, sessions);
  await using old = await TestAgent.start(server.address);
  const { invitation } = await initiator.agent.create("old");
  await old.agent.join(formatQueueInfo(invitation), { alias: "new" });
  for (const text of ["1", "2"]) await old.send("new", text);
  await initiator.next("connected");
  for (const text of ["3", "4"]) await initiator.send("old", text);
  await assertTexts(initiator, "old", ["1", "2"]);
  await assertTexts(old, "new", ["3", "4"]);
  assertEquals(initiator.agent.connection("old").session, null);
});

Deno.test("a joiner of one direction announces no session, and its messages come", async () => {
  await using server = await startServer();
  await using initiator = await TestAgent.start(server.address, sessions);
  await using joiner = await TestAgent.start(server.address, sessions);
  const { invitation } = await initiator.agent.create("joiner");
  await joiner.agent.join(formatQueueInfo(invitation), { alias: "initiator", reply: false });
  for (const text of ["1", "2"]) await joiner.send("initiator", text);
  await assertTexts(initiator, "joiner", ["1", "2"]);
});

for (const when of ["the invitation was made", "it has joined"] as const) {
  Deno.test(`a connection stays as in 0.3 when sessions are switched on after ${when}`, async () => {
    await using server = await startServer();
    const store = new MemoryStore();
    const isInitiator = when === "the invitation was made";
    await using other = await TestAgent.start(server.address, sessions);
    let before: TestAgent | null = await TestAgent.start(server.address, { store });
    if (isInitiator) {
      const { invitation } = await before.agent.create("other");
      await before[Symbol.asyncDispose]();
      await other.agent.join(formatQueueInfo(invitation), { alias: "this" });
    } else {
      const { invitation } = await other.agent.create("this");
      await before.agent.join(formatQueueInfo(invitation), { alias: "other" });
      await before[Symbol.asyncDispose]();
    }
    before = null;
    await using agent = await TestAgent.start(server.address, { store, ...sessions });
    await agent.agent.subscribeAll();
    await Promise.all([agent.next("connected"), other.next("connected")]);
    for (const text of ["1", "2"]) {
      await agent.send("other", text);
      await other.send("this", text);
    }
    await assertTexts(agent, "other", ["1", "2"]);
    await assertTexts(other, "this", ["1", "2"]);
  });

  Deno.test(`a connection is upgraded, or stays as in 0.3, when sessions are switched off after ${when}`, async () => {
    await using server = await startServer();
    const store = new MemoryStore();
    const isInitiator = when === "the invitation was made";
    await using other = await TestAgent.start(server.address, sessions);
    let before: TestAgent | null = await TestAgent.start(server.address, { store, ...sessions });
    if (isInitiator) {
      const { invitation } = await before.agent.create("other");
      await before[Symbol.asyncDispose]();
      await other.agent.join(formatQueueInfo(invitation), { alias: "this" });
    } else {
      const { invitation } = await other.agent.create("this");
      await before.agent.join(formatQueueInfo(invitation), { alias: "other" });
      await before[Symbol.asyncDispose]();
    }
    before = null;
    await using agent = await TestAgent.start(server.address, { store });
    await agent.agent.subscribeAll();
    await Promise.all([agent.next("connected"), other.next("connected")]);
    for (const text of ["1", "2"]) {
      await agent.send("other", text);
      await other.send("this", text);
    }
    await assertTexts(agent, "other", ["1", "2"]);
    await assertTexts(other, "this", ["1", "2"]);
  });
}
