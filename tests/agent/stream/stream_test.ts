import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MemoryStore, StreamError, type StreamOffer } from "../../../agent/mod.ts";
import { equalBytes, joinParts } from "../../../protocol/mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { startServer } from "../../support/server.ts";
import {
  codeOf,
  connectForStreams,
  nextOffer,
  sessions,
  someBytes,
  streamPair,
} from "../../support/streams.ts";
import { soon, until } from "../../support/wait.ts";

/** All of a stream, by a program that keeps some of the arrays that it gets to the end, and writes over all of the others at once. */
async function readParts(offer: StreamOffer): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const part of offer.accept()) {
    parts.push(parts.length % 2 === 0 ? part : part.slice());
    if (parts.at(-1) !== part) new Uint8Array(part.buffer).fill(0xff);
  }
  return joinParts(parts);
}

Deno.test("a stream that is written on one side is read on the other, and leaves no queue", async () => {
  await using server = await startServer();
  await using pair = await streamPair(server);
  const { alice, bob } = pair;
  const outgoing = await alice.agent.offerStream("b", { name: "../a.txt", type: "text/plain" });
  const { offer, connection } = await bob.next("stream offered");
  assertEquals([connection, offer.name, offer.type, offer.size], ["a", "../a.txt", "text/plain", null]);
  assertEquals([offer.status, outgoing.status, offer.id], ["offered", "offered", outgoing.id]);
  const sent = someBytes(1_000_000);
  const reading = readParts(offer);
  const writer = (await soon(outgoing.accepted)).getWriter();
  for (let at = 0; at < sent.length; at += 30_000) await writer.write(sent.subarray(at, at + 30_000));
  await soon(writer.close());
  assertEquals(equalBytes(await soon(reading), sent), true);
  await soon(Promise.all([offer.ended, outgoing.ended]));
  assertEquals([offer.progress.bytes, outgoing.progress.bytes], [sent.length, sent.length]);
  await until(() => server.gauges().queues === 2);
  assertEquals([alice.agent.streams(), bob.agent.streams()], [[], []]);
});

Deno.test("what is written comes without more being written behind it", async () => {
  await using server = await startServer();
  await using pair = await streamPair(server);
  const outgoing = await pair.alice.agent.offerStream("b");
  const reader = (await nextOffer(pair.bob)).accept().getReader();
  const writer = (await soon(outgoing.accepted)).getWriter();
  for (let i = 1; i < 40; i++) {
    await writer.write(Uint8Array.of(i));
    assertEquals((await soon(reader.read())).value, Uint8Array.of(i));
  }
  await Promise.all([writer.close(), soon(reader.read())]);
});

Deno.test("several streams go in both directions beside messages, each whole and messages in order", async () => {
  await using server = await startServer();
  await using pair = await streamPair(server);
  const { alice, bob } = pair;
  const sent = someBytes(700_000);
  const send = async (from: TestAgent, to: string) => {
    const outgoing = await from.agent.offerStream(to, { size: sent.length });
    await new Blob([sent]).stream().pipeTo(await soon(outgoing.accepted));
  };
  const receive = async (at: TestAgent) => {
    const offer = await nextOffer(at);
    assert(equalBytes(await soon(new Response(offer.accept()).bytes()), sent));
  };
  const texts = async (from: TestAgent, to: string, at: TestAgent) => {
    for (let i = 0; i < 20; i++) {
      await from.send(to, `${i}`);
      assertEquals(await at.text(), `${i}`);
    }
  };
  await Promise.all([
    ...[1, 2, 3].flatMap(() => [send(alice, "b"), receive(bob), send(bob, "a"), receive(alice)]),
    texts(alice, "b", bob),
    texts(bob, "a", alice),
  ]);
  await until(() => server.gauges().queues === 2);
});

