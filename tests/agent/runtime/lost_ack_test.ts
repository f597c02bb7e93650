import { assert, assertEquals } from "@std/assert";
import { AgentError, type AgentOptions, MemoryStore } from "../../../agent/mod.ts";
import { SmpClient } from "../../../client/mod.ts";
import { loadPrivateKey } from "../../../protocol/mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { type CommandFault, FaultyServer, type Peer, transportOf } from "../model/faulty_server.ts";
import { rejection, turn } from "../../support/fake_server.ts";
import { soon, until } from "../../support/wait.ts";

/** A peer whose commands go wrong, the first of each kind, as a test says; ACK and ACKM wait until the next message is there. */
function peerWith(faults: Record<string, CommandFault>, server?: FaultyServer): Peer {
  const left = new Map(Object.entries(faults));
  return {
    async fault({ command: { type } }) {
      const fault = left.get(type) ?? "none";
      if (type.startsWith("ACK") && left.delete(type)) await until(() => server!.messages.size > 1);
      left.delete(type);
      return fault;
    },
    acknowledged() {},
  };
}

function start(server: FaultyServer, peer: Peer): Promise<TestAgent> {
  const transport = transportOf([server], peer, () => false);
  return TestAgent.start([], {
    servers: [server.address],
    client: { transport, commandTimeout: 1000 },
    acknowledge: "manual",
  });
}

for (const extensions of [[], ["window1"]] as const) {
  const ack = extensions.length === 0 ? "ACK" : "ACKM";
  for (const fault of ["answered INTERNAL", "unanswered", "refused", "cut after", "cut before"] as const) {
    Deno.test(`a second copy of a message whose ${ack} was ${fault} does not acknowledge the next one`, async () => {
      const server = new FaultyServer("server", extensions);
      const faults: Record<string, CommandFault> = { KEY: "delivered again", [ack]: fault };
      await using a = await start(server, peerWith(faults, server));
      await using b = await start(server, peerWith({}));
      const { invitation } = await a.agent.create("b");
      await b.agent.join(invitation, { alias: "a", reply: false });
      await b.send("a", "one");
      await b.next("sent");
      assertEquals(await a.text("b"), "one");
      for (let i = 0; i < 20; i++) await turn();
      assertEquals(server.messages.size, 1);
    });
  }
}

/** A peer whose commands of one kind wait at the server, with all that follow, from `shut` to `open`. */
function slowPeer(type: string) {
  const opened = Promise.withResolvers<void>();
  let isShut = false;
  const peer: Peer = {
    async fault({ command }): Promise<CommandFault> {
      if (isShut && command.type === type) await opened.promise;
      return "none";
    },
    acknowledged() {},
  };
  return { peer, shut: () => void (isShut = true), open: () => opened.resolve() };
}

/** An agent "a" and another one, "b", that has joined it; "a" waits long for answers unless a test says otherwise. */
async function joined(
  server: FaultyServer,
  peer: Peer,
  { commandTimeout = 60_000, ...options }: Partial<AgentOptions> & { readonly commandTimeout?: number },
) {
  const client = { transport: transportOf([server], peer, () => false), commandTimeout };
  const a = await TestAgent.start([], { servers: [server.address], client, ...options });
  const b = await start(server, peerWith({}));
  const { invitation } = await a.agent.create("b");
  await b.agent.join(invitation, { alias: "a", reply: false });
  await b.next("connected");
  await until(() => server.messages.size === 0);
  return {
    a,
    b,
    async [Symbol.asyncDispose]() {
      await a[Symbol.asyncDispose]();
      await b[Symbol.asyncDispose]();
    },
  };
}

/** Another program, which takes a queue over and acknowledges what waits there first. */
async function takeOver(server: FaultyServer, store: MemoryStore): Promise<SmpClient> {
  const transport = transportOf([server], peerWith({}), () => false);
  const other = await SmpClient.connect(server.address, { transport });
  const { recipientId, senderId, recipientKey } = (await store.connections())[0]!.receiving[0]!.keys;
  const queue = { recipientId, senderId, recipientKey: await loadPrivateKey(recipientKey, "sign") };
  await other.subscribe(queue);
  await other.acknowledge(queue);
  return other;
}

