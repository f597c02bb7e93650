import { assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import type { AgentOptions } from "../../../agent/mod.ts";
import { frameKinds } from "../../../protocol/mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { HostileSession } from "../../support/hostile_session.ts";
import { startServer } from "../../support/server.ts";
import { codeOf, sessions } from "../../support/streams.ts";
import { soon } from "../../support/wait.ts";

/** An agent whose session has begun, and that does not know yet what the other side knows. */
async function scene(options: Partial<AgentOptions> = {}) {
  const server = await startServer();
  const store = new MemoryStore();
  const before = await TestAgent.start(server.address, { ...sessions, store });
  const hostile = await HostileSession.connect(before, server.address);
  await before[Symbol.asyncDispose]();
  const [{ record: { id }, session }] = await store.connections() as [
    Awaited<
      ReturnType<typeof store.connections>
    >[0],
  ];
  const unknown = { ...session!, keys: { ...session!.keys, kinds: null } };
  await store.commit([{ type: "put session", connection: id, session: unknown, withKeys: true }]);
  const agent = await TestAgent.start(server.address, { ...sessions, store, ...options });
  await agent.agent.subscribeAll();
  return {
    agent,
    ready: (kinds: readonly number[]) => hostile.send(hostile.frame({ kind: "ready", kinds })),
    async [Symbol.asyncDispose]() {
      await hostile[Symbol.asyncDispose]();
      await agent[Symbol.asyncDispose]();
      await server.stop();
    },
  };
}

Deno.test("an offer right after a session has begun waits for what the other side knows", async () => {
  await using at = await scene({ upgradeTimeout: 60_000 });
  const offering = at.agent.agent.offerStream("hostile");
  const sending = at.agent.agent.sendFile("hostile", new Blob(["x"]));
  await at.ready([frameKinds["stream offer"]]);
  assertEquals([(await soon(offering)).status, (await soon(sending)).status], ["offered", "offered"]);
});

Deno.test("an offer to a side that turns out to know no streams is UNSUPPORTED", async () => {
  await using at = await scene({ upgradeTimeout: 60_000 });
  const offering = codeOf(at.agent.agent.offerStream("hostile"));
  await at.ready([1, 2]);
  assertEquals(await soon(offering), "UNSUPPORTED");
});

Deno.test("an offer waits no longer than for an upgrade, and not for a connection or an agent that ends", async () => {
  {
    await using at = await scene({ upgradeTimeout: 1 });
    assertEquals(await codeOf(soon(at.agent.agent.offerStream("hostile"))), "UNSUPPORTED");
  }
  await using at = await scene({ upgradeTimeout: 60_000 });
  const deleted = codeOf(at.agent.agent.sendFile("hostile", new Blob(["x"])));
  await at.agent.agent.delete("hostile");
  assertEquals(await soon(deleted), "CLOSED");
  await using other = await scene({ upgradeTimeout: 60_000 });
  const closed = codeOf(other.agent.agent.offerStream("hostile"));
  await other.agent.agent.close();
  assertEquals(await soon(closed), "CLOSED");
});