Deno.test("who reads slowly slows the writer, and no more than the window is anywhere", async () => {
  await using server = await startServer();
  await using pair = await streamPair(server);
  const outgoing = await pair.alice.agent.offerStream("b");
  const reader = (await nextOffer(pair.bob)).accept().getReader();
  const writer = (await soon(outgoing.accepted)).getWriter();
  const part = new Uint8Array(65_016);
  let written = 0;
  const writing = (async () => {
    for (let i = 0; i < 100; i++) {
      await writer.write(part);
      written++;
    }
    await writer.close();
  })();
  // The window and the part that waits, at both ends.
  await until(() => written >= 32);
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
  assert(written <= 34, `${written}`);
  const { value } = await soon(reader.read());
  assertEquals(value?.length, part.length);
  let left = 99;
  for (; !(await soon(reader.read())).done; left--);
  assertEquals(left, 0);
  await soon(writing);
});

Deno.test("a stream is refused, with words for people, and leaves nothing", async () => {
  await using server = await startServer();
  await using pair = await streamPair(server);
  const outgoing = await pair.alice.agent.offerStream("b");
  const offer = await nextOffer(pair.bob);
  await offer.refuse("not now");
  const error = await assertRejects(() => soon(outgoing.accepted), StreamError);
  assertEquals([error.code, error.told], ["REFUSED", "not now"]);
  assertEquals([await codeOf(outgoing.ended), await codeOf(offer.ended)], ["REFUSED", "REFUSED"]);
  assertThrows(() => offer.accept(), TypeError);
  await offer.refuse();
  assertEquals([pair.alice.agent.streams(), server.gauges().queues], [[], 2]);
});

Deno.test("either side cancels, before it is accepted and after, and nothing is left on the server", async () => {
  await using server = await startServer();
  await using pair = await streamPair(server);
  const { alice, bob } = pair;
  for (const isAccepted of [false, true]) {
    for (const side of ["sender", "receiver"] as const) {
      const outgoing = await alice.agent.offerStream("b");
      const offer = await nextOffer(bob);
      const reading = isAccepted ? codeOf(new Response(offer.accept()).bytes()) : null;
      const writer = isAccepted ? (await soon(outgoing.accepted)).getWriter() : null;
      writer?.closed.catch(() => {});
      await writer?.write(new Uint8Array(100_000));
      await (side === "sender" ? outgoing : offer).cancel();
      assertEquals([await codeOf(soon(outgoing.ended)), await codeOf(soon(offer.ended))], [
        "CANCELLED",
        "CANCELLED",
      ]);
      if (isAccepted) assertEquals(await reading, "CANCELLED");
      if (writer !== null) assertEquals(await codeOf(soon(writer.write(new Uint8Array(1e6)))), "CANCELLED");
      await until(() => server.gauges().queues === 2);
    }
  }
  assertEquals([alice.agent.streams(), bob.agent.streams()], [[], []]);
});

Deno.test("a stream that is longer or shorter than was said ends on both sides", async () => {
  await using server = await startServer();
  await using pair = await streamPair(server);
  for (const length of [9, 11]) {
    const outgoing = await pair.alice.agent.offerStream("b", { size: 10 });
    const offer = await nextOffer(pair.bob);
    const reading = codeOf(new Response(offer.accept()).bytes());
    const writer = (await soon(outgoing.accepted)).getWriter();
    writer.closed.catch(() => {});
    const done = writer.write(new Uint8Array(length)).then(() => writer.close());
    assertEquals(await codeOf(soon(done)), "SIZE");
    assertEquals(await soon(reading), "SIZE");
    assertEquals([await codeOf(outgoing.ended), await codeOf(offer.ended)], ["SIZE", "SIZE"]);
  }
  await until(() => server.gauges().queues === 2);
});

Deno.test("more offers than may wait are refused here, and one is taken when another has ended", async () => {
  await using server = await startServer();
  await using pair = await streamPair(server);
  const offers = [];
  for (let i = 0; i < 16; i++) offers.push(await pair.alice.agent.offerStream("b"));
  assertEquals(await codeOf(pair.alice.agent.offerStream("b")), "TOO_MANY");
  await offers[3]!.cancel();
  await pair.alice.agent.offerStream("b");
});

