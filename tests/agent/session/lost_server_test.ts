import { assertEquals } from "@std/assert";
import type { SmpServer } from "../../../server/mod.ts";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { steadyPort } from "../../support/ports.ts";
import { startServer } from "../../support/server.ts";
import { until } from "../../support/wait.ts";

const session = { extensions: ["session1"] };

/** A server that can be stopped and started again at its port, with nothing of what it had. */
class Forgetful implements AsyncDisposable {
  private constructor(public server: SmpServer) {}

  static async start(): Promise<Forgetful> {
    return new Forgetful(await startServer({ port: steadyPort() }));
  }

  get address(): string {
    return this.server.address;
  }

  async restart(): Promise<void> {
    const { port } = this.server;
    await this.server.stop();
    this.server = await startServer({ port });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
  }
}

async function connected(
  servers: { readonly alice: readonly string[]; readonly bob: readonly string[] },
  options = {},
): Promise<{ readonly alice: TestAgent; readonly bob: TestAgent }> {
  const alice = await TestAgent.start(servers.alice, { ...session, ...options });
  const bob = await TestAgent.start(servers.bob, { ...session, ...options });
  await connectAgents(alice, bob, ["bob", "alice"]);
  for (const agent of [alice, bob]) {
    await agent.next("route", ({ direction }) => direction === "receiving");
    await agent.next("route", ({ direction }) => direction === "sending");
  }
  return { alice, bob };
}

/** Sends numbers both ways and waits until all have come, once and in order. */
async function talk(alice: TestAgent, bob: TestAgent, from: number, count = 5): Promise<void> {
  for (let i = from; i < from + count; i++) {
    await Promise.all([alice.send("bob", `${i}`), bob.send("alice", `${i}`)]);
  }
  for (let i = from; i < from + count; i++) {
    assertEquals([await alice.text(), await bob.text()], [`${i}`, `${i}`]);
  }
}

Deno.test("a server that has forgotten everything is replaced, and nothing is lost", async () => {
  await using one = await Forgetful.start();
  await using two = await Forgetful.start();
  const { alice, bob } = await connected({ alice: [one.address], bob: [two.address] });
  await using _alice = alice;
  await using _bob = bob;
  await talk(alice, bob, 0);
  const late = [];
  for (let i = 0; i < 20; i++) late.push(bob.send("alice", `late ${i}`));
  await one.restart();
  await Promise.all(late);
  for (let i = 0; i < 20; i++) assertEquals(await alice.text(), `late ${i}`);
  await talk(alice, bob, 5);
});

Deno.test("a server that does not come back is replaced by another one, and nothing is lost", async () => {
  await using one = await Forgetful.start();
  await using two = await Forgetful.start();
  await using three = await Forgetful.start();
  const { alice, bob } = await connected({ alice: [one.address], bob: [two.address] }, { lostTimeout: 300 });
  await using _alice = alice;
  await using _bob = bob;
  await talk(alice, bob, 0);
  alice.agent.setServers([one.address, three.address]);
  await one.server.stop();
  for (let i = 0; i < 5; i++) await bob.send("alice", `late ${i}`);
  for (let i = 0; i < 5; i++) assertEquals(await alice.text(), `late ${i}`);
  await talk(alice, bob, 5);
});

Deno.test("both servers of a connection go, and its other two carry it on", async () => {
  await using one = await Forgetful.start();
  await using two = await Forgetful.start();
  await using three = await Forgetful.start();
  await using four = await Forgetful.start();
  const { alice, bob } = await connected(
    { alice: [one.address, two.address], bob: [three.address, four.address] },
    { routes: 2 },
  );
  await using _alice = alice;
  await using _bob = bob;
  await until(() => alice.agent.connection("bob").session?.servers.sending.length === 2);
  await until(() => bob.agent.connection("alice").session?.servers.sending.length === 2);
  await talk(alice, bob, 0);
  await Promise.all([one.server.stop(), three.server.stop()]);
  await talk(alice, bob, 5);
});
