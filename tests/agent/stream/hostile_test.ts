import { assert, assertEquals, assertRejects } from "@std/assert";
import files from "node:fs/promises";
import { LoadedKeys } from "../../../agent/key_pool.ts";
import { type AgentOptions, MemoryStore } from "../../../agent/mod.ts";
import { Incoming } from "../../../agent/stream/incoming.ts";
import { SmpClient, tcpTransport, type Transport } from "../../../client/mod.ts";
import {
  type Channel,
  decodeFrames,
  encodeBase64,
  exportPrivateKey,
  type Frame,
  largestChunk,
  packetLength,
  randomBytes,
  runKeyOf,
  sealChunk,
  sealCredit,
  sealPacket,
  senderKeyOf,
  senderKeyPrimes,
  type StreamContent,
  streamReasons,
} from "../../../protocol/mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { HostileSession } from "../../support/hostile_session.ts";
import { routeRecord } from "../../support/route_record.ts";
import { startServer } from "../../support/server.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import { keysOf } from "../../support/test_keys.ts";
import { codeOf, nextOffer, sessions } from "../../support/streams.ts";
import { namesIn } from "../../support/transfer.ts";
import { shortSilences } from "../../support/silences.ts";
import { soon, until } from "../../support/wait.ts";

/** An agent, and the other side of its connection "hostile", which never receipts: what the agent says can be read. */
async function scene(options: Partial<AgentOptions> = {}) {
  const server = await startServer();
  const store = new MemoryStore();
  const victim = await TestAgent.start(server.address, { ...sessions, store, ...options });
  const hostile = await HostileSession.connect(victim, server.address);
  const { id } = victim.agent.connection("hostile");
  /** The frames of one kind that the agent has said. */
  const said = async <Kind extends Frame["kind"]>(kind: Kind) => {
    const records = await store.frames(id, 0, 1_000);
    return records.flatMap(({ frame }) => {
      const decoded = decodeFrames(frame);
      assert(decoded.ok);
      return decoded.frames;
    }).filter((frame) => frame.kind === kind) as (Frame & { readonly kind: Kind })[];
  };
  const say = (...contents: readonly StreamContent[]) =>
    hostile.send(...contents.map((content) => hostile.frame(content)));
  /** Messages still come in both directions: nothing else suffers. */
  const isWell = async () => {
    await hostile.send(await hostile.message({ text: "still there" }));
    assertEquals(await victim.text("hostile"), "still there");
    await victim.send("hostile", "me too");
    await victim.next("sent");
  };
  return {
    server,
    store,
    victim,
    hostile,
    said,
    say,
    isWell,
    async [Symbol.asyncDispose]() {
      await hostile[Symbol.asyncDispose]();
      await victim[Symbol.asyncDispose]();
      await server.stop();
    },
  };
}

function offerOf(change = {}): StreamContent & { readonly kind: "stream offer" } {
  const none = { size: null, sha256: null, mediaType: "", name: "" };
  return { kind: "stream offer", streamId: randomBytes(16), key: randomBytes(32), ...none, ...change };
}

Deno.test("of a flood of offers sixteen wait, the others are refused, and those that end make room", async () => {
  await using at = await scene();
  const offers = Array.from({ length: 100 }, () => offerOf());
  await at.say(...offers);
  await at.say(offers[0]!, offers[1]!);
  await at.isWell();
  assertEquals(at.victim.agent.streams().length, 16);
  const refused = await at.said("stream refuse");
  assertEquals([refused.length, refused[0]!.reason], [84, streamReasons.tooMany]);
  const { streamId } = offers[0]!;
  await at.say({ kind: "stream close", streamId, from: "sender", reason: 200, total: 0, text: "<b>" });
  await at.say(offerOf({ name: "last" }));
  await at.victim.next("stream offered", ({ offer }) => offer.name === "last");
  assertEquals(at.victim.agent.streams().length, 16);
});

Deno.test("an offer that is withdrawn before it is read is not told", async () => {
  await using server = await startServer();
  await using victim = await TestAgent.start(server.address, sessions);
  await using hostile = await HostileSession.connect(victim, server.address);
  // In one message, so that nobody can read it in between.
  const offer = offerOf(), { streamId } = offer;
  const close = { kind: "stream close", streamId, from: "sender", reason: 4, total: 0, text: "" } as const;
  await hostile.send(hostile.frame(offer), hostile.frame(close));
  await hostile.send(await hostile.message({ text: "after" }));
  await victim.text();
  assertEquals(victim.agent.streams(), []);
});

