import { assertEquals, assertRejects } from "@std/assert";
import { AgentError, type KeySource, MemoryStore, type StoreChange } from "../../agent/mod.ts";
import { tcpTransport, type Transport } from "../../client/mod.ts";
import { type Channel, networkError } from "../../protocol/mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { connectAgents, keySource, TestAgent } from "../support/agent.ts";
import { HeldStore } from "../support/held_store.ts";
import { startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

// What fails for one connection, or with one server, holds up no other.

/** Waits until a server has answered a command so for a number of times. */
function answered({ metrics }: SmpServer, answer: string, count = 1): Promise<void> {
  return until(() => (metrics.commands.get(answer) ?? 0) >= count);
}

/** The friend's messages come, over the connections to the server that there are. */
async function assertUnharmed(server: SmpServer, victim: TestAgent, friend: TestAgent): Promise<void> {
  const before = server.metrics.connectionsAccepted;
  for (let i = 0; i < 5; i++) {
    await friend.send("victim", `${i}`);
    assertEquals(await victim.text("friend"), `${i}`);
  }
  assertEquals(server.metrics.connectionsAccepted, before);
  assertEquals(victim.events.filter(({ type }) => type === "down"), []);
}

Deno.test("while the application cannot say whether to let somebody in, only that invitation waits", async () => {
  await using server = await startServer();
  let asked = 0;
  const approve = ({ connection }: { connection: string }) => {
    if (connection !== "x") return true;
    if (++asked < 4) throw new Error("the address book is locked");
    return true;
  };
  await using victim = await TestAgent.start(server.address, { approve });
  await using friend = await TestAgent.start(server.address);
  await connectAgents(victim, friend, ["friend", "victim"]);
  const before = server.metrics.connectionsAccepted;
  await friend.agent.join((await victim.agent.create("x")).invitation, { alias: "y" });
  const { error, connection } = await victim.next("error");
  assertEquals([error.code, connection], ["INTERNAL", "x"]);
  await assertUnharmed(server, victim, friend);
  await Promise.all([victim.next("connected"), friend.next("connected")]);
  assertEquals([asked, server.metrics.connectionsAccepted], [4, before]);
});

Deno.test("an application that never answers holds up one invitation, not closing, and is asked again after a restart", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  const never = Promise.withResolvers<boolean>();
  let asked = 0;
  await using friend = await TestAgent.start(server.address);
  {
    const approve = ({ connection }: { connection: string }) =>
      connection === "friend" || (asked++, never.promise);
    await using victim = await TestAgent.start(server.address, { approve, store });
    await connectAgents(victim, friend, ["friend", "victim"]);
    for (const alias of ["x", "deleted"]) {
      await friend.agent.join((await victim.agent.create(alias)).invitation, { alias: `to ${alias}` });
    }
    await until(() => asked === 2);
    await assertUnharmed(server, victim, friend);
    await soon(victim.agent.delete("deleted"));
    await soon(victim.agent.close());
  }
  await using victim = await TestAgent.start(server.address, { store });
  await victim.agent.subscribeAll();
  await friend.next("connected", ({ connection }) => connection === "to x");
  await victim.next("connected", ({ connection }) => connection === "x");
});

Deno.test("a key that cannot be loaded is told, and harms one connection alone", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  await using friend = await TestAgent.start(server.address);
  const broken = ["recipientKey", "decryptionKey"] as const;
  {
    await using victim = await TestAgent.start(server.address, { store });
    await connectAgents(victim, friend, ["friend", "victim"]);
    for (const name of [...broken, "signingKey"]) await connectAgents(victim, friend, [name, `to ${name}`]);
  }
  for (const { record: { id, alias }, receiving: [to], sending: [from] } of await store.connections()) {
    const damaged = new Uint8Array(100).fill(7);
    const change: StoreChange | null = alias === "signingKey"
      ? {
        type: "put sending",
        connection: id,
        route: { ...from!, keys: { ...from!.keys, [alias]: damaged } },
        withKeys: true,
      }
      : alias === "friend"
      ? null
      : {
        type: "put receiving",
        connection: id,
        route: { ...to!, keys: { ...to!.keys, [alias]: damaged } },
        withKeys: true,
      };
    if (change !== null) await store.commit([change]);
  }
  await using victim = await TestAgent.start(server.address, { store });
  assertEquals(await victim.agent.subscribeAll(), ["friend", "decryptionKey", "signingKey"]);
  assertEquals((await victim.next("error")).connection, "recipientKey");
  for (const name of broken) await friend.send(`to ${name}`, "cannot be read");
  assertEquals((await victim.next("error")).connection, "decryptionKey");
  const id = await victim.send("signingKey", "cannot be sent");
  const failed = await victim.next("error");
  assertEquals([failed.connection, failed.id], ["signingKey", id]);
  await assertUnharmed(server, victim, friend);
  // Deleting needs the key only at the server.
  for (const name of broken) await soon(victim.agent.delete(name));
  await until(() => victim.agent.connections().length === 2);
});

