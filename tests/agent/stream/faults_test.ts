import { setTimeout as pause } from "node:timers/promises";
import { assert, assertEquals } from "@std/assert";
import { LoadedKeys } from "../../../agent/key_pool.ts";
import { MemoryStore } from "../../../agent/mod.ts";
import type { DiscardedQueue } from "../../../agent/store/store.ts";
import { SmpClient, tcpTransport, type Transport } from "../../../client/mod.ts";
import { type Channel, equalBytes } from "../../../protocol/mod.ts";
import { connectAgents, TestAgent } from "../../support/agent.ts";
import { MemoryMessageStore, SmpServer, type StoredMessage } from "../../../server/mod.ts";
import { identity, startServer } from "../../support/server.ts";
import { temporaryFolder } from "../../support/server_process.ts";
import {
  connectForStreams,
  nextOffer,
  sessions,
  settled,
  someBytes,
  streamPair,
} from "../../support/streams.ts";
import { soon, until } from "../../support/wait.ts";

/** Connections that can all be cut. */
function cuttable() {
  const open = new Set<Channel>();
  const transport: Transport = async (server, signal) => {
    const channel = await tcpTransport(server, signal);
    open.add(channel);
    return channel;
  };
  const cut = async () => {
    const channels = [...open];
    open.clear();
    await Promise.all(channels.map((channel) => channel.close()));
  };
  return { transport, cut };
}

/** Connections that take at once what is written, and carry so many bytes a second. */
function slow(rate: number) {
  let written = 0;
  const transport: Transport = async (server, signal) => {
    const channel = await tcpTransport(server, signal);
    let carried = Promise.resolve(), isClosed = false;
    const carry = async (units: readonly Uint8Array<ArrayBuffer>[]) => {
      for (const unit of units) {
        if (!isClosed) await pause(unit.length / rate * 1000);
        if (!isClosed) await channel.write([unit]).catch(() => {});
      }
    };
    return {
      read: (size) => channel.read(size),
      write(units) {
        const copies = units.map((unit) => unit.slice());
        for (const { length } of copies) written += length;
        carried = carried.then(() => carry(copies));
        return Promise.resolve();
      },
      end: () => carried.then(() => channel.end()),
      async close() {
        isClosed = true;
        await Promise.all([channel.close(), carried]);
      },
    };
  };
  return { transport, written: () => written };
}

for (const who of ["sender", "receiver", "both"] as const) {
  Deno.test(`a file arrives whole while all connections of ${who} are cut again and again`, async () => {
    await using folder = await temporaryFolder();
    await using server = await startServer();
    const { transport, cut } = cuttable();
    const client = { client: { transport } };
    await using pair = await streamPair(server, {
      ...who !== "receiver" && { a: client },
      ...who !== "sender" && { b: client },
    });
    const from = `${folder.path}/from`, to = `${folder.path}/to`;
    const bytes = someBytes(8_000_000);
    await Deno.writeFile(from, bytes);
    const outgoing = await pair.alice.agent.sendFile("b", from);
    const offer = await nextOffer(pair.bob);
    const receiving = pair.bob.agent.receiveFile(offer, to);
    for (let i = 1; i <= 5; i++) {
      await until(() => offer.progress.bytes >= i * 1_200_000);
      await cut();
    }
    await soon(receiving);
    await soon(outgoing.ended);
    assert(equalBytes(await Deno.readFile(to), bytes));
    await until(() => server.gauges().queues === 2);
  });
}

Deno.test("a slow connection has no more to carry at a time than it does in time, and little twice", async () => {
  await using folder = await temporaryFolder();
  await using server = await startServer();
  const { transport, written } = slow(500_000);
  // A whole window takes twice as long.
  const client = { transport, commandTimeout: 2_000 };
  await using pair = await streamPair(server, { a: { client } });
  const from = `${folder.path}/from`, to = `${folder.path}/to`;
  const bytes = someBytes(2_500_000);
  await Deno.writeFile(from, bytes);
  const before = written();
  const outgoing = await pair.alice.agent.sendFile("b", from);
  await soon(pair.bob.agent.receiveFile(await nextOffer(pair.bob), to));
  await soon(outgoing.ended);
  assert(equalBytes(await Deno.readFile(to), bytes));
  assert(written() - before < 1.4 * bytes.length, `${written() - before} bytes were written`);
});