/** Counts how often a program asks which file it is that has a name. */
function looksAtFiles(): Disposable & { readonly count: number } {
  const { lstat } = files;
  const looks = { count: 0, [Symbol.dispose]: () => void (files.lstat = lstat) };
  files.lstat = ((...args: Parameters<typeof lstat>) => {
    looks.count++;
    return lstat(...args);
  }) as typeof lstat;
  return looks;
}

for (const key of ["another key", "the same key"]) {
  Deno.test(`a stream whose sender ends it, and offers another one by its ID and ${key}, leaves nothing and ends alone`, async () => {
    await using folder = await temporaryFolder();
    await using at = await scene();
    const offer = offerOf({ size: 10 }), { streamId } = offer;
    await at.say(offer);
    const first = await nextOffer(at.victim);
    const abort = new AbortController();
    const receiving = at.victim.agent.receiveFile(first, `${folder.path}/to`, { signal: abort.signal });
    await until(() => first.status === "accepted");
    abort.abort();
    await assertRejects(() => soon(receiving), DOMException);
    assertEquals(namesIn(folder.path), [`.${first.id}.part`]);
    const close = { kind: "stream close", streamId, from: "sender", reason: 4, total: 0, text: "" } as const;
    const other = key === "the same key" ? { key: offer.key } : {};
    using looks = looksAtFiles();
    // In one message, so that nothing is done in between.
    await at.say(close, offerOf({ streamId, size: 20, ...other }));
    assertEquals(await codeOf(soon(first.ended)), "CANCELLED");
    await until(() => namesIn(folder.path).length === 0);
    const [second] = at.victim.agent.streams();
    await first.cancel();
    assertEquals([at.victim.agent.streams(), second!.size, second!.status], [[second!], 20, "offered"]);
    await at.isWell();
    // Another look may find, and have removed, what the second one has there.
    assertEquals(looks.count, 1);
  });
}

Deno.test("frames of streams that are not there, or not so far, change nothing", async () => {
  await using at = await scene();
  const own = await at.victim.agent.offerStream("hostile", { size: 10 });
  const offer = offerOf();
  await at.say(offer);
  await nextOffer(at.victim);
  for (const streamId of [randomBytes(16), Uint8Array.fromHex(own.id), offer.streamId]) {
    const routes = [routeRecord(1)];
    await at.say(
      { kind: "stream run", streamId, run: randomBytes(16), offset: 0, chunkSize: 10 },
      { kind: "stream resume", streamId, offset: 0, window: 0, routes: [] },
      { kind: "stream resume", streamId, offset: 0, window: 1, routes },
      { kind: "stream close", streamId: randomBytes(16), from: "receiver", reason: 0, total: 10, text: "" },
    );
  }
  await at.isWell();
  assertEquals(at.victim.agent.streams().map(({ status }) => status), ["offered", "offered"]);
});

Deno.test("a receiver that wants what there is not, or has what was not sent, ends its stream alone", async () => {
  await using at = await scene();
  const routes = [routeRecord(1)];
  const make = async () => {
    const own = await at.victim.agent.offerStream("hostile", { size: 10 });
    return { own, streamId: Uint8Array.fromHex(own.id) };
  };
  const beyond = await make();
  await at.say({ kind: "stream accept", streamId: beyond.streamId, offset: 11, window: 1, routes });
  assertEquals(await codeOf(soon(beyond.own.accepted)), "PROTOCOL");
  const noKey = await make();
  await at.say({ kind: "stream accept", streamId: noKey.streamId, offset: 0, window: 1, routes });
  assertEquals(await codeOf(soon(noKey.own.ended)), "PROTOCOL");
  for (const total of [0, 9, 10]) {
    const { own, streamId } = await make();
    await at.say({ kind: "stream close", streamId, from: "receiver", reason: 0, total, text: "" });
    assertEquals(await codeOf(soon(own.ended)), "PROTOCOL", `${total}`);
  }
  await at.isWell();
  assertEquals(at.victim.agent.streams(), []);
});

