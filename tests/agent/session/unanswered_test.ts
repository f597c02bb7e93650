import { assert, assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import { formatQueueInfo } from "../../../protocol/mod.ts";
import { MemoryQueueStore } from "../../../server/mod.ts";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { ForgetfulMessages } from "../../support/forgetful_messages.ts";
import { startServer } from "../../support/server.ts";
import { until } from "../../support/wait.ts";

const options = { extensions: ["session1"], upgradeTimeout: 50 };

/** Two agents on a server that forgets some messages of each queue, by their number in it. */
async function talk(lost: (queue: number, count: number) => boolean): Promise<number> {
  const messages = new ForgetfulMessages();
  const order: string[] = [];
  messages.isForgetting = (id, count) => {
    if (!order.includes(id)) order.push(id);
    return lost(order.indexOf(id), count);
  };
  await using server = await startServer({ messages });
  await using alice = await TestAgent.start(server.address, options);
  await using bob = await TestAgent.start(server.address, options);
  await connectAgents(alice, bob, ["bob", "alice"]);
  await alice.send("bob", "to bob");
  await bob.send("alice", "to alice");
  assertEquals([await bob.text(), await alice.text()], ["to bob", "to alice"]);
  for (const agent of [alice, bob]) {
    await agent.next("session", ({ change }) => change === "active");
    assert(agent.events.filter((event) => event.type === "session").length <= 1);
  }
  return messages.forgotten;
}

// The initiator's queue has KEY, HELLO, REPLY and UPG; the joiner's KEY, HELLO and UPG.
Deno.test("a server that takes the joiner's UPG and loses it, once or often, only delays the upgrade", async () => {
  assertEquals(await talk((queue, count) => queue === 0 && count === 4), 1);
  assertEquals(await talk((queue, count) => queue === 0 && count >= 4 && count < 7), 3);
});

Deno.test("a server that takes the initiator's UPG and loses it, once or often, only delays the upgrade", async () => {
  assertEquals(await talk((queue, count) => queue === 1 && count === 3), 1);
  assertEquals(await talk((queue, count) => queue === 1 && count >= 3 && count < 6), 3);
});

Deno.test("a server that takes `ready` and loses it only delays the upgrade", async () => {
  assert(await talk((queue, count) => queue === 2 && count <= 2) > 0);
  assert(await talk((queue, count) => queue === 3 && count <= 2) > 0);
});

Deno.test("an upgrade that is not answered is told once, goes on over restarts, and when it is answered ends", async () => {
  const messages = new ForgetfulMessages();
  const [queues, store] = [new MemoryQueueStore(), new MemoryStore()];
  let isLost = true;
  messages.isForgetting = (_, count) => isLost && count > 3;
  await using server = await startServer({ messages, queues });
  await using alice = await TestAgent.start(server.address, options);
  {
    await using bob = await TestAgent.start(server.address, { ...options, store });
    await connectAgents(alice, bob, ["bob", "alice"]);
    await bob.next("session", ({ change }) => change === "slow");
    await alice.next("session", ({ change }) => change === "slow");
    await bob.send("alice", "waits");
    const { forgotten } = messages;
    await until(() => messages.forgotten > forgotten + 1);
  }
  const { forgotten } = messages;
  await using bob = await TestAgent.start(server.address, { ...options, store });
  await until(() => messages.forgotten > forgotten);
  isLost = false;
  assertEquals(await alice.text(), "waits");
  assertEquals((await bob.next("session")).change, "active");
});

Deno.test("an initiator whose joiner is gone before its UPG came finds that out", async () => {
  const messages = new ForgetfulMessages();
  messages.isForgetting = (_, count) => count > 3;
  await using server = await startServer({ messages });
  await using alice = await TestAgent.start(server.address, options);
  await using bob = await TestAgent.start(server.address, { ...options, upgradeTimeout: 60_000 });
  const { invitation } = await alice.agent.create("bob");
  await bob.agent.join(formatQueueInfo(invitation), { alias: "alice" });
  await alice.next("connected");
  await bob.next("connected");
  const id = await alice.send("bob", "nobody is there");
  await until(() => messages.forgotten > 0);
  await bob.agent.delete("alice");
  await alice.next("session", ({ change }) => change === "slow");
  await alice.next("error", (event) => event.id === id);
  assertEquals(alice.agent.connection("bob").canSend, false);
});
