import { assertEquals, assertRejects } from "@std/assert";
import { type Channel, memoryChannelPair, SmpError } from "../../mod.ts";
import { MemoryQueueStore } from "../../server/mod.ts";
import { RawClient, upgradeRequest } from "../support/raw_client.ts";
import { connect, startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";
import { keyOf } from "../support/test_keys.ts";

/** Of every queue: making one takes longer than most tests. */
const keyPair = await keyOf("client", "sign");

/** How a channel of somebody else may break its promise that `close` never rejects. */
const closes: Readonly<Record<string, () => Promise<void>>> = {
  "rejects": () => Promise.reject(new Error("cannot close")),
  "throws": () => {
    throw new Error("cannot close");
  },
};

for (const [name, fail] of Object.entries(closes)) {
  const failing = (channel: Channel): Channel => ({
    read: (size) => channel.read(size),
    write: (units) => channel.write(units),
    end: () => channel.end(),
    close() {
      void channel.close();
      return fail();
    },
  });

  Deno.test(`a channel whose close ${name} ends like another, whenever it is closed`, async () => {
    const server = await startServer({ limits: { connections: 1, handshakeTimeout: 50 } });
    // In the handshake, by its deadline.
    const [silent, silentEnd] = memoryChannelPair();
    await soon(server.handle(failing(silentEnd)));
    await silent.close();
    server.setLimits({ handshakeTimeout: 60_000 });
    // To make room for the next one.
    const [evicted, evictedEnd] = memoryChannelPair();
    const evicting = server.handle(failing(evictedEnd));
    // By the peer, after the handshake.
    const [peer, peerEnd] = memoryChannelPair();
    const serving = server.handle(failing(peerEnd));
    await soon(evicting);
    const client = await RawClient.handshake(peer);
    // By a limit, at once.
    const [refused, refusedEnd] = memoryChannelPair();
    await soon(server.handle(failing(refusedEnd)));
    await peer.end();
    assertEquals(await client.receive(), null);
    await soon(serving);
    await until(() => server.connections === 0);
    // By the server's end, in a session.
    const [last, lastEnd] = memoryChannelPair();
    const ending = server.handle(failing(lastEnd));
    await RawClient.handshake(last);
    await soon(server.stop());
    await soon(ending);
    await Promise.all([evicted, peer, refused, last].map((channel) => channel.close()));
  });
}

Deno.test("a log that throws keeps no command from its answer, and the server from nothing", async () => {
  const queues = new MemoryQueueStore();
  queues.create = () => Promise.reject(new Error("no store"));
  const log = () => {
    throw new Error("no log");
  };
  await using server = await startServer({ queues, log });
  await using client = await connect(server);
  await assertRejects(() => soon(client.createQueue({ keyPair })), SmpError, "INTERNAL");
  await soon(client.ping());
  await client.close();
  await soon(server.stop({ deadline: 60_000 }));
});

Deno.test("a server that is suspended serves nobody who was let in before, and whose request comes now", async () => {
  await using server = await startServer();
  using socket = await Deno.connect({ hostname: "127.0.0.1", port: server.webSocketPort! });
  const request = new TextEncoder().encode(upgradeRequest("/"));
  await socket.write(request.subarray(0, 20));
  await until(() => server.gauges().handshakes === 1);
  await server.suspend("it is cut off");
  await socket.write(request.subarray(20));
  const accepted = new Uint8Array(4096);
  let length = 0;
  // The answer to the upgrade may come; the server's key, which begins its part of the handshake, does not.
  for (let count; (count = await soon(socket.read(accepted.subarray(length)))) !== null;) length += count;
  const said = new TextDecoder("latin1").decode(accepted.subarray(0, length));
  assertEquals(said.split("\r\n\r\n")[1] ?? "", "");
  assertEquals([server.connections, server.gauges().handshakes], [0, 0]);
});

Deno.test("a server gives back the large blocks that it has written, where the channel reads them no more", async () => {
  await using server = await startServer();
  const [peer, end] = memoryChannelPair();
  const written: ArrayBuffer[] = [];
  const serving = server.handle({
    releasesWritten: true,
    read: (size) => end.read(size),
    async write(units) {
      written.push(...units.map(({ buffer }) => buffer));
      await end.write(units.map((unit) => unit.slice()));
    },
    end: () => end.end(),
    close: () => end.close(),
  });
  const client = await RawClient.handshake(peer, 65_536);
  await client.send(" 1  PING ");
  assertEquals(await client.receive(), " 1  PONG ");
  await peer.close();
  await soon(serving);
  // The header and the key; the welcome; the answer.
  assertEquals(written.slice(-2).map(({ byteLength }) => byteLength), [0, 0]);
  assertEquals(written.length, 4);
});
