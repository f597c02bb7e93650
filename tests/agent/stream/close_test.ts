import { assertEquals } from "@std/assert";
import { MemoryStore } from "../../../agent/mod.ts";
import { startServer } from "../../support/server.ts";
import { codeOf, streamPair } from "../../support/streams.ts";
import { soon } from "../../support/wait.ts";

/** Stores nothing while its gate is closed. */
class GatedStore extends MemoryStore {
  gate: Promise<void> | null = null;

  override async commit(...given: Parameters<MemoryStore["commit"]>): Promise<void> {
    await this.gate;
    await super.commit(...given);
  }
}

Deno.test("an offer that waits behind others while the agent is closed ends as all do", async () => {
  await using server = await startServer();
  const store = new GatedStore();
  await using pair = await streamPair(server, { a: { store } });
  const { agent } = pair.alice;
  const stream = await agent.offerStream("b");
  const { promise, resolve: open } = Promise.withResolvers<void>();
  store.gate = promise;
  const sending = codeOf(pair.alice.send("b", "before"));
  const offering = agent.offerStream("b").then((stream) => stream.ended);
  const offered = codeOf(offering);
  const closing = agent.close();
  assertEquals(await codeOf(soon(stream.ended)), "CLOSED");
  open();
  assertEquals(await soon(offered), "CLOSED");
  await sending;
  await closing;
});