Deno.test("an offer that nobody accepts expires on both sides, also when a clock is set back by years", async () => {
  await using server = await startServer();
  let ahead = 0;
  const now = () => Date.now() + ahead;
  await using pair = await streamPair(server, { a: { now, streamOfferLifetime: 2_000 } });
  const outgoing = await pair.alice.agent.offerStream("b");
  ahead = -5 * 365 * 86_400_000;
  const offer = await nextOffer(pair.bob);
  assertEquals([await codeOf(soon(outgoing.ended)), await codeOf(soon(offer.ended))], ["EXPIRED", "EXPIRED"]);
});

Deno.test("a connection without a session, or that is not there, has no streams", async () => {
  await using server = await startServer();
  await using alice = await TestAgent.start(server.address, sessions);
  await alice.agent.create("b");
  assertEquals(await codeOf(alice.agent.offerStream("b")), "UNSUPPORTED");
  assertEquals(await codeOf(alice.agent.offerStream("c")), "CONN UNKNOWN");
  assertEquals(await codeOf(alice.agent.sendFile("b", new Blob(["x"]))), "UNSUPPORTED");
  await assertRejects(() => alice.agent.offerStream("b", { name: "ä".repeat(128) }));
});

Deno.test("a connection that is deleted ends its streams on both sides, and leaves no queue", async () => {
  await using server = await startServer();
  await using pair = await streamPair(server);
  const outgoing = await pair.alice.agent.offerStream("b");
  const offer = await nextOffer(pair.bob);
  const reading = codeOf(new Response(offer.accept()).bytes());
  const writer = (await soon(outgoing.accepted)).getWriter();
  writer.closed.catch(() => {});
  await writer.write(new Uint8Array(100_000));
  await pair.alice.agent.delete("b");
  assertEquals([await codeOf(soon(outgoing.ended)), await soon(reading)], ["CLOSED", "CLOSED"]);
  await until(() => server.gauges().queues === 0);
});

Deno.test("an agent that is closed in the middle of a stream leaves its queue to its next start", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  await using alice = await TestAgent.start(server.address, sessions);
  let bob = await TestAgent.start(server.address, { ...sessions, store });
  await connectForStreams(server, alice, bob);
  const outgoing = await alice.agent.offerStream("b");
  const offer = await nextOffer(bob);
  const reading = codeOf(new Response(offer.accept()).bytes());
  const writer = (await soon(outgoing.accepted)).getWriter();
  writer.closed.catch(() => {});
  await writer.write(new Uint8Array(100_000));
  await bob[Symbol.asyncDispose]();
  assertEquals([await reading, await codeOf(offer.ended)], ["CLOSED", "CLOSED"]);
  bob = await TestAgent.start(server.address, { ...sessions, store });
  await bob.agent.subscribeAll();
  await until(() => server.gauges().queues === 2);
  // From its beginning, all of which the sender still has: nobody has taken any.
  const [again] = bob.agent.streams();
  assert(again?.direction === "receiving");
  assertEquals(again.status, "accepted");
  const received = new Response(again.accept()).bytes();
  await soon(writer.close());
  assertEquals((await soon(received)).length, 100_000);
  await bob[Symbol.asyncDispose]();
});

Deno.test("chunks and credit cost no transaction: a stream has as many as it has frames", async () => {
  /** Counts what it stores of frames, in which streams are told of; receipts come when they come. */
  class CountingStore extends MemoryStore {
    commits = 0;
    override commit(changes: Parameters<MemoryStore["commit"]>[0]): Promise<void> {
      if (changes.some(({ type }) => type === "put frame")) this.commits++;
      return super.commit(changes);
    }
  }
  await using server = await startServer();
  const stores = { a: new CountingStore(), b: new CountingStore() };
  await using pair = await streamPair(server, { a: { store: stores.a }, b: { store: stores.b } });
  const commitsOf = async (length: number) => {
    const before = stores.a.commits + stores.b.commits;
    const outgoing = await pair.alice.agent.sendFile("b", new Blob([new Uint8Array(length)]));
    const offer = await nextOffer(pair.bob);
    await soon(new Response(offer.accept()).bytes());
    await soon(outgoing.ended);
    return stores.a.commits + stores.b.commits - before;
  };
  await commitsOf(1);
  const [few, many] = [await commitsOf(1), await commitsOf(200 * 65_016)];
  assertEquals(many, few);
});
