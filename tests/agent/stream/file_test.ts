import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  MemoryStore,
  type OutgoingStream,
  type StreamOffer,
  type StreamProgress,
} from "../../../agent/mod.ts";
import { bodyLength, equalBytes } from "../../../protocol/mod.ts";
import { TestAgent } from "../../support/agent.ts";
import { requiring } from "../../support/requires.ts";
import { startServer } from "../../support/server.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import {
  codeOf,
  connectForStreams,
  nextOffer,
  sessions,
  someBytes,
  streamPair,
} from "../../support/streams.ts";
import { soon, until } from "../../support/wait.ts";

/** The names in a folder, sorted. */
function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

/** The only stream of an agent. */
function streamAt<Direction extends "sending" | "receiving">(agent: TestAgent, direction: Direction) {
  const [stream] = agent.agent.streams();
  assert(stream?.direction === direction);
  return stream as Extract<OutgoingStream | StreamOffer, { readonly direction: Direction }>;
}

const pipeTest = requiring(Deno.build.os === "windows" ? "there are no named pipes" : null);

Deno.test("a file of any size arrives whole, with its SHA-256, and nothing beside it", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using pair = await streamPair(server);
  for (const length of [0, 1, 65_016, 65_017, 3_000_000]) {
    const bytes = someBytes(length), from = `${folder.path}/from`, to = `${folder.path}/to`;
    await Deno.writeFile(from, bytes);
    const progress: StreamProgress[] = [], read: StreamProgress[] = [];
    const onProgress = (one: StreamProgress) => void progress.push(one);
    const onReading = (one: StreamProgress) => void read.push(one);
    const outgoing = await pair.alice.agent.sendFile("b", from, { onProgress, onReading });
    assertEquals(read[0], length < 2 ** 20 ? undefined : { bytes: 2 ** 20, size: length });
    const offer = await nextOffer(pair.bob);
    assertEquals([offer.name, offer.type, offer.size], ["from", "application/octet-stream", length]);
    const received = await soon(pair.bob.agent.receiveFile(offer, to));
    await soon(outgoing.ended);
    assertEquals(received, { size: length, sha256: offer.sha256!, path: to });
    assert(equalBytes(await Deno.readFile(to), bytes));
    assertEquals(progress.at(-1), { bytes: length, size: length });
    assertEquals(namesIn(folder.path), ["from", "to"]);
    await Deno.remove(to);
  }
  await until(() => server.gauges().queues === 2);
});

Deno.test("the chunks of a file are given back when they are written", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using pair = await streamPair(server);
  const bytes = someBytes(200_000), from = `${folder.path}/from`, to = `${folder.path}/to`;
  await Deno.writeFile(from, bytes);
  const { transfer } = ArrayBuffer.prototype;
  let givenBack = 0;
  ArrayBuffer.prototype.transfer = function (length) {
    // Nothing else is as long as the body of a message in the largest blocks.
    if (this.byteLength === bodyLength(65_536)) givenBack++;
    return transfer.call(this, length);
  };
  try {
    await pair.alice.agent.sendFile("b", from);
    await soon(pair.bob.agent.receiveFile(await nextOffer(pair.bob), to));
  } finally {
    ArrayBuffer.prototype.transfer = transfer;
  }
  assert(equalBytes(await Deno.readFile(to), bytes));
  assertEquals(givenBack, 4);
});

Deno.test("a Blob is sent, and a file is received by what browsers write to", async () => {
  await using server = await startServer();
  await using pair = await streamPair(server);
  const bytes = someBytes(200_000), parts: Uint8Array[] = [];
  const outgoing = await pair.alice.agent.sendFile("b", new File([bytes], "cat.png", { type: "image/png" }));
  const offer = await nextOffer(pair.bob);
  assertEquals([offer.name, offer.type], ["cat.png", "image/png"]);
  const writable = new WritableStream<Uint8Array>({ write: (part) => void parts.push(part.slice()) });
  await soon(pair.bob.agent.receiveFile(offer, writable));
  await soon(outgoing.ended);
  assert(equalBytes(await new Blob(parts as BlobPart[]).bytes(), bytes));
});

