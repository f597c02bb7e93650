import { assert, assertEquals } from "@std/assert";
import { AgentError, MemoryStore, type QueuedDelivery } from "../../../agent/mod.ts";
import { tcpTransport, type Transport } from "../../../client/mod.ts";
import {
  decodePublicKey,
  formatQueueInfo,
  networkError,
  parseAddress,
  textBytes,
} from "../../../protocol/mod.ts";
import { storedKeys, TestAgent } from "../../support/agent.ts";
import { rejection, turn } from "../../support/fake_server.ts";
import { startServer } from "../../support/server.ts";
import { soon } from "../../support/wait.ts";

/** A store that takes its time to give all that is to be sent. */
class SlowStore extends MemoryStore {
  readonly asked = Promise.withResolvers<void>();
  readonly ready = Promise.withResolvers<void>();

  override async deliveries(route: string, limit: number): Promise<QueuedDelivery[]> {
    const found = await super.deliveries(route, limit);
    if (limit < 1000) return found;
    this.asked.resolve();
    await this.ready.promise;
    return found;
  }
}

/** An invitation to a queue that is not there. */
function invitationTo(address: string): string {
  const encryptionKey = decodePublicKey(storedKeys[0]!.publicKey);
  return formatQueueInfo({ server: parseAddress(address), senderId: "bm9ib2R5", encryptionKey });
}

Deno.test("a message that is sent while joining is given up is refused: it would wait for ever", async () => {
  await using server = await startServer();
  const store = new SlowStore();
  const transport = () => Promise.reject(networkError("connect", new Error("nobody is there")));
  await using agent = await TestAgent.start(server.address, { store, joinTimeout: 1, client: { transport } });
  await agent.agent.join(invitationTo(server.address), { alias: "x" });
  await soon(store.asked.promise);
  const sending = rejection(agent.agent.send("x", textBytes("hello")));
  await turn();
  store.ready.resolve();
  const error = await sending;
  assert(error instanceof AgentError && error.code === "CONN SIMPLEX");
});

Deno.test("a queue that is not there is told of at once, also when its server could not be reached at first", async () => {
  await using server = await startServer();
  let tries = 0;
  const transport: Transport = (address, signal) =>
    tries++ === 0
      ? Promise.reject(networkError("connect", new Error("nobody is there")))
      : tcpTransport(address, signal);
  await using agent = await TestAgent.start(server.address, { client: { transport } });
  await agent.agent.join(invitationTo(server.address), { alias: "x" });
  assertEquals((await agent.next("error", ({ error }) => error.code === "SMP AUTH")).connection, "x");
  assertEquals(tries, 2);
});
