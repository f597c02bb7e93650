import { assertEquals } from "@std/assert";
import { type AgentStore, MemoryStore } from "../../../agent/mod.ts";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";

const session = { extensions: ["session1"] };

/** What is stored now, in another store. */
async function copyOf(store: AgentStore): Promise<MemoryStore> {
  const copy = new MemoryStore();
  for await (const change of store.snapshot()) await copy.commit([change]);
  return copy;
}

Deno.test("a database that was restored from a backup says plainly that its session is out of step", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  await using bob = await TestAgent.start(server.address, session);
  let backup;
  {
    await using alice = await TestAgent.start(server.address, { ...session, store });
    await connectAgents(alice, bob, ["bob", "alice"]);
    const talk = async (text: string) => {
      await alice.send("bob", text);
      assertEquals(await bob.text(), text);
      await bob.send("alice", text);
      assertEquals(await alice.text(), text);
    };
    for (let i = 0; i < 3; i++) await talk(`${i}`);
    backup = await copyOf(store);
    for (let i = 0; i < 3; i++) await talk(`later ${i}`);
  }
  await using alice = await TestAgent.start(server.address, { ...session, store: backup });
  await alice.agent.subscribe("bob");
  for (let i = 0; i < 5; i++) await bob.send("alice", `unread ${i}`);
  assertEquals((await alice.next("security")).reason, "session out of step");
});