Deno.test("a file is never put in place of another one, and the offer stays", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using pair = await streamPair(server);
  const to = `${folder.path}/to`;
  await Deno.writeTextFile(to, "mine");
  await pair.alice.agent.sendFile("b", new Blob(["theirs"]));
  const offer = await nextOffer(pair.bob);
  assertEquals(await codeOf(pair.bob.agent.receiveFile(offer, to)), "FAILED");
  assertEquals([await Deno.readTextFile(to), offer.status], ["mine", "offered"]);
  const received = pair.bob.agent.receiveFile(offer, `${to}2`);
  await soon(received);
  assertEquals(await Deno.readTextFile(`${to}2`), "theirs");
});

Deno.test("an offer that was taken back just before it is accepted says so, and leaves nothing", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using pair = await streamPair(server);
  const outgoing = await pair.alice.agent.sendFile("b", new Blob(["theirs"]));
  const offer = await nextOffer(pair.bob);
  await outgoing.cancel();
  assertEquals(await codeOf(soon(offer.ended)), "CANCELLED");
  assertEquals(await codeOf(pair.bob.agent.receiveFile(offer, `${folder.path}/to`)), "CANCELLED");
  assertEquals(namesIn(folder.path), []);
});

Deno.test("a file that appears meanwhile is not replaced", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using pair = await streamPair(server);
  const to = `${folder.path}/to`;
  const outgoing = await pair.alice.agent.offerStream("b");
  const receiving = codeOf(pair.bob.agent.receiveFile(await nextOffer(pair.bob), to));
  const writer = (await soon(outgoing.accepted)).getWriter();
  writer.closed.catch(() => {});
  await Deno.writeTextFile(to, "mine");
  assertEquals(await codeOf(soon(writer.close())), "FAILED");
  assertEquals(await soon(receiving), "FAILED");
  assertEquals([await Deno.readTextFile(to), namesIn(folder.path)], ["mine", ["to"]]);
});

Deno.test("a file with another SHA-256 than was offered is an error on both sides, and is removed", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using pair = await streamPair(server);
  const outgoing = await pair.alice.agent.offerStream("b", { sha256: new Uint8Array(32) });
  const receiving = codeOf(pair.bob.agent.receiveFile(await nextOffer(pair.bob), `${folder.path}/to`));
  const writer = (await soon(outgoing.accepted)).getWriter();
  writer.closed.catch(() => {});
  await writer.write(new Uint8Array(100_000));
  assertEquals(await codeOf(soon(writer.close())), "HASH");
  assertEquals(await soon(receiving), "HASH");
  assertEquals(namesIn(folder.path), []);
});

Deno.test("a file that changes after it was offered, or goes, is told and not sent", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using pair = await streamPair(server);
  const from = `${folder.path}/from`;
  for (const code of ["CHANGED", "LOST"]) {
    await Deno.writeTextFile(from, "before");
    // What is written within a few milliseconds may have the same time.
    await Deno.utime(from, 1, 1);
    const outgoing = await pair.alice.agent.sendFile("b", from);
    const offer = await nextOffer(pair.bob);
    if (code === "CHANGED") await Deno.writeTextFile(from, "after!");
    else await Deno.remove(from);
    const receiving = codeOf(pair.bob.agent.receiveFile(offer, `${folder.path}/to`));
    assertEquals([await codeOf(soon(outgoing.ended)), await soon(receiving)], [code, code]);
    assertEquals(namesIn(folder.path), code === "CHANGED" ? ["from"] : []);
  }
  assertEquals(await codeOf(pair.alice.agent.sendFile("b", from)), "ENOENT");
});

