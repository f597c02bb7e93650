import { assert, assertEquals } from "@std/assert";
import { setTimeout as pause } from "node:timers/promises";
import { textBytes } from "../../protocol/mod.ts";
import {
  type Channel,
  clientHandshake,
  encodeClientTransmission,
  encodeSigned,
  generateKeyPair,
  memoryChannelPair,
  type RecipientQueue,
  signPss,
} from "../../mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { RawClient, type SocketName, socketNames } from "../support/raw_client.ts";
import { connect, startServer } from "../support/server.ts";
import { patience, soon, until } from "../support/wait.ts";

const keyPair = await generateKeyPair("sign", 1024);
const ping = " 1  PING ";
/** Milliseconds between what an honest client does: without a break it would do little more than cost time. */
const breath = 5;
/** Bytes that the buffers of two sockets may hold. */
const mostInSockets = 64 * 2 ** 20;

/** Bytes of the blocks of who fills sockets: small ones would cost much more for as many bytes. */
const largeBlock = 65_536;

/** Sends PINGs and reads nothing, until the server closes the connection. */
class Flood {
  /** Bytes that the connection has taken. */
  written = 0;
  /** 64 KiB of blocks. */
  readonly #blocks: readonly string[];
  readonly ended: Promise<void>;

  constructor(readonly client: RawClient, blockSize = 4096) {
    this.#blocks = Array(65_536 / blockSize).fill(ping);
    this.ended = this.#run().catch(() => {});
  }

  async #run(): Promise<void> {
    for (;; this.written += 65_536) await this.client.send(...this.#blocks);
  }
}

/** A command of a queue's recipient, to be sent as it is. */
async function recipientCommand(
  queue: RecipientQueue,
  corrId: string,
  type: "SUB" | "ACK",
): Promise<Uint8Array> {
  const signed = encodeSigned(textBytes(corrId), queue.recipientId, { type });
  return encodeClientTransmission(await signPss(queue.recipientKey, signed), signed);
}

/** PINGs of another client, each answered in time, until the condition holds. */
async function servedUntil(server: SmpServer, condition: () => boolean): Promise<number> {
  await using client = await connect(server);
  const end = performance.now() + patience;
  let count = 0;
  for (; !condition() || count < 10; count++) {
    assert(performance.now() < end, "the condition did not come to hold");
    await soon(client.ping());
    await pause(breath);
  }
  return count;
}

