import { assert, assertEquals, assertRejects } from "@std/assert";
import { Agent, AgentError, MemoryStore } from "../../agent/mod.ts";
import { makePublicKey, type PublicKey, textBytes } from "../../protocol/mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { connectAgents, keySource, TestAgent } from "../support/agent.ts";
import { HostileAgent } from "../support/hostile_agent.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

// What is wrong with one queue concerns that queue.

const keyOf = (bits: number): PublicKey => makePublicKey(2n ** BigInt(bits - 1) + 1n, 65537n);
const unnumbered = { id: 0, timestamp: new Date(1000), previousHash: new Uint8Array(0) };
const secured = ({ metrics }: SmpServer) => until(() => metrics.commands.get("KEY OK") === 1);

Deno.test("a confirmation with a key that servers refuse disturbs no other connection", async () => {
  await using server = await startServer();
  await using victim = await TestAgent.start(server.address);
  await using friend = await TestAgent.start(server.address);
  const { invitation } = await victim.agent.create("x");
  await using hostile = await HostileAgent.connect(invitation);
  await connectAgents(victim, friend);
  const before = server.metrics.connectionsAccepted;
  for (const bits of [1032, 2047, 2049, 2056, 4104]) {
    await hostile.message({ type: "KEY", senderKey: keyOf(bits) });
    await friend.send("a", `${bits}`);
    assertEquals(await victim.text("b"), `${bits}`);
  }
  await until(() => server.gauges().messages === 0);
  assertEquals(victim.events.filter(({ type }) => type === "down"), []);
  assertEquals(server.metrics.connectionsAccepted, before);
});

Deno.test("HELLO brings no key that signatures cannot be checked with", async () => {
  await using server = await startServer();
  await using victim = await TestAgent.start(server.address);
  const { invitation } = await victim.agent.create("x");
  await using hostile = await HostileAgent.connect(invitation);
  await hostile.key();
  await secured(server);
  for (const bits of [2, 512, 1032, 2056, 8192, 8400]) {
    await hostile.message({ type: "HELLO", verificationKey: keyOf(bits), noAck: false, ...unnumbered });
    assertEquals((await victim.next("error")).error.code, "AGENT A_MESSAGE");
  }
  await hostile.hello();
  await hostile.text("it works");
  assertEquals(await victim.text("x"), "it works");
});

Deno.test("no invitation is joined whose key leaves messages no room", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  const { invitation } = await a.agent.create();
  for (const bits of [2, 1024, 2047, 4097, 8192, 12_288]) {
    const joining = () => a.agent.join({ ...invitation, encryptionKey: keyOf(bits) });
    assertEquals((await assertRejects(joining, AgentError)).code, "AGENT A_ENCRYPTION");
  }
  assertEquals(a.agent.connections().length, 1);
});

Deno.test("of events that a peer causes 100 are stored while nobody reads, and messages all the same", async () => {
  await using server = await startServer({ limits: { messagesPerQueue: 1000 } });
  const store = new MemoryStore();
  const agent = await Agent.start({ servers: [server.address], keyPool: keySource(), store });
  const { invitation } = await agent.create("x");
  await using hostile = await HostileAgent.connect(invitation);
  for (let i = 0; i < 150; i++) await hostile.body(textBytes(`junk ${i}`));
  await hostile.key();
  await secured(server);
  await hostile.hello();
  await hostile.text("it works");
  let stored: string[] = [];
  await until(() => {
    void store.events(0, 1000).then((all) => stored = all.map(({ event }) => event.type));
    return stored.includes("message");
  });
  assertEquals(stored.filter((type) => type === "error").length, 100);
  assertEquals(agent.connection("x").unreadable, 150);
  await agent.close();
});

for (const key of ["decryptionKey", "recipientKey"] as const) {
  Deno.test(`a stored ${key} that cannot be loaded concerns its own connection alone`, async () => {
    await using server = await startServer();
    await using friend = await TestAgent.start(server.address);
    const store = new MemoryStore();
    {
      await using a = await TestAgent.start(server.address, { store });
      await connectAgents(a, friend, ["broken", "x"]);
      await connectAgents(a, friend, ["whole", "y"]);
    }
    const { record, receiving: [route] } = (await store.connections()).find(({ record }) =>
      record.alias === "broken"
    )!;
    const keys = { ...route!.keys, [key]: Uint8Array.of(1, 2, 3) };
    const change = { type: "put receiving", connection: record.id, withKeys: true } as const;
    await store.commit([{ ...change, route: { ...route!, keys } }]);
    await friend.send("x", "for nobody");
    await using a = await TestAgent.start(server.address, { store });
    const before = server.metrics.connectionsAccepted;
    await a.agent.subscribeAll();
    for (let i = 0; i < 5; i++) {
      await friend.send("y", `${i}`);
      assertEquals(await a.text("whole"), `${i}`);
    }
    assertEquals((await a.next("error")).connection, "broken");
    assertEquals(a.events.filter(({ type }) => type === "down"), []);
    assert(server.metrics.connectionsAccepted <= before + 1);
    await a.agent.delete("broken");
  });
}