pipeTest(
  "a file that has become a named pipe or a folder after it was offered is told, and nothing hangs",
  async () => {
    await using folder = await temporaryFolder();
    await using server = await startServer();
    await using pair = await streamPair(server);
    const from = `${folder.path}/from`;
    for (const what of ["mkfifo", "mkdir"]) {
      await Deno.writeTextFile(from, "");
      const outgoing = await pair.alice.agent.sendFile("b", from);
      const offer = await nextOffer(pair.bob);
      await Deno.remove(from);
      await new Deno.Command(what, { args: [from] }).output();
      const receiving = codeOf(pair.bob.agent.receiveFile(offer, `${folder.path}/to`));
      assertEquals([await codeOf(soon(outgoing.ended)), await soon(receiving)], ["CHANGED", "CHANGED"]);
      assertEquals(namesIn(folder.path), ["from"]);
      await Deno.remove(from);
    }
  },
);

/** A file on its way from alice to bob, with what it takes to start both of them again. */
async function onTheWay(address: string, { alice, bob, from, to }: {
  readonly alice: TestAgent;
  readonly bob: TestAgent;
  readonly from: string;
  readonly to: string;
}) {
  const bytes = someBytes(8_000_000);
  await Deno.writeFile(from, bytes);
  await alice.agent.sendFile("b", from);
  const offer = await nextOffer(bob);
  const receiving = codeOf(bob.agent.receiveFile(offer, to));
  await until(() => offer.progress.bytes > 1_000_000);
  return { bytes, offer, receiving, address };
}

for (const who of ["sender", "receiver", "both"] as const) {
  Deno.test(`a file goes on where it was when ${who} start${who === "both" ? "" : "s"} again`, async () => {
    await using folder = await temporaryFolder();
    await using server = await startServer();
    const stores = { a: new MemoryStore(), b: new MemoryStore() };
    let alice = await TestAgent.start(server.address, { ...sessions, store: stores.a });
    let bob = await TestAgent.start(server.address, { ...sessions, store: stores.b });
    await connectForStreams(server, alice, bob);
    const from = `${folder.path}/from`, to = `${folder.path}/to`;
    const { bytes, receiving } = await onTheWay(server.address, { alice, bob, from, to });
    let isReceived: Promise<unknown> = receiving;
    if (who !== "sender") {
      await bob[Symbol.asyncDispose]();
      assertEquals(await receiving, "CLOSED");
      assertEquals(namesIn(folder.path).length, 2);
    }
    if (who !== "receiver") await alice[Symbol.asyncDispose]();
    if (who !== "receiver") {
      alice = await TestAgent.start(server.address, { ...sessions, store: stores.a });
      await alice.agent.subscribeAll();
    }
    if (who !== "sender") {
      bob = await TestAgent.start(server.address, { ...sessions, store: stores.b });
      await bob.agent.subscribeAll();
      const offer = streamAt(bob, "receiving");
      const written = (await Deno.stat(`${folder.path}/.${offer.id}.part`)).size;
      assert(written > 1_000_000, `${written}`);
      const progress: StreamProgress[] = [];
      isReceived = codeOf(bob.agent.receiveFile(offer, to, { onProgress: (one) => progress.push(one) }));
      assertEquals(offer.status, "accepted");
    }
    assertEquals(await soon(isReceived), null, "it is received");
    assert(equalBytes(await Deno.readFile(to), bytes));
    assertEquals(namesIn(folder.path), ["from", "to"]);
    await until(() => alice.agent.streams().length === 0 && server.gauges().queues === 2);
    await Promise.all([alice[Symbol.asyncDispose](), bob[Symbol.asyncDispose]()]);
  });
}

Deno.test("a file that was changed between two starts of its sender is told, and the part is removed", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  const store = new MemoryStore();
  let alice = await TestAgent.start(server.address, { ...sessions, store });
  await using bob = await TestAgent.start(server.address, sessions);
  await connectForStreams(server, alice, bob);
  const from = `${folder.path}/from`, to = `${folder.path}/to`;
  const { bytes, receiving } = await onTheWay(server.address, { alice, bob, from, to });
  await alice[Symbol.asyncDispose]();
  await Deno.writeFile(from, bytes.toReversed());
  alice = await TestAgent.start(server.address, { ...sessions, store });
  await alice.agent.subscribeAll();
  assertEquals(await soon(receiving), "CHANGED");
  assertEquals(namesIn(folder.path), ["from"]);
  await until(() => server.gauges().queues === 2);
  await alice[Symbol.asyncDispose]();
});