/** A queue of the hostile side, on which it accepts a stream of the victim's. */
async function accepted(at: Awaited<ReturnType<typeof scene>>, window: number) {
  const own = await at.victim.agent.offerStream("hostile");
  const streamId = Uint8Array.fromHex(own.id);
  const client = await SmpClient.connect(at.server.address);
  const queue = await client.createQueue();
  // The queue has no key: who sends with one is refused, so that nothing ever comes.
  const record = await usableRecord(at.server.address, queue.senderId);
  await at.say({ kind: "stream accept", streamId, offset: 0, window, routes: [record] });
  const writer = (await soon(own.accepted)).getWriter();
  writer.closed.catch(() => {});
  const [offer] = await at.said("stream offer");
  const run = (await at.said("stream run")).at(-1)!;
  const key = await runKeyOf(offer!.key.slice(), run.run.slice());
  return { own, writer, client, streamId, run: { run: run.run.slice(), key } };
}

/** A record whose key works. */
async function usableRecord(server: string, senderId: string) {
  const [pair] = await keysOf("agents", "sign");
  const primes = senderKeyPrimes(await exportPrivateKey(pair!.privateKey));
  assert(await senderKeyOf(primes) !== null);
  return routeRecord(1, {
    server,
    senderId: Uint8Array.fromBase64(senderId),
    ...primes,
  });
}

Deno.test("credit for what was not sent ends the stream, forged credit is counted, and that of another run is not", async () => {
  await using at = await scene();
  const { own, writer, client, run } = await accepted(at, 4);
  await writer.write(new Uint8Array(10));
  const before = at.victim.agent.connection("hostile").unreadable;
  await at.hostile.packet(await sealCredit({ ...run, run: randomBytes(16) }, { number: 1, blockSize: 4096 }));
  await at.hostile.packet(await sealCredit({ ...run, key: randomBytes(32) }, { number: 1, blockSize: 4096 }));
  await until(() => at.victim.agent.connection("hostile").unreadable > before);
  assertEquals(at.victim.agent.streams().length, 1);
  await at.hostile.packet(await sealCredit(run, { number: 3, blockSize: 4096 }));
  assertEquals(await codeOf(soon(own.ended)), "PROTOCOL");
  assertEquals(at.victim.agent.connection("hostile").unreadable, before + 1);
  await at.isWell();
  await client.close();
});

Deno.test("a receiver that resumes again and again is answered once a second, and by the last one", async () => {
  await using at = await scene();
  const { own, writer, client, streamId } = await accepted(at, 4);
  await writer.write(new Uint8Array(10));
  const routes = [await usableRecord(at.server.address, encodeBase64(randomBytes(24)))];
  const began = performance.now();
  for (let offset = 0; offset < 40; offset++) {
    await at.say({ kind: "stream resume", streamId, offset: offset === 39 ? 7 : 0, window: 4, routes });
    await at.isWell();
  }
  const runs = (await at.said("stream run")).length;
  assert(runs <= 9 + (performance.now() - began) / 1000, `${runs}`);
  await until(async () => (await at.said("stream run")).at(-1)!.offset === 7);
  await own.cancel();
  await client.close();
});

Deno.test("who accepts and never reads makes the writer wait, with no more than the window in memory", async () => {
  await using at = await scene();
  const { own, writer, client } = await accepted(at, 128);
  let written = 0;
  const writing = (async () => {
    for (;;) {
      await writer.write(new Uint8Array(1000));
      written += 1000;
    }
  })();
  const chunk = largestChunk(4096);
  await until(() => written >= 64 * chunk);
  await at.isWell();
  // The largest window that this side takes, what waits to be sent, and what the writer has.
  assert(written <= 64 * chunk + 65_536 + 2000, `${written}`);
  await own.cancel();
  assertEquals(await codeOf(soon(writing)), "CANCELLED");
  await client.close();
});