for (const socket of socketNames) {
  Deno.test(`over ${socket}, a peer that sends and does not read is held up, then closed, and holds up nobody`, async () => {
    await using server = await startServer({ limits: { writeTimeout: 300 } });
    await using client = await RawClient.connect(server, socket);
    const flood = new Flood(client);
    await servedUntil(server, () => server.metrics.slowPeersClosed > 0);
    await soon(flood.ended);
    assert(flood.written < mostInSockets, `${flood.written} bytes were taken`);
    assertEquals(server.metrics.slowPeersClosed, 1);
    await until(() => server.connections === 0);
  });

  Deno.test(`over ${socket}, many peers that do not read hold up nobody, and are all closed`, async () => {
    await using server = await startServer({ limits: { writeTimeout: 300 } });
    const floods: Flood[] = [];
    for (let i = 0; i < 8; i++) {
      floods.push(new Flood(await RawClient.connect(server, socket, largeBlock), largeBlock));
    }
    await servedUntil(server, () => server.metrics.slowPeersClosed === floods.length);
    await soon(Promise.all(floods.map(({ ended }) => ended)));
    await Promise.all(floods.map(({ client }) => client[Symbol.asyncDispose]()));
    await until(() => server.connections === 0);
  });

  Deno.test(`over ${socket}, a peer that reads late gets all its answers in order`, async () => {
    // However long a machine that is busy takes until it reads.
    await using server = await startServer({ limits: { writeTimeout: 3_600_000 } });
    await using client = await RawClient.connect(server, socket, largeBlock);
    const count = 300;
    const sending = (async () => {
      for (let i = 0; i < count; i++) await client.send(` ${i}  PING `);
    })();
    await servedUntil(server, () => true);
    for (let i = 0; i < count; i++) assertEquals(await client.receive(), ` ${i}  PONG `);
    await soon(sending);
    await client.send(" last  PING ");
    assertEquals(await client.receive(), " last  PONG ");
  });

  Deno.test(`over ${socket}, a subscriber that never reads does not hold up those who send to it`, async () => {
    await using server = await startServer({ limits: { writeTimeout: 300, messagesPerQueue: 100_000 } });
    await using honest = await connect(server);
    const queues: RecipientQueue[] = [];
    for (let i = 0; i < 20; i++) queues.push(await honest.createQueue({ keyPair }));
    await using deaf = await RawClient.connect(server, socket);
    const subs = await Promise.all(queues.map((queue) => recipientCommand(queue, "s", "SUB")));
    await deaf.send(...subs);
    const first = queues.map((queue) => honest.send(queue, new Uint8Array(3000)));
    await soon(Promise.all(first));
    // Each is delivered again for a SUB, so that there is much that the subscriber does not read.
    const subscribing = (async () => {
      for (;;) await deaf.send(...subs);
    })().catch(() => {});
    while (server.metrics.slowPeersClosed === 0) {
      await soon(Promise.all(queues.map((queue) => honest.send(queue, new Uint8Array(3000)))));
      await pause(breath * queues.length);
    }
    await soon(subscribing);
    await until(() => server.connections === 1);
    // What it was sent and did not acknowledge is there for the next subscriber.
    await soon(Promise.all(queues.map((queue) => honest.subscribe(queue))));
    await soon(Promise.all(queues.map((queue) => honest.acknowledge(queue))));
  });

  Deno.test(`over ${socket}, stopping in the middle of it all closes every connection`, async () => {
    const server = await startServer({ limits: { handshakeTimeout: 60_000, writeTimeout: 60_000 } });
    const { floods, others } = await crowd(server, socket);
    await until(() => floods.every(({ written }) => written > 1_000_000));
    const [busy, events] = [others[0]!, others[1]!];
    const queue = await busy.createQueue({ keyPair });
    const waiting = events.events().next().catch((error) => error);
    const sending = (async () => {
      for (;;) await Promise.all(Array.from({ length: 50 }, () => busy.send(queue, new Uint8Array(4000))));
    })().catch((error) => error);
    await soon(busy.ping());
    await soon(server.stop());
    assertEquals(server.connections, 0);
    assertEquals((await soon(sending)).code, "NETWORK");
    assertEquals((await soon(waiting)).code, "NETWORK");
    await soon(Promise.all(floods.map(({ ended }) => ended)));
    await Promise.all([
      ...floods.map(({ client }) => client[Symbol.asyncDispose]()),
      ...others.map((client) => client.close()),
    ]);
  });
}

async function crowd(server: SmpServer, socket: SocketName) {
  const floods: Flood[] = [];
  for (let i = 0; i < 4; i++) {
    floods.push(new Flood(await RawClient.connect(server, socket, largeBlock), largeBlock));
  }
  const others = [
    await connect(server, socket),
    await connect(server, socket),
    await connect(server, "memory"),
  ];
  return { floods, others };
}

Deno.test("the server reads no more than inWork commands of a peer that does not take its answers", async () => {
  const inWork = 7;
  await using server = await startServer({ limits: { inWork, writeTimeout: 200 } });
  const [clientEnd, serverEnd] = memoryChannelPair();
  let [reads, stuck] = [0, false];
  const handling = server.handle({
    read: (size) => (reads++, serverEnd.read(size)),
    // Taken by nobody, until the channel is closed.
    write: (units) => stuck ? clientClosed.promise : serverEnd.write(units),
    end: () => serverEnd.end(),
    close: () => (clientClosed.reject(new Error("closed")), serverEnd.close()),
  });
  const clientClosed = Promise.withResolvers<never>();
  clientClosed.promise.catch(() => {});
  const blocks = await clientHandshake(clientEnd);
  [reads, stuck] = [0, true];
  const sending = (async () => {
    for (;;) await blocks.write([textBytes(ping)]);
  })().catch(() => {});
  await soon(handling);
  await soon(sending);
  // On a busy machine it may be closed before the server has read so many.
  assert(reads > 0 && reads <= inWork, `${reads}`);
  assertEquals(server.metrics.slowPeersClosed, 1);
});

for (const close of ["end", "close"] as const) {
  Deno.test(`a peer that sends thousands of commands and then does "${close}" leaves nothing`, async () => {
    await using server = await startServer();
    for (const socket of socketNames) {
      const client = await RawClient.connect(server, socket);
      for (let i = 0; i < 100; i++) await client.send(...Array(10).fill(ping));
      await client.channel[close]();
      if (close === "end" && socket === "tcp") {
        for (let i = 0; i < 1_000; i++) assertEquals(await client.receive(), " 1  PONG ");
        assertEquals(await client.receive(), null);
      }
      await client[Symbol.asyncDispose]();
    }
    await until(() => server.connections === 0);
  });
}