Deno.test("a written stream goes on by another queue when its queue is gone, with nothing lost or twice", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  await using alice = await TestAgent.start(server.address, sessions);
  await using bob = await TestAgent.start(server.address, { ...sessions, store });
  await connectForStreams(server, alice, bob);
  const outgoing = await alice.agent.offerStream("b");
  const offer = await nextOffer(bob);
  const reader = offer.accept().getReader();
  const writer = (await soon(outgoing.accepted)).getWriter();
  const read = async (length: number) => {
    let found: number[] = [];
    while (found.length < length) found = [...found, ...(await soon(reader.read())).value!];
    return Uint8Array.from(found);
  };
  const sent = someBytes(3000);
  await writer.write(sent.subarray(0, 1000));
  assertEquals(await read(1000), sent.slice(0, 1000));
  await using client = await SmpClient.connect(server.address);
  const gone: string[] = [];
  for (let i = 1; i <= 2; i++) {
    let queue: DiscardedQueue | undefined;
    await until(async () => {
      queue = (await store.discarded() as DiscardedQueue[]).find(({ recipientId }) =>
        !gone.includes(recipientId)
      );
      return queue !== undefined;
    });
    const { recipientId, senderId, recipientKey } = queue!;
    gone.push(recipientId);
    const key = await new LoadedKeys().signing(recipientKey);
    await client.deleteQueue({ recipientId, senderId, recipientKey: key });
    await writer.write(sent.subarray(i * 1000, (i + 1) * 1000));
    assertEquals(await read(1000), sent.slice(i * 1000, (i + 1) * 1000));
  }
  const closing = writer.close();
  assertEquals((await soon(reader.read())).done, true);
  await soon(closing);
  await until(() => server.gauges().queues === 2);
  await until(async () => (await store.discarded()).length === 0);
});

Deno.test("a stream moves to another server when that of its queue is gone", async () => {
  await using messages = await startServer();
  const streams = await startServer();
  await using pair = await streamPair(messages);
  const { alice, bob } = pair;
  bob.agent.setServers([streams.address]);
  const outgoing = await alice.agent.offerStream("b");
  const reader = (await nextOffer(bob)).accept().getReader();
  const writer = (await soon(outgoing.accepted)).getWriter();
  await writer.write(Uint8Array.of(1));
  assertEquals((await soon(reader.read())).value, Uint8Array.of(1));
  assertEquals(streams.gauges().queues, 1);
  bob.agent.setServers([streams.address, messages.address]);
  await streams.stop();
  await writer.write(Uint8Array.of(2));
  assertEquals((await soon(reader.read())).value, Uint8Array.of(2));
  await Promise.all([writer.close(), soon(reader.read())]);
});

Deno.test("a stream goes through several servers at once, and through those that are left when one is gone", async () => {
  await using one = await startServer();
  const two = await startServer();
  await using pair = await streamPair(one);
  const { alice } = pair;
  await using bob = await TestAgent.start([one.address, two.address], { ...sessions, routes: 2 });
  await connectAgents(alice, bob, ["c", "a"]);
  await until(() => alice.agent.connection("c").session?.servers.sending.length === 2);
  await until(() => bob.agent.connection("a").session?.servers.sending.length === 1);
  await settled(alice, bob);
  const queues = () => [one.gauges().queues, two.gauges().queues];
  await until(() => `${queues()}` === "4,1");
  const outgoing = await alice.agent.offerStream("c");
  const offer = await nextOffer(bob);
  const reading = new Response(offer.accept()).bytes();
  const writer = (await soon(outgoing.accepted)).getWriter();
  assertEquals(queues(), [5, 2]);
  const sent = someBytes(3_000_000);
  await writer.write(sent.subarray(0, 1_500_000));
  await until(() => offer.progress.bytes === 1_500_000);
  await two.stop();
  await writer.write(sent.subarray(1_500_000));
  await soon(writer.close());
  assert(equalBytes(await soon(reading), sent));
});

/** Messages of which none can be removed until the one that fills a window is to be. */
class StuckMessages extends MemoryMessageStore {
  /** How many could not be removed. */
  failures = 0;
  readonly #large = new Map<string, string[]>();
  #isStuck = true;

  override append(recipientId: string, message: StoredMessage): Promise<void> {
    const ids = this.#large.get(recipientId) ?? [];
    if (message.body.length > 10_000) this.#large.set(recipientId, [...ids, message.id]);
    return super.append(recipientId, message);
  }

  override remove(recipientId: string, messageId: string): Promise<void> {
    const ids = this.#large.get(recipientId);
    if (!this.#isStuck || ids === undefined) return super.remove(recipientId, messageId);
    this.failures++;
    // It fails once more, as that of the others before it in the same acknowledgement.
    if (messageId === ids[31]) this.#isStuck = false;
    return Promise.reject(new Error("the disk is full"));
  }
}

Deno.test("a file arrives whole although the server could not delete what fills the window of its queue", async () => {
  await using folder = await temporaryFolder();
  const messages = new StuckMessages();
  await using server = await SmpServer.start({ identity, host: "127.0.0.1", port: 0, messages });
  await using pair = await streamPair(server);
  const from = `${folder.path}/from`, to = `${folder.path}/to`;
  const bytes = someBytes(3_000_000);
  await Deno.writeFile(from, bytes);
  const outgoing = await pair.alice.agent.sendFile("b", from);
  await soon(pair.bob.agent.receiveFile(await nextOffer(pair.bob), to));
  await soon(outgoing.ended);
  assert(equalBytes(await Deno.readFile(to), bytes));
  assert(messages.failures >= 32);
});
