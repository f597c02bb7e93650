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

Deno.test("a file is read no further for its SHA-256 when the agent is closed", async () => {
  await using server = await startServer();
  await using pair = await streamPair(server);
  const { agent } = pair.alice;
  let reads = 0;
  let closing: Promise<void> | undefined;
  class ReadBlob extends Blob {
    override slice(...range: Parameters<Blob["slice"]>): Blob {
      if (++reads === 2) closing = agent.close();
      return super.slice(...range);
    }
  }
  const sending = agent.sendFile("b", new ReadBlob([new Uint8Array(8 * 1024 * 1024)]));
  assertEquals(await codeOf(soon(sending)), "CLOSED");
  assertEquals(reads, 2);
  await closing;
});