Deno.test("a peer that shuts down writing still gets the answers of slow commands, then the end", async () => {
  await using server = await startServer();
  await using honest = await connect(server);
  const queue = await honest.createQueue({ keyPair });
  await using client = await RawClient.connect(server);
  const commands: Uint8Array[] = [];
  for (let i = 0; i < 50; i++) commands.push(await recipientCommand(queue, `${i}`, "SUB"));
  await client.send(...commands);
  await client.channel.end();
  for (let i = 0; i < commands.length; i++) {
    assertEquals(await client.receive(), ` ${i} ${queue.recipientId} OK `);
  }
  assertEquals(await client.receive(), null);
});

Deno.test("a peer that shuts down writing and does not read its answers is closed after writeTimeout", async () => {
  await using server = await startServer({ limits: { writeTimeout: 600_000, inWork: 10_000 } });
  await using client = await RawClient.connect(server);
  const count = 3_000;
  for (let i = 0; i < count; i += 10) await client.send(...Array(10).fill(ping));
  await client.channel.end();
  // All was sent: who is cut off before cannot shut down writing.
  server.setLimits({ writeTimeout: 1_000 });
  await until(() => server.metrics.slowPeersClosed === 1 && server.connections === 0);
});

Deno.test("a peer that takes its largest blocks one by one in time is not closed", async () => {
  // Many of them together take twice the time that one has.
  const [writeTimeout, delay, count] = [2_000, 250, 16];
  await using server = await startServer({ limits: { writeTimeout } });
  const [clientEnd, serverEnd] = memoryChannelPair();
  let isSlow = false;
  const handling = server.handle({
    read: (size) => serverEnd.read(size),
    async write(units) {
      for (const unit of units) {
        if (isSlow) await new Promise((resolve) => setTimeout(resolve, delay));
        await serverEnd.write([unit]);
      }
    },
    end: () => serverEnd.end(),
    close: () => serverEnd.close(),
  });
  const client = await RawClient.handshake(clientEnd, 65_536);
  isSlow = true;
  await client.send(...Array(count).fill(ping));
  for (let i = 0; i < count; i++) assertEquals(await client.receive(), " 1  PONG ");
  await client[Symbol.asyncDispose]();
  await soon(handling);
  assertEquals(server.metrics.slowPeersClosed, 0);
});

Deno.test("a peer that takes a byte now and then is closed after writeTimeout", async () => {
  await using server = await startServer({ limits: { writeTimeout: 300 } });
  await using client = await RawClient.connect(server, "tcp", 65_536);
  let isEnded = false;
  const sending = (async () => {
    for (;;) await client.send(...Array(16).fill(ping));
  })().catch(() => {}).finally(() => isEnded = true);
  const reading = (async () => {
    while (!isEnded) {
      await client.channel.read(1);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  })().catch(() => {});
  await soon(sending);
  await soon(reading);
  assertEquals(server.metrics.slowPeersClosed, 1);
});

/** A channel whose peer has gone without a word: nothing more comes and nothing is taken. */
Deno.test("a peer that is gone without a word is closed when something is written to it", async () => {
  await using server = await startServer({ limits: { writeTimeout: 100 } });
  await using honest = await connect(server, "memory");
  const [clientEnd, serverEnd] = memoryChannelPair();
  const gone = Promise.withResolvers<never>();
  gone.promise.catch(() => {});
  let isGone = false;
  const channel: Channel = {
    read: (size) => serverEnd.read(size),
    write: (units) => isGone ? gone.promise : serverEnd.write(units),
    end: () => serverEnd.end(),
    close: () => (gone.reject(new Error("closed")), serverEnd.close()),
  };
  const handling = server.handle(channel);
  const lost = await RawClient.handshake(clientEnd);
  const queue = await honest.createQueue({ keyPair });
  await lost.send(await recipientCommand(queue, "s", "SUB"));
  assertEquals(await lost.receive(), ` s ${queue.recipientId} OK `);
  isGone = true;
  await honest.send(queue, textBytes("is anybody there"));
  await soon(handling);
  assertEquals(server.metrics.slowPeersClosed, 1);
  await honest.subscribe(queue);
  await honest.acknowledge(queue);
});
