import { assert, assertEquals, assertRejects } from "@std/assert";
import { AgentError, MemoryStore } from "../../agent/mod.ts";
import { formatAddress, formatQueueInfo, parseQueueInfo } from "../../mod.ts";
import { TestAgent } from "../support/agent.ts";
import { startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

const password = "a:password@that#nobody/may+see";

/** Fails where a text has the password in it. */
function assertHidden(what: unknown): void {
  const text = typeof what === "string" ? what : JSON.stringify(what);
  assert(!text.includes("nobody/may"), text);
}

for (const extensions of [[], ["session1"]]) {
  const suffix = extensions.length > 0 ? ", with a session" : "";
  Deno.test(`who has no password of the inviting side's server answers by its own${suffix}`, async () => {
    await using closed = await startServer({ create: { password } });
    await using open = await startServer();
    const store = new MemoryStore();
    await using alice = await TestAgent.start(`${password}@${closed.address}`, { extensions, store });
    await using bob = await TestAgent.start(open.address, { extensions });
    const { invitation } = await alice.agent.create("bob");
    const text = formatQueueInfo(invitation);
    assertHidden(text);
    assertEquals(formatAddress(parseQueueInfo(text).server), closed.address);
    await bob.agent.join(text, { alias: "alice" });
    await Promise.all([alice.next("connected"), bob.next("connected")]);
    await alice.send("bob", "hello");
    assertEquals(await bob.text(), "hello");
    await bob.send("alice", "and you");
    assertEquals(await alice.text(), "and you");
    if (extensions.length > 0) {
      const isActive = () => alice.agent.connections()[0]!.session?.active === true;
      await until(isActive);
    }
    assertEquals(open.metrics.commands.get("PASS OK"), undefined);
    assertEquals(closed.metrics.commands.get("PASS OK"), 1);
    assertEquals(alice.agent.servers.map(formatAddress), [closed.address]);
    assertHidden([alice.agent.connections(), await store.connections(), alice.events, alice.agent.servers]);
  });
}

Deno.test("an agent without the password of its server says that it wants one, and takes it later", async () => {
  await using server = await startServer({ create: { password } });
  await using alice = await TestAgent.start(server.address);
  const error = await assertRejects(() => soon(alice.agent.create("a")), AgentError, "it wants its password");
  assertEquals(error.code, "SMP AUTH");
  alice.agent.setServers([`${password}@${server.address}`]);
  await soon(alice.agent.create("a"));
  // What is given without it later does not take it away.
  alice.agent.setServers([server.address]);
  await soon(alice.agent.create("b"));
});

Deno.test("when a server begins to want a password, an agent that has it connects again and goes on", async () => {
  await using server = await startServer();
  await using alice = await TestAgent.start([server.address], { client: { password: () => password } });
  await alice.agent.create("a");
  server.setCreate({ password });
  await assertRejects(() => soon(alice.agent.create("b")), AgentError, "connect again");
  await soon(alice.agent.create("b"));
  assertEquals(server.metrics.commands.get("PASS OK"), 1);
});

Deno.test("a wrong password is told, and no error has it", async () => {
  await using server = await startServer({ create: { password } });
  await using alice = await TestAgent.start(`nobody/may/see@${server.address}`);
  const error = await assertRejects(() => soon(alice.agent.create("a")), AgentError);
  assertEquals(error.code, "SMP AUTH");
  assert(error.message.includes("the password is not that of the server"), error.message);
  assertHidden(`${error.message} ${error.stack} ${error.cause}`);
  assertHidden(alice.events);
});