Deno.test("what cannot be read again ends with a restart of its sender", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  let alice = await TestAgent.start(server.address, { ...sessions, store });
  await using bob = await TestAgent.start(server.address, sessions);
  await connectForStreams(server, alice, bob);
  const outgoing = await alice.agent.offerStream("b");
  const reading = codeOf(new Response((await nextOffer(bob)).accept()).bytes());
  await (await soon(outgoing.accepted)).getWriter().write(new Uint8Array(10));
  await alice[Symbol.asyncDispose]();
  alice = await TestAgent.start(server.address, { ...sessions, store });
  assertEquals(await soon(reading), "LOST");
  assertEquals(alice.agent.streams(), []);
  await alice[Symbol.asyncDispose]();
});

Deno.test("what its sender cannot read again is lost for both sides at once when a receiver that was started again wants it", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  await using alice = await TestAgent.start(server.address, sessions);
  let bob = await TestAgent.start(server.address, { ...sessions, store });
  await connectForStreams(server, alice, bob);
  const outgoing = await alice.agent.offerStream("b");
  const reader = (await nextOffer(bob)).accept().getReader();
  const writer = (await soon(outgoing.accepted)).getWriter();
  const writing = (async () => {
    for (;;) await writer.write(new Uint8Array(60_000));
  })();
  const isLost = codeOf(writing);
  // So much that the sender has been told of it.
  while (outgoing.progress.bytes === 0) await soon(reader.read());
  await bob[Symbol.asyncDispose]();
  bob = await TestAgent.start(server.address, { ...sessions, store });
  try {
    await bob.agent.subscribeAll();
    const offer = streamAt(bob, "receiving");
    assertEquals(await soon(codeOf(new Response(offer.accept()).bytes())), "LOST");
    assertEquals([await soon(isLost), await codeOf(soon(outgoing.ended))], ["LOST", "LOST"]);
    assertEquals([alice.agent.streams(), bob.agent.streams()], [[], []]);
  } finally {
    await bob[Symbol.asyncDispose]();
  }
});

Deno.test("a Blob that was kept is sent on after a restart of its sender, behind what the receiver has kept", async () => {
  await using server = await startServer();
  const [storeA, storeB] = [new MemoryStore(), new MemoryStore()];
  const bytes = someBytes(5_000_000), blob = new Blob([bytes]);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const writable = (more: () => void) =>
    new WritableStream<Uint8Array>({
      write(part) {
        parts.push(part.slice());
        more();
      },
    });
  let id = "";
  {
    await using alice = await TestAgent.start(server.address, { ...sessions, store: storeA });
    await using bob = await TestAgent.start(server.address, { ...sessions, store: storeB });
    await connectForStreams(server, alice, bob);
    ({ id } = await alice.agent.sendFile("b", blob));
    const stopping = new AbortController();
    const half = writable(() => parts.length === 20 && stopping.abort());
    const receiving = bob.agent.receiveFile(await nextOffer(bob), half, { signal: stopping.signal });
    await assertRejects(() => soon(receiving), DOMException);
  }
  const kept = new Blob(parts);
  assert(kept.size > 0 && kept.size < bytes.length);
  const blobs = new Map([[id, blob]]);
  await using alice = await TestAgent.start(server.address, { ...sessions, store: storeA, blobs });
  await using bob = await TestAgent.start(server.address, { ...sessions, store: storeB });
  await Promise.all([alice.agent.subscribeAll(), bob.agent.subscribeAll()]);
  const outgoing = streamAt(alice, "sending");
  const received = bob.agent.receiveFile(streamAt(bob, "receiving"), writable(() => {}), { kept });
  assertEquals((await soon(received)).size, bytes.length);
  await soon(outgoing.ended);
  assert(equalBytes(await new Blob(parts).bytes(), bytes));
});

