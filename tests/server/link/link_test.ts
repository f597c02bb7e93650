import { assert, assertEquals } from "@std/assert";
import type { ByteStream } from "../../../server/link/byte_stream.ts";
import { Link, type LinkParts } from "../../../server/link/link.ts";
import { type OwnerMessage, readOwnerMessage } from "../../../server/link/messages.ts";
import { FaultyStream } from "../../support/faulty_stream.ts";
import { soon, until } from "../../support/wait.ts";

/** Two ends of a socket. */
async function socketPair(): Promise<{ ends: [FaultyStream, FaultyStream]; dispose: () => void }> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [a, b] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  listener.close();
  const ends: [FaultyStream, FaultyStream] = [new FaultyStream(a), new FaultyStream(b)];
  return {
    ends,
    dispose: () => {
      for (const end of ends) end.close();
    },
  };
}

interface Ends extends AsyncDisposable {
  readonly a: Link<OwnerMessage>;
  readonly b: Link<OwnerMessage>;
  readonly got: OwnerMessage[];
  readonly streams: [FaultyStream, FaultyStream];
}

/** Two linked ends, the second of which writes down what comes. */
async function linked(
  partsOfA: Partial<LinkParts<OwnerMessage>> = {},
  partsOfB: Partial<LinkParts<OwnerMessage>> = {},
  prepare: (streams: [FaultyStream, FaultyStream]) => void = () => {},
): Promise<Ends> {
  const { ends, dispose } = await socketPair();
  prepare(ends);
  const got: OwnerMessage[] = [];
  const a = new Link<OwnerMessage>(ends[0], { decode: readOwnerMessage, receive: () => {}, ...partsOfA });
  const b = new Link<OwnerMessage>(ends[1], {
    decode: readOwnerMessage,
    receive: (message) => void got.push(message),
    ...partsOfB,
  });
  return {
    a,
    b,
    got,
    streams: ends,
    async [Symbol.asyncDispose]() {
      await a[Symbol.asyncDispose]();
      await b[Symbol.asyncDispose]();
      dispose();
    },
  };
}

function push(number: number, size = 10): OwnerMessage {
  const body = new Uint8Array(size).fill(number);
  const response = { type: "MSG", messageId: "AAAA", timestamp: new Date(0), body } as const;
  return { type: "NOTIFY", connection: number, queueId: "AAAA", age: null, response };
}

Deno.test("what is sent in one turn is one batch, and comes in order", async () => {
  await using ends = await linked();
  const batches = Array.from({ length: 100 }, (_, i) => ends.a.send(push(i)));
  assertEquals(new Set(batches).size, 1);
  await until(() => ends.got.length === 100);
  assertEquals(ends.got.map((message) => "connection" in message && message.connection), [
    ...Array(100).keys(),
  ]);
  assertEquals(ends.a.written, 1);
});

Deno.test("batches come whole however the bytes are cut", async () => {
  for (const mostRead of [1, 7, 1000]) {
    await using ends = await linked({}, {}, ([, b]) => b.mostRead = mostRead);
    const sent = [push(1, 3), push(2, 300), push(3, 0), push(4, 5000)];
    for (const message of sent) {
      ends.a.send(message);
      await new Promise((resolve) => setTimeout(resolve));
    }
    await until(() => ends.got.length === sent.length);
    assertEquals(ends.got, sent);
  }
});

Deno.test("much more than a socket and a buffer take comes in order", async () => {
  await using ends = await linked();
  for (let i = 0; i < 200; i++) ends.a.send(push(i, 60_000));
  await until(() => ends.got.length === 200);
  assertEquals(ends.got.map((message) => "connection" in message && message.connection), [
    ...Array(200).keys(),
  ]);
});

Deno.test("a link says that it has no room while the peer does not read, and when it has room again", async () => {
  let drained = 0;
  await using ends = await linked({ mostWaiting: 100_000, drained: () => drained++ });
  ends.streams[1].hold();
  let sent = 0;
  while (ends.a.hasRoom) {
    ends.a.send(push(sent++, 50_000));
    await new Promise((resolve) => setTimeout(resolve));
  }
  assert(ends.a.waiting >= 100_000);
  assertEquals(drained, 0);
  ends.streams[1].release();
  await until(() => drained === 1);
  await until(() => ends.got.length === sent);
  assert(ends.a.hasRoom);
});

Deno.test("nothing more is read until the receiver is ready", async () => {
  const ready = Promise.withResolvers<void>();
  await using ends = await linked({}, { ready: () => ready.promise });
  ends.a.send(push(1));
  await until(() => ends.got.length === 1);
  ends.a.send(push(2));
  await until(() => ends.a.written === 2);
  assertEquals(ends.got.length, 1);
  ready.resolve();
  await until(() => ends.got.length === 2);
});