Deno.test("a sender that breaks the rules on the route ends its stream alone, and the queue is deleted", async () => {
  await using at = await scene();
  const queues = at.server.gauges().queues;
  const offer = offerOf({ size: 100 });
  await at.say(offer);
  const told = await nextOffer(at.victim);
  const reading = codeOf(new Response(told.accept()).bytes());
  await until(async () => (await at.said("stream accept")).length === 1);
  const [accept] = await at.said("stream accept");
  const [record] = accept!.routes;
  assertEquals([accept!.offset, accept!.window, at.server.gauges().queues], [0, 32, queues + 1]);
  const pair = await senderKeyOf({ p: record!.p.slice(), q: record!.q.slice() });
  const senderKey = await new LoadedKeys().signing(await exportPrivateKey(pair!.privateKey));
  const { blockSize } = record!;
  const senderId = encodeBase64(record!.senderId), routeKey = record!.routeKey.slice();
  await using client = await SmpClient.connect(at.server.address, { blockSize });
  const send = async (packet: Uint8Array<ArrayBuffer>) =>
    await client.send({ senderId, senderKey }, await sealPacket(packet, { senderId, routeKey, blockSize }));
  const run = randomBytes(16);
  const keys = { run, key: await runKeyOf(offer.key, run), chunkSize: 10 };
  await client.send({ senderId, senderKey }, randomBytes(100));
  await send(randomBytes(packetLength(blockSize)));
  // More than the window before anybody reads: the first ones come, what is beyond is not allowed.
  await send(await sealChunk(new Uint8Array(10), keys, { number: 1, isLast: false, blockSize }));
  await at.say({ kind: "stream run", streamId: offer.streamId, run, offset: 0, chunkSize: 10 });
  await until(() => told.progress.bytes === 10);
  await send(await sealChunk(new Uint8Array(10), keys, { number: 2 ** 40, isLast: false, blockSize }));
  assertEquals(await soon(reading), "PROTOCOL");
  await until(() => at.server.gauges().queues === queues);
  assertEquals(at.victim.agent.streams(), []);
  await at.isWell();
});

Deno.test("what came before, again and again, does not keep the receiver from missing what is lost", async () => {
  await using at = await scene();
  const offer = offerOf({ size: 100 });
  await at.say(offer);
  using _ = shortSilences();
  const told = await nextOffer(at.victim);
  const reading = codeOf(new Response(told.accept()).bytes());
  await until(async () => (await at.said("stream accept")).length === 1);
  const [record] = (await at.said("stream accept"))[0]!.routes;
  const pair = await senderKeyOf({ p: record!.p.slice(), q: record!.q.slice() });
  const senderKey = await new LoadedKeys().signing(await exportPrivateKey(pair!.privateKey));
  const { blockSize } = record!, run = randomBytes(16);
  const senderId = encodeBase64(record!.senderId), routeKey = record!.routeKey.slice();
  await using client = await SmpClient.connect(at.server.address, { blockSize });
  const keys = { run, key: await runKeyOf(offer.key, run), chunkSize: 10 };
  await at.say({ kind: "stream run", streamId: offer.streamId, run, offset: 0, chunkSize: 10 });
  const again = await sealChunk(new Uint8Array(10), keys, { number: 2, isLast: false, blockSize });
  let left = 1_000;
  for (; left > 0 && (await at.said("stream resume")).length === 0; left--) {
    const body = await sealPacket(again, { senderId, routeKey, blockSize });
    // The queue is gone in the moment in which it is missed.
    await client.send({ senderId, senderKey }, body).catch(() => {});
  }
  assert(left > 0);
  await told.cancel();
  assertEquals(await soon(reading), "CANCELLED");
});

/** A hostile sender that sends as much as each way takes that it is told; `fill` gives how much that was. */
function hostileSender(at: Awaited<ReturnType<typeof scene>>, offer: ReturnType<typeof offerOf>) {
  /** Sends as much as the last way that was told takes, and asks for another one. */
  const fill = async (times: number) => {
    await until(async () => (await at.said("stream accept")).length === 1);
    await until(async () => (await at.said("stream resume")).length === times);
    const way = times === 0 ? (await at.said("stream accept"))[0]! : (await at.said("stream resume")).at(-1)!;
    const [record] = way.routes;
    const pair = await senderKeyOf({ p: record!.p.slice(), q: record!.q.slice() });
    const senderKey = await new LoadedKeys().signing(await exportPrivateKey(pair!.privateKey));
    const { blockSize } = record!, run = randomBytes(16);
    const senderId = encodeBase64(record!.senderId), routeKey = record!.routeKey.slice();
    await using client = await SmpClient.connect(at.server.address, { blockSize });
    const keys = { run, key: await runKeyOf(offer.key, run), chunkSize: 10 };
    const { offset, window } = way;
    await at.say({ kind: "stream run", streamId: offer.streamId, run, offset, chunkSize: 10 });
    for (let number = 1; number <= window; number++) {
      const chunk = await sealChunk(new Uint8Array(10), keys, { number, isLast: false, blockSize });
      const body = await sealPacket(chunk, { senderId, routeKey, blockSize });
      await client.send({ senderId, senderKey }, body);
    }
    // All are in memory there.
    await until(() => at.server.gauges().delivered === 0);
    return window;
  };
  const ask = { kind: "stream resume", streamId: offer.streamId, offset: 0, window: 0, routes: [] } as const;
  return { fill, ask: () => at.say(ask) };
}

