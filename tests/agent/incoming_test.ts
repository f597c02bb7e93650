import { assertEquals } from "@std/assert";
import { MemoryStore, type StoreChange } from "../../agent/mod.ts";
import { textBytes } from "../../protocol/mod.ts";
import { TestAgent } from "../support/agent.ts";
import { FakePeer, FakeServer, queueIds, turn } from "../support/fake_server.ts";
import { formatAddress } from "../../mod.ts";
import { soon, until } from "../support/wait.ts";

/** A store that takes its time when it is told to. */
class SlowStore extends MemoryStore {
  pause: Promise<void> = Promise.resolve();
  commits = 0;

  override async commit(changes: readonly StoreChange[]): Promise<void> {
    this.commits++;
    await this.pause;
    await super.commit(changes);
  }
}

Deno.test("of messages that a server sends without an acknowledgment an agent keeps one beside that which it handles", async () => {
  await using server = await FakeServer.start();
  const store = new SlowStore();
  const client = { transport: server.transport };
  await using agent = await TestAgent.start(formatAddress(server.address), { store, client });
  const creating = agent.agent.create("x");
  const peer = await FakePeer.handshake(await server.accept());
  const [recipientId, senderId] = queueIds;
  await peer.answer(await peer.take(), { type: "IDS", recipientId, senderId }, "");
  await soon(creating);
  const handling = Promise.withResolvers<void>();
  store.pause = handling.promise;
  const before = store.commits;
  const message = (i: number) => ({
    type: "MSG",
    messageId: btoa(`message ${i}`),
    timestamp: new Date(0),
    body: textBytes(`not of an agent: ${i}`),
  } as const);
  await peer.push(recipientId, message(0));
  await until(() => store.commits > before);
  const count = 500;
  for (let i = 1; i <= count; i++) await peer.push(recipientId, message(i));
  // With its answer everything before it has been read.
  const subscribing = agent.agent.subscribe("x");
  await peer.answer(await peer.take(), message(count));
  await soon(subscribing);
  await turn();
  handling.resolve();
  // An ACK for any other would be one for this.
  const command = await peer.take();
  assertEquals(command.command.type, "ACK");
  await peer.answer(command, { type: "OK" });
  await agent.next("error");
  await agent.next("error");
  // Whatever was kept besides would be unreadable too, before this is.
  await peer.push(recipientId, message(count + 1));
  await peer.answer(await peer.take(), { type: "OK" });
  assertEquals((await store.connections())[0]!.receiving[0]!.lastServerId, message(count + 1).messageId);
  assertEquals(agent.agent.connections()[0]!.unreadable, 3);
});
