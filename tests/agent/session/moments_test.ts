import { assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import { formatQueueInfo } from "../../../mod.ts";
import { MemoryQueueStore } from "../../../server/mod.ts";
import { type EventOf, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";
import { until } from "../../support/wait.ts";

const sessions = { extensions: ["session1"] };

/** The texts of all messages that came, in their order; fails when one was not whole. */
function textsOf({ events }: TestAgent): string[] {
  return (events.filter(({ type }) => type === "message") as EventOf<"message">[]).map(({ message }) => {
    assertEquals(message.integrity, { type: "OK" });
    return new TextDecoder().decode(message.body);
  });
}

Deno.test("what both sides send all the time while they upgrade comes once and in order", async () => {
  await using server = await startServer();
  await using alice = await TestAgent.start(server.address, sessions);
  await using bob = await TestAgent.start(server.address, sessions);
  const { invitation } = await alice.agent.create("bob");
  await bob.agent.join(formatQueueInfo(invitation), { alias: "alice" });
  const sent = { alice: 0, bob: 0 };
  const isSettled = (agent: TestAgent, to: string) => agent.agent.connection(to).session?.active === true;
  for (let after = 0; after < 10;) {
    if (alice.agent.connection("bob").canSend) await alice.send("bob", `${sent.alice++}`);
    if (sent.bob < 300) await bob.send("alice", `${sent.bob++}`);
    if (isSettled(alice, "bob") && isSettled(bob, "alice")) after++;
    await new Promise((resolve) => setTimeout(resolve));
  }
  const count = (agent: TestAgent, type: string) =>
    agent.events.filter((event) => event.type === type).length;
  await until(() => count(alice, "message") >= sent.bob && count(bob, "message") >= sent.alice);
  await until(() => count(alice, "delivered") >= sent.alice && count(bob, "delivered") >= sent.bob);
  assertEquals(textsOf(alice), Array.from({ length: sent.bob }, (_, i) => `${i}`));
  assertEquals(textsOf(bob), Array.from({ length: sent.alice }, (_, i) => `${i}`));
  assertEquals([count(alice, "sent"), count(bob, "sent")], [sent.alice, sent.bob]);
  for (const { events } of [alice, bob]) assertEquals(events.filter(({ type }) => type === "error"), []);
});

Deno.test("an agent that is closed again and again while it upgrades comes to an end", async () => {
  await using server = await startServer();
  const stores = { alice: new MemoryStore(), bob: new MemoryStore() };
  const start = (store: MemoryStore) => TestAgent.start(server.address, { ...sessions, store });
  let alice = await start(stores.alice), bob = await start(stores.bob);
  const { invitation } = await alice.agent.create("bob");
  await bob.agent.join(formatQueueInfo(invitation), { alias: "alice" });
  for (let i = 0; i < 3; i++) await bob.send("alice", `${i}`);
  const got: string[] = [];
  for (let turn = 0; turn < 60; turn++) {
    // Later each time, so that each part of the upgrade is cut short somewhere.
    await new Promise((resolve) => setTimeout(resolve, turn));
    const agent = turn % 2 === 0 ? alice : bob;
    await agent[Symbol.asyncDispose]();
    if (agent === alice) got.push(...textsOf(alice));
    if (turn % 2 === 0) alice = await start(stores.alice);
    else bob = await start(stores.bob);
    await (turn % 2 === 0 ? alice : bob).agent.subscribeAll();
  }
  await until(() => alice.agent.connection("bob").session?.active === true);
  await until(() => bob.agent.connection("alice").session?.active === true);
  await bob.send("alice", "3");
  await until(() => textsOf(alice).at(-1) === "3");
  got.push(...textsOf(alice));
  // What was told and not taken is told again.
  assertEquals([...new Set(got)], ["0", "1", "2", "3"]);
  await Promise.all([alice.agent.delete("bob"), bob.agent.delete("alice")]);
  for (const store of Object.values(stores)) await until(async () => (await store.discarded()).length === 0);
  await alice[Symbol.asyncDispose]();
  await bob[Symbol.asyncDispose]();
});

Deno.test("a connection that is deleted at any moment of its upgrade leaves no queue", async () => {
  const queues = new MemoryQueueStore();
  await using server = await startServer({ queues });
  await using alice = await TestAgent.start(server.address, sessions);
  await using bob = await TestAgent.start(server.address, sessions);
  for (let wait = 0; wait < 30; wait += 3) {
    const [a, b] = [`a${wait}`, `b${wait}`];
    const { invitation } = await alice.agent.create(b);
    await bob.agent.join(formatQueueInfo(invitation), { alias: a });
    const deleted = wait % 2 === 0 ? alice : bob;
    await deleted.next("connected", ({ connection }) => connection === a || connection === b);
    await new Promise((resolve) => setTimeout(resolve, wait * 2));
    await Promise.all([alice.agent.delete(b), bob.agent.delete(a)]);
  }
  await until(() => [...queues.records()].length === 0);
});
