import { assert, assertEquals } from "@std/assert";
import { Agent, MemoryStore } from "../../../agent/mod.ts";
import { keySource, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";
import { next } from "../../support/wait.ts";

/** Starts an agent whose events wait to be taken. */
async function started(address: string, store: MemoryStore) {
  const agent = await Agent.start({ servers: [address], keyPool: keySource(), store });
  const events = agent.events({ take: "manual" });
  return {
    agent,
    /** The number of the event that a new connection is there. */
    async connect(alias: string): Promise<number> {
      await using other = await TestAgent.start(address);
      const { invitation } = await agent.create(alias);
      await other.agent.join(invitation);
      await other.next("connected");
      const event = await next(events);
      assert(event.type === "connected" && event.connection === alias);
      return event.eventId!;
    },
    [Symbol.asyncDispose]: () => agent.close(),
  };
}

Deno.test("an event can be taken by the number that it had before a restart, without being read again", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  let eventId;
  {
    await using first = await started(server.address, store);
    eventId = await first.connect("one");
  }
  await using second = await started(server.address, store);
  await second.agent.take(eventId);
  assertEquals(await store.events(0, 10), []);
});

Deno.test("an event never has the number of one that was taken before a restart", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  const ids: number[] = [];
  for (const alias of ["one", "two"]) {
    await using agent = await started(server.address, store);
    ids.push(await agent.connect(alias));
    await agent.agent.take(ids.at(-1)!);
  }
  assert(ids[0]! < ids[1]!, `${ids}`);
});