for (const when of ["under way", "not answered in time"]) {
  Deno.test(`while a SUB is ${when} that delivers another message no earlier one is acknowledged`, async () => {
    const server = new FaultyServer("server");
    const store = new MemoryStore();
    const { peer, shut, open } = slowPeer("SUB");
    const timeout = when === "not answered in time" ? { commandTimeout: 500 } : {};
    await using agents = await joined(server, peer, { store, acknowledge: "manual", ...timeout });
    const { a, b } = agents;
    for (const text of ["one", "two"]) await b.send("a", text);
    const first = (await a.next("message")).message;
    await until(() => server.messages.size === 2);
    await using _other = await takeOver(server, store);
    await a.next("end");
    shut();
    const subscribing = a.agent.subscribe("b");
    if (when === "not answered in time") await rejection(subscribing);
    const acknowledging = a.agent.acknowledge("b", first.id);
    for (let i = 0; i < 20; i++) await turn();
    open();
    await soon(acknowledging);
    // The first one is told again when it is subscribed.
    const second = (await a.next("message", ({ message: { id } }) => id !== first.id)).message;
    assertEquals(new TextDecoder().decode(second.body), "two");
    for (let i = 0; i < 20; i++) await turn();
    assertEquals(server.messages.size, 1);
    await a.agent.acknowledge("b", second.id);
    await until(() => server.messages.size === 0);
  });
}

Deno.test("what another program takes away while SUB is on its way is not acknowledged behind that", async () => {
  const server = new FaultyServer("server");
  const store = new MemoryStore();
  const { peer, shut, open } = slowPeer("SUB");
  await using agents = await joined(server, peer, { store, acknowledge: "manual" });
  const { a, b } = agents;
  for (const text of ["one", "two"]) await b.send("a", text);
  const first = (await a.next("message")).message;
  await until(() => server.messages.size === 2);
  shut();
  const subscribing = a.agent.subscribe("b");
  for (let i = 0; i < 20; i++) await turn();
  const acknowledging = a.agent.acknowledge("b", first.id);
  for (let i = 0; i < 20; i++) await turn();
  // Its END is of no help: it comes when the commands are under way.
  await using _other = await takeOver(server, store);
  open();
  await soon(Promise.all([subscribing, acknowledging]));
  const second = (await a.next("message", ({ message: { id } }) => id !== first.id)).message;
  assertEquals(new TextDecoder().decode(second.body), "two");
  for (let i = 0; i < 20; i++) await turn();
  assertEquals(server.messages.size, 1);
  await a.agent.acknowledge("b", second.id);
  await until(() => server.messages.size === 0);
});

for (const acknowledge of ["next", "manual"] as const) {
  Deno.test(`when ACK and the SUBs after it are answered late all goes on (acknowledge: ${acknowledge})`, async () => {
    const server = new FaultyServer("server");
    const { peer, shut, open } = slowPeer("ACK");
    const manual = acknowledge === "manual" ? { acknowledge } : {};
    await using agents = await joined(server, peer, { commandTimeout: 500, ...manual });
    const { a, b } = agents;
    shut();
    for (const text of ["one", "two", "three"]) await b.send("a", text);
    const first = (await a.next("message")).message;
    await until(() => server.messages.size === 3);
    if (acknowledge === "manual") await a.agent.acknowledge("b", first.id);
    // The one that is under way, or one that follows it.
    const error = await rejection(a.agent.subscribe("b"));
    assert(error instanceof AgentError && error.code === "BROKER TIMEOUT");
    open();
    for (const [i, text] of ["two", "three"].entries()) {
      const { message } = await a.next("message");
      assertEquals(new TextDecoder().decode(message.body), text);
      for (let i = 0; i < 20; i++) await turn();
      if (acknowledge === "next") continue;
      assertEquals(server.messages.size, 2 - i);
      await a.agent.acknowledge("b", message.id);
    }
    await until(() => server.messages.size === 0);
    assertEquals(a.events.filter(({ type }) => type === "message"), []);
  });
}