Deno.test("the peer is told what was read with the next batch, and after many without one", async () => {
  let acknowledged = 0;
  await using ends = await linked({ acknowledged: (batch) => acknowledged = batch });
  ends.a.send(push(1));
  await until(() => ends.got.length === 1);
  ends.b.send({ type: "PONG" });
  await until(() => acknowledged === 1);
  for (let i = 0; i < 200; i++) {
    ends.a.send(push(i));
    await until(() => ends.a.written === i + 2);
  }
  await until(() => acknowledged > 100);
});

/** A stream that gives these bytes and then nothing. */
function streamOf(...batches: Uint8Array[]): ByteStream {
  const closed = Promise.withResolvers<null>();
  return {
    read(buffer) {
      const next = batches.shift();
      if (next === undefined) return closed.promise;
      buffer.set(next);
      return Promise.resolve(next.length);
    },
    write: (bytes) => Promise.resolve(bytes.length),
    close: () => closed.resolve(null),
  };
}

/** A batch of one PONG. */
function batch({ number = 1, acknowledged = 0, length = 5, type = 133 } = {}): Uint8Array {
  const bytes = new Uint8Array(21);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length);
  view.setUint32(6, number);
  view.setUint32(12, acknowledged);
  view.setUint32(16, 1);
  bytes[20] = type;
  return bytes;
}

const wrong: readonly [string, Uint8Array[], string][] = [
  ["a batch that is missing", [batch(), batch({ number: 3 })], "GAP"],
  ["a batch that comes again", [batch(), batch()], "GAP"],
  ["a batch that is too long", [batch({ length: 1_000_000 })], "FRAME"],
  ["a batch that was never sent as the last one that was read", [batch({ acknowledged: 1 })], "FRAME"],
  ["a frame that is none", [batch({ type: 7 })], "FRAME"],
];

for (const [name, batches, code] of wrong) {
  Deno.test(`${name} ends the link`, async () => {
    const stream = streamOf(...batches);
    await using link = new Link(stream, { decode: readOwnerMessage, receive: () => {} });
    assertEquals((await soon(link.ended)).code, code);
    assertEquals(link.isOpen, false);
  });
}

Deno.test("a link ends with a reason when its peer ends it, when it breaks and when it is closed", async () => {
  {
    await using ends = await linked();
    await ends.a[Symbol.asyncDispose]();
    assertEquals((await soon(ends.a.ended)).code, "CLOSED");
    assertEquals((await soon(ends.b.ended)).code, "ENDED");
    assertEquals(ends.b.send({ type: "PONG" }), 1);
  }
  await using ends = await linked({}, {}, ([a]) => a.writesLeft = 10);
  ends.a.send(push(1));
  assertEquals((await soon(ends.a.ended)).code, "NETWORK");
  assert((await soon(ends.b.ended)).message.includes("inside a batch"));
});

Deno.test("what the receiver throws ends the link", async () => {
  await using ends = await linked({}, {
    receive: () => {
      throw new Error("it is wrong");
    },
  });
  ends.a.send(push(1));
  assertEquals((await soon(ends.b.ended)).code, "NETWORK");
});

Deno.test("what the peer has written before it died is read, although nothing can be written to it", async () => {
  const { ends: [near, far], dispose } = await socketPair();
  const got: OwnerMessage[] = [];
  const failed = Promise.withResolvers<void>();
  far.hold();
  await using peer = new Link<OwnerMessage>(near, { decode: readOwnerMessage, receive: () => {} });
  await using link = new Link<OwnerMessage>({
    read: (buffer) => far.read(buffer),
    write: () => {
      failed.resolve();
      return Promise.reject(new Error("nobody reads it"));
    },
    close: () => far.close(),
  }, { decode: readOwnerMessage, receive: (message) => void got.push(message) });
  const none = peer.waiting;
  peer.send(push(1));
  link.send(push(2));
  await soon(failed.promise);
  await until(() => peer.written === 1 && peer.waiting === none);
  near.close();
  far.release();
  assertEquals((await soon(link.ended)).code, "ENDED");
  assertEquals(got.length, 1);
  dispose();
});

Deno.test("a link that nothing can be written to ends, although its peer is there", async () => {
  const { ends: [near, far], dispose } = await socketPair();
  await using _peer = new Link<OwnerMessage>(near, { decode: readOwnerMessage, receive: () => {} });
  await using link = new Link<OwnerMessage>({
    read: (buffer) => far.read(buffer),
    write: () => Promise.reject(new Error("nobody reads it")),
    close: () => far.close(),
  }, { decode: readOwnerMessage, receive: () => {} });
  link.send(push(1));
  assertEquals((await soon(link.ended)).code, "NETWORK");
  dispose();
});
