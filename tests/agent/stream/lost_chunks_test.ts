/** What a server had accepted and has lost: killed, with messages in memory (streams.md Resume). */
import { assert, assertEquals } from "@std/assert";
import { equalBytes } from "../../../protocol/mod.ts";
import { holdable, MortalServer } from "../../support/mortal_server.ts";
import { withoutSilences } from "../../support/silences.ts";
import { nextOffer, someBytes, streamPair } from "../../support/streams.ts";
import { soon, until } from "../../support/wait.ts";

const part = 50_000;

for (const lost of ["chunks before others", "all chunks", "the last one"] as const) {
  Deno.test(`a stream goes on at once when its server comes back without ${lost}`, async () => {
    using _ = withoutSilences();
    await using mortal = await MortalServer.start();
    const { transport, hold, lose } = holdable();
    await using pair = await streamPair(mortal.now, { b: { client: { transport } } });
    const sent = someBytes(lost === "the last one" ? 2 * part : 4 * part);
    // What either side tells the other goes by these, and is read at any time.
    const ofConnection = mortal.queues;
    const outgoing = await pair.alice.agent.offerStream("b");
    const offer = await nextOffer(pair.bob);
    const reading = new Response(offer.accept()).bytes();
    reading.catch(() => {});
    const writer = (await soon(outgoing.accepted)).getWriter();
    await writer.write(sent.subarray(0, part));
    await until(() => offer.progress.bytes === part && mortal.messages === 0);
    hold();
    const taken = async (work: Promise<void>) => {
      let failed: { readonly error: unknown } | null = null;
      work.catch((error) => failed = { error });
      const before = mortal.messagesBeside(ofConnection);
      await until(() => failed !== null || mortal.messagesBeside(ofConnection) > before);
      assertEquals(failed, null);
    };
    const end = lost === "chunks before others" ? 3 * part : sent.length;
    for (let at = part; at < end; at += part) await taken(writer.write(sent.subarray(at, at + part)));
    const closing = end === sent.length ? writer.close() : null;
    if (closing !== null) await taken(closing);
    await mortal.kill();
    lose();
    if (end < sent.length) await writer.write(sent.subarray(end));
    await soon(closing ?? writer.close());
    assert(equalBytes(await soon(reading), sent));
    assertEquals(outgoing.progress.bytes, sent.length);
    await until(() => mortal.now.gauges().queues === 2);
  });
}
