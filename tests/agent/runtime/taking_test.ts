import { assert, assertEquals } from "@std/assert";
import { Agent, MemoryStore, type StoreChange, StoreError } from "../../../agent/mod.ts";
import { textBytes } from "../../../protocol/mod.ts";
import { keySource, TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";
import { next, until } from "../../support/wait.ts";

/** A store that counts the commits which delete events, and fails the first of them. */
class TakingStore extends MemoryStore {
  commits = 0;

  override commit(changes: readonly StoreChange[]): Promise<void> {
    if (!changes.some(({ type }) => type === "delete event")) return super.commit(changes);
    return this.commits++ === 0
      ? Promise.reject(new StoreError("WRITE", "Cannot write to the store: it is full"))
      : super.commit(changes);
  }
}

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

Deno.test("events that no server waits for are taken many in one commit, until that is stored", async () => {
  await using server = await startServer();
  const store = new TakingStore();
  await using agent = await Agent.start({ servers: [server.address], keyPool: keySource(), store });
  await using other = await TestAgent.start(server.address);
  const { invitation } = await agent.create("other");
  await other.agent.join(invitation);
  await other.next("connected");
  const count = 40;
  for (let i = 0; i < count; i++) await agent.send("other", textBytes(`${i}`));
  await until(async () => (await store.events(0, 100)).length === count + 1);
  let told = 0;
  const reading = (async () => {
    for await (const _ of agent.events()) told++;
  })();
  await until(async () => told === count + 1 && (await store.events(0, 100)).length === 0);
  assert(store.commits < count / 2, `${store.commits} commits`);
  await agent.close();
  await reading;
});
