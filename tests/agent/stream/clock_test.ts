import { assertEquals } from "@std/assert";
import { startServer } from "../../support/server.ts";
import { codeOf, nextOffer, someBytes, streamPair } from "../../support/streams.ts";
import { soon } from "../../support/wait.ts";

/** Milliseconds for which an offer waits, and between two looks whether one has waited for so long: of nothing else. */
const lifetime = 40_004, interval = lifetime / 4;
const day = 86_400_000;

/** Has those look who would look after {@linkcode interval}. */
function looks(): Disposable & (() => void) {
  const { setInterval } = globalThis;
  const callbacks: (() => void)[] = [];
  globalThis.setInterval = ((callback: () => void, delay: number) => {
    if (delay === interval) callbacks.push(callback);
    return setInterval(callback, delay);
  }) as typeof setInterval;
  const look = () => callbacks.forEach((callback) => callback());
  return Object.assign(look, { [Symbol.dispose]: () => void (globalThis.setInterval = setInterval) });
}

/** Has all clocks that nobody can set go on by so much. */
function passed(milliseconds: number): Disposable {
  const { now } = performance;
  performance.now = () => now.call(performance) + milliseconds;
  return { [Symbol.dispose]: () => void (performance.now = now) };
}

for (const jump of [30 * day, -30 * day]) {
  Deno.test(`a clock that is set by ${jump / day} days ends no stream that waits`, async () => {
    await using server = await startServer({ limits: { stallTimeout: 0 } });
    using look = looks();
    let skew = 0;
    const options = { streamOfferLifetime: lifetime, now: () => Date.now() + skew };
    await using pair = await streamPair(server, { a: options, b: options });
    // The agents have run for longer than an offer waits.
    const ran = skew = 2 * lifetime;
    using _ = passed(ran);
    const sent = someBytes(100_000);
    const outgoing = await pair.alice.agent.sendFile("b", new Blob([sent]));
    const offer = await nextOffer(pair.bob);
    skew = ran + jump;
    look();
    // One that was offered by the clock as it is now, and one that is set right again.
    const later = await pair.alice.agent.sendFile("b", new Blob([sent]));
    const laterOffer = await nextOffer(pair.bob);
    look();
    skew = ran;
    look();
    for (const accepted of [offer, laterOffer]) {
      // It waits once more, for whoever goes on with it.
      const reader = accepted.accept().getReader();
      await soon(reader.read());
      skew = ran + jump;
      look();
      assertEquals(await soon(rest(reader)) > 0, true);
    }
    assertEquals(await codeOf(soon(Promise.all([outgoing.ended, later.ended]))), null);
  });
}

/** How many bytes come until the end. */
async function rest(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<number> {
  let length = 0;
  for (let read; !(read = await reader.read()).done;) length += read.value.length;
  return length;
}