Deno.test("a sender that begins anew again and again has no more in memory than one window", async () => {
  await using at = await scene();
  const offer = offerOf();
  await at.say(offer);
  const told = await nextOffer(at.victim);
  const reader = told.accept().getReader();
  const { fill, ask } = hostileSender(at, offer);
  assertEquals(await fill(0), 32);
  await ask();
  await at.isWell();
  // One chunk is with the reader: the queue of the window is what it was.
  for (let i = 0; i < 20; i++) assertEquals((await soon(reader.read())).value?.length, 10);
  const second = await fill(1);
  assert(second >= 16 && second <= 32 - 12 + 1, `${second}`);
  for (let i = 20; i < 32 + second; i++) assertEquals((await soon(reader.read())).value?.length, 10);
  await reader.cancel();
});

Deno.test("what is stopped while it waits for room ends, and makes no other queue", async () => {
  await using at = await scene();
  const { queues } = at.server.gauges();
  const offer = offerOf();
  await at.say(offer);
  const told = await nextOffer(at.victim);
  assert(told instanceof Incoming);
  const reader = told.open(0);
  const { fill, ask } = hostileSender(at, offer);
  await fill(0);
  await ask();
  // The queue is deleted, and no other one made before some of what has come is read.
  await until(() => at.server.gauges().queues === queues);
  await soon(reader.pause());
  assertEquals(at.server.gauges().queues, queues);
  await at.isWell();
});

Deno.test("of a server that takes the queue of a stream away no other one is wanted at once", async () => {
  const retry = { first: 5, most: 50 };
  await using at = await scene({ retry });
  Object.assign(retry, { first: 3_600_000, most: 3_600_000 });
  const { queues } = at.server.gauges();
  await at.say(offerOf());
  const told = await nextOffer(at.victim);
  const reading = codeOf(new Response(told.accept()).bytes());
  await until(async () => (await at.said("stream accept")).length === 1);
  const [way] = await at.store.discarded();
  assert(way !== undefined && "recipientId" in way);
  const { recipientId, senderId } = way, recipientKey = await new LoadedKeys().signing(way.recipientKey);
  await using client = await SmpClient.connect(at.server.address);
  // As a server may do at any time: the first one is told END.
  await client.subscribe({ recipientId, senderId, recipientKey });
  await until(() => at.server.gauges().queues === queues);
  for (let i = 0; i < 3; i++) await at.isWell();
  assertEquals([(await at.said("stream resume")).length, at.server.gauges().queues], [0, queues]);
  await told.cancel();
  assertEquals(await soon(reading), "CANCELLED");
});

Deno.test("a server that takes the subscription of a stream and closes the connection is not asked again at once", async () => {
  const retry = { first: 5, most: 50 }, opened: Channel[] = [];
  const transport: Transport = async (server, signal) => {
    const channel = await tcpTransport(server, signal);
    opened.push(channel);
    return channel;
  };
  await using at = await scene({ retry, client: { transport } });
  await at.say(offerOf());
  const told = await nextOffer(at.victim);
  const { subscriptions } = at.server.gauges();
  const reading = codeOf(new Response(told.accept()).bytes());
  await until(async () => (await at.said("stream accept")).length === 1);
  Object.assign(retry, { first: 3_600_000, most: 3_600_000 });
  await at.isWell();
  const { length } = opened;
  await opened.at(-1)!.close();
  await until(() => opened.length === length + 1);
  // It is subscribed again by then.
  for (let i = 0; i < 3; i++) await at.isWell();
  await until(() => at.server.gauges().subscriptions === subscriptions + 1);
  await opened.at(-1)!.close();
  await until(() => at.server.gauges().subscriptions === subscriptions);
  for (let i = 0; i < 3; i++) await at.isWell();
  assertEquals(opened.length, length + 1);
  await told.cancel();
  assertEquals(await soon(reading), "CANCELLED");
});