Deno.test("a stream that is paused sends nothing before it is resumed, and another one goes on", async () => {
  await using server = await startServer();
  await using pair = await streamPair(server);
  const blob = new Blob([someBytes(300_000)]);
  const counted = () => {
    let count = 0;
    const writable = new WritableStream<Uint8Array>({ write: ({ length }) => void (count += length) });
    return { writable, count: () => count };
  };
  const outgoing = await pair.alice.agent.sendFile("b", blob);
  outgoing.pause();
  const target = counted();
  const receiving = pair.bob.agent.receiveFile(await nextOffer(pair.bob), target.writable);
  await until(() => outgoing.status === "accepted");
  await pair.alice.agent.sendFile("b", blob);
  await soon(pair.bob.agent.receiveFile(await nextOffer(pair.bob), counted().writable));
  assertEquals([outgoing.isPaused, target.count()], [true, 0]);
  outgoing.resume();
  await soon(receiving);
  await soon(outgoing.ended);
  assertEquals([outgoing.isPaused, target.count()], [false, blob.size]);
});

Deno.test("a file that is stopped by a signal goes on when it is received again", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  await using pair = await streamPair(server);
  const { alice, bob } = pair;
  const from = `${folder.path}/from`, to = `${folder.path}/to`;
  const bytes = someBytes(8_000_000);
  await Deno.writeFile(from, bytes);
  const outgoing = await alice.agent.sendFile("b", from);
  const offer = await nextOffer(bob);
  const abort = new AbortController();
  const receiving = bob.agent.receiveFile(offer, to, { signal: abort.signal }).catch((error) => error.name);
  await until(() => offer.progress.bytes > 1_000_000);
  abort.abort();
  assertEquals(await soon(receiving), "AbortError");
  await until(() => server.gauges().queues === 2);
  const before = offer.progress.bytes;
  assert(before > 1_000_000 && before < bytes.length);
  await soon(bob.agent.receiveFile(offer, to));
  await soon(outgoing.ended);
  assert(equalBytes(await Deno.readFile(to), bytes));
});

Deno.test("a file that got its name before a crash is told to be received", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  const store = new MemoryStore();
  await using alice = await TestAgent.start(server.address, sessions);
  let bob = await TestAgent.start(server.address, { ...sessions, store });
  await connectForStreams(server, alice, bob);
  const from = `${folder.path}/from`, to = `${folder.path}/to`;
  const bytes = someBytes(100_000);
  await Deno.writeFile(from, bytes);
  const outgoing = await alice.agent.sendFile("b", from);
  const offer = await nextOffer(bob);
  const abort = new AbortController();
  const receiving = bob.agent.receiveFile(offer, to, { signal: abort.signal }).catch((error) => error.name);
  await until(() => offer.status === "accepted");
  abort.abort();
  if (await soon(receiving) === "AbortError") {
    await bob[Symbol.asyncDispose]();
    await Deno.writeFile(to, bytes);
    bob = await TestAgent.start(server.address, { ...sessions, store });
    await bob.agent.subscribeAll();
    const again = streamAt(bob, "receiving");
    assertEquals((await soon(bob.agent.receiveFile(again, to))).size, bytes.length);
  }
  assertEquals(namesIn(folder.path), ["from", "to"]);
  await soon(outgoing.ended);
  await bob[Symbol.asyncDispose]();
});

Deno.test("a disk that is full ends the file on both sides", async () => {
  await using server = await startServer();
  await using pair = await streamPair(server);
  const outgoing = await pair.alice.agent.sendFile("b", new Blob([someBytes(100_000)]));
  const full = new WritableStream<Uint8Array>({
    write: () => Promise.reject(new Error("No space left on device")),
  });
  const failed = codeOf(pair.bob.agent.receiveFile(await nextOffer(pair.bob), full));
  assertEquals([await soon(failed), await codeOf(soon(outgoing.ended))], ["FAILED", "FAILED"]);
  await until(() => server.gauges().queues === 2);
});
