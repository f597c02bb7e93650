import { assertEquals, assertRejects } from "@std/assert";
import { AgentError, MemoryStore, type StoreChange, StoreError } from "../../../agent/mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { turn } from "../../support/fake_server.ts";
import { until } from "../../support/wait.ts";
import { type CommandFault, FaultyServer, type Peer, transportOf } from "../model/faulty_server.ts";

/** A store that does something instead of a commit that puts a receiving route. */
class FailingStore extends MemoryStore {
  instead: (() => void) | null = null;

  override commit(changes: readonly StoreChange[]): Promise<void> {
    const { instead } = this;
    if (instead === null || !changes.some(({ type }) => type === "put receiving")) {
      return super.commit(changes);
    }
    this.instead = null;
    instead();
    return Promise.reject(new StoreError("WRITE", "the disk is full"));
  }
}

/** A peer that does something when its server has a command, before that is executed. */
function peerThat(does: (type: string) => Promise<void> | void = () => {}): Peer {
  return {
    async fault({ command: { type } }): Promise<CommandFault> {
      await does(type);
      return "none";
    },
    acknowledged() {},
  };
}

function start(servers: readonly FaultyServer[], { peer = peerThat(), own = servers[0]!, store }: {
  readonly peer?: Peer;
  readonly own?: FaultyServer;
  readonly store?: MemoryStore;
}): Promise<TestAgent> {
  const transport = transportOf(servers, peer, () => false);
  return TestAgent.start([], { servers: [own.address], client: { transport }, ...(store && { store }) });
}

Deno.test("a queue that could not be stored is deleted when its server, which has gone meanwhile, is back", async () => {
  const server = new FaultyServer("server");
  const store = new FailingStore();
  await using a = await start([server], { store });
  store.instead = () => void (server.isUp = false);
  await assertRejects(() => a.agent.create("b"), AgentError);
  assertEquals([server.recipientIds().length, (await store.discarded()).length], [1, 1]);
  server.isUp = true;
  await until(() => server.recipientIds().length === 0);
  await until(async () => (await store.discarded()).length === 0);
});

Deno.test("a queue that is being made when the agent is closed belongs to somebody afterwards", async () => {
  const server = new FaultyServer("server");
  const store = new MemoryStore();
  let closing: Promise<void> | undefined;
  const peer = peerThat(async (type) => {
    if (type !== "NEW") return;
    closing = a.agent.close();
    for (let i = 0; i < 20; i++) await turn();
  });
  await using a = await start([server], { peer, store });
  const creating = a.agent.create("b").then(() => {}, () => {});
  await until(() => closing !== undefined);
  await closing;
  await creating;
  assertEquals(server.recipientIds().length, 1);
  assertEquals((await store.connections()).length + (await store.discarded()).length, 1);
});

Deno.test("a queue for the reply that could not be stored is deleted when its server is back", async () => {
  const [server, own] = [new FaultyServer("server"), new FaultyServer("own")];
  const store = new FailingStore();
  await using a = await start([server, own], {});
  await using b = await start([server, own], { own, store });
  const { invitation } = await a.agent.create("b");
  store.instead = () => void (own.isUp = false);
  await b.agent.join(invitation, { alias: "a" });
  await until(() => store.instead === null);
  await until(async () => (await store.discarded()).length === 1);
  own.isUp = true;
  await Promise.all([a.next("connected"), b.next("connected")]);
  // The one that the connection has now is left.
  await until(() => own.recipientIds().length === 1);
});

for (const isRestarted of [false, true]) {
  const when = isRestarted ? "over a restart of the agent" : "while the agent runs";
  Deno.test(`a queue that is made while its connection is deleted is deleted when its server is back, ${when}`, async () => {
    const [server, own] = [new FaultyServer("server"), new FaultyServer("own")];
    const store = new MemoryStore();
    await using a = await start([server], {});
    const made = Promise.withResolvers<void>();
    let isFirst = true;
    const peer = peerThat(async (type) => {
      if (type === "NEW") {
        await b.agent.delete("a");
        made.resolve();
      } else if (type === "DEL" && isFirst) {
        own.isUp = isFirst = false;
      }
    });
    let b = await start([server, own], { peer, own, store });
    const { invitation } = await a.agent.create("b");
    await b.agent.join(invitation, { alias: "a" });
    await made.promise;
    await until(() => own.recipientIds().length === 1 && !own.isUp);
    assertEquals(b.agent.connections(), []);
    for (let i = 0; i < 20; i++) await turn();
    if (isRestarted) {
      await b[Symbol.asyncDispose]();
      b = await start([server, own], { own, store });
    }
    own.isUp = true;
    await until(() => own.recipientIds().length === 0);
    await until(async () => (await store.discarded()).length === 0);
    await b[Symbol.asyncDispose]();
  });
}