Deno.test("a queue that is made while the connection to its server is lost is subscribed to all the same", async () => {
  await using server = await startServer();
  const channels: Channel[] = [];
  /** Loses the connection in a commit, which ends when there is a new one. */
  class LosingStore extends MemoryStore {
    isLosing = false;
    override async commit(changes: readonly StoreChange[]): Promise<void> {
      if (this.isLosing) {
        this.isLosing = false;
        await channels.at(-1)!.close();
        // The queue that there was before is subscribed to again.
        await answered(server, "SUB OK");
      }
      await super.commit(changes);
    }
  }
  const transport: Transport = async (address, signal) => {
    const channel = await tcpTransport(address, signal);
    channels.push(channel);
    return channel;
  };
  const store = new LosingStore();
  await using a = await TestAgent.start(server.address, { store, client: { transport } });
  await using b = await TestAgent.start(server.address);
  // The link connects again by itself.
  await a.agent.create("other");
  store.isLosing = true;
  await connectAgents(a, b);
  await a.send("b", "one way");
  assertEquals(await b.text("a"), "one way");
  await b.send("a", "the other");
  assertEquals(await a.text("b"), "the other");
});

Deno.test("who has made an invitation goes on answering for as long as it takes, whatever the joiner's patience", async () => {
  await using server = await startServer();
  const held = new HeldStore();
  await using a = await TestAgent.start(server.address, { store: held, joinTimeout: 1 });
  const { invitation } = await a.agent.create("b");
  const store = new MemoryStore();
  {
    await using b = await TestAgent.start(server.address, { store });
    await Promise.all([b.agent.join(invitation, { alias: "a" }), soon(held.asked)]);
    await until(async () => (await store.waitingRoutes()).length === 0);
  }
  held.goOn();
  // Nobody secures the joiner's queue: HELLO is refused, again and again.
  await answered(server, "SEND ERR AUTH", 4);
  await using b = await TestAgent.start(server.address, { store });
  await b.agent.subscribe("a");
  await Promise.all([a.next("connected"), b.next("connected")]);
  await a.send("b", "hello?");
  await b.send("a", "I am here");
  assertEquals([await a.text("b"), await b.text("a")], ["I am here", "hello?"]);
  assertEquals([...a.events, ...b.events].filter(({ type }) => type === "error"), []);
});

Deno.test("a joiner that has given up refuses to send, after a restart too", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  const one = await TestAgent.start(server.address);
  const { invitation } = await one.agent.create("b");
  await one.agent.close();
  {
    await using b = await TestAgent.start(server.address, { store, joinTimeout: 1 });
    await b.agent.join(invitation, { alias: "a" });
    const id = await b.send("a", "before").catch(() => 0);
    assertEquals((await b.next("error")).id, undefined);
    if (id > 0) assertEquals((await b.next("error")).id, id);
    const refused = await assertRejects(() => b.send("a", "after"), AgentError);
    assertEquals([refused.code, b.agent.connection("a").canSend], ["CONN SIMPLEX", false]);
  }
  await using b = await TestAgent.start(server.address, { store });
  assertEquals((await assertRejects(() => b.send("a", "later"), AgentError)).code, "CONN SIMPLEX");
  assertEquals((await b.agent.messages("a")).filter(({ done }) => done), []);
});

Deno.test("a joiner whose own server cannot be reached makes its keys once", async () => {
  await using server = await startServer();
  await using a = await TestAgent.start(server.address);
  let taken = 0, failures = 0;
  const keys = keySource();
  const keyPool: KeySource = {
    take: (least) => (taken++, keys.take(least)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  let isDown = true;
  const transport: Transport = (address, signal) => {
    if (!isDown || address.port === server.port) return tcpTransport(address, signal);
    failures++;
    return Promise.reject(networkError("connect", new Error("refused")));
  };
  await using own = await startServer();
  await using b = await TestAgent.start(own.address, { client: { transport }, keyPool });
  await b.agent.join((await a.agent.create("b")).invitation, { alias: "a" });
  await until(() => failures > 10);
  assertEquals(taken, 2);
  isDown = false;
  await Promise.all([a.next("connected"), b.next("connected")]);
  assertEquals(taken, 4);
});
