/** What a server had accepted and has lost: killed, with messages in memory (streams.md Resume). */
import { assert, assertEquals } from "@std/assert";
import { tcpTransport, type Transport } from "../../../client/mod.ts";
import { deferred, equalBytes } from "../../../protocol/mod.ts";
import { MemoryMessageStore, MemoryQueueStore, type SmpServer } from "../../../server/mod.ts";
import { startServer } from "../../support/server.ts";
import { nextOffer, someBytes, streamPair } from "../../support/streams.ts";
import { withoutSilences } from "../../support/silences.ts";
import { soon, until } from "../../support/wait.ts";

/** Connections from which nothing comes any more once they are held, until all are lost. */
function holdable() {
  let isHeld = false;
  let lost = deferred<void>();
  const transport: Transport = async (server, signal) => {
    const channel = await tcpTransport(server, signal);
    return {
      async read(size) {
        const bytes = await channel.read(size);
        if (!isHeld) return bytes;
        await lost.promise;
        throw new Error("the connection is lost");
      },
      write: (units) => channel.write(units),
      end: () => channel.end(),
      close: () => channel.close(),
    };
  };
  return {
    transport,
    hold: () => void (isHeld = true),
    lose() {
      isHeld = false;
      lost.resolve();
      lost = deferred();
    },
  };
}

/** A server that can be killed: the next one on its port has its queues, and none of their messages. */
async function mortalServer() {
  const queues = new MemoryQueueStore();
  const start = (port: number) => startServer({ queues, messages: new MemoryMessageStore(), port });
  let server: SmpServer = await start(0);
  return {
    get now() {
      return server;
    },
    async kill() {
      const { port } = server;
      await server.stop();
      server = await start(port);
    },
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

for (const lost of ["chunks before others", "all chunks", "the last one"] as const) {
  Deno.test(`a stream goes on at once when its server comes back without ${lost}`, async () => {
    using _ = withoutSilences();
    await using mortal = await mortalServer();
    const { transport, hold, lose } = holdable();
    await using pair = await streamPair(mortal.now, { b: { client: { transport } } });
    const sent = someBytes(200_000);
    const outgoing = await pair.alice.agent.offerStream("b");
    const offer = await nextOffer(pair.bob);
    const reading = new Response(offer.accept()).bytes();
    reading.catch(() => {});
    const writer = (await soon(outgoing.accepted)).getWriter();
    await writer.write(sent.subarray(0, 50_000));
    await until(() => offer.progress.bytes === 50_000 && mortal.now.gauges().messages === 0);
    hold();
    const most = lost === "all chunks" ? sent.length : lost === "the last one" ? 50_000 : 150_000;
    for (let at = 50_000; at < most; at += 50_000) {
      const before = mortal.now.gauges().messages;
      await writer.write(sent.subarray(at, at + 50_000));
      await until(() => mortal.now.gauges().messages > before);
    }
    const before = mortal.now.gauges().messages;
    let closing: Promise<void> | undefined;
    if (lost !== "chunks before others") {
      if (lost === "the last one") await writer.write(sent.subarray(50_000));
      closing = writer.close();
      await until(() => mortal.now.gauges().messages > before);
    }
    await mortal.kill();
    lose();
    if (lost === "chunks before others") await writer.write(sent.subarray(most));
    await soon(closing ?? writer.close());
    assert(equalBytes(await soon(reading), sent));
    assertEquals(outgoing.progress.bytes, sent.length);
    await until(() => mortal.now.gauges().queues === 2);
  });
}
