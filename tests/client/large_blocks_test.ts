import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { Connection } from "../../client/connection.ts";
import {
  type BlockChannel,
  blockSizes,
  deferred,
  formatAddress,
  parseAddress,
  serverExtensions,
} from "../../protocol/mod.ts";
import {
  encodeServerHeader,
  generateKeyPair,
  type KnownServers,
  SmpClient,
  TransportError,
} from "../../mod.ts";
import { FakePeer, FakeServer, rejection } from "../support/fake_server.ts";
import { connect, identity, startServer, transportNames, transportTo } from "../support/server.ts";
import { next, soon, until } from "../support/wait.ts";

const keyPair = await generateKeyPair("sign", 1024);
const large = "large";
const reason = new Error("never mind");
const { der } = identity.keyPair.publicKey;

for (const transport of transportNames) {
  Deno.test(`over ${transport}, large blocks are learned on one connection and used for later ones`, async () => {
    await using server = await startServer();
    const knownServers = new Map<string, readonly string[]>();
    for (const connections of [2, 3]) {
      await using client = await connect(server, transport, { blockSize: large, knownServers });
      assertEquals([client.blockSize, server.metrics.connectionsAccepted], [65536, connections]);
      const { host, keyHash } = parseAddress(server.address);
      const port = transport === "websocket" ? server.webSocketPort! : server.port;
      assertEquals([...knownServers], [[formatAddress({ host, port, keyHash: keyHash! }), serverExtensions]]);
      const queue = await client.createQueue({ keyPair });
      await client.send(queue, new Uint8Array(60_000).fill(7));
      const event = await next(client.events(queue));
      assert(event.type === "MSG");
      assertEquals(event.body, new Uint8Array(60_000).fill(7));
    }
  });

  Deno.test(`over ${transport}, without a memory large blocks take two connections each time, of which one is left`, async () => {
    await using server = await startServer();
    for (const connections of [2, 4]) {
      await using client = await connect(server, transport, { blockSize: large });
      assertEquals([client.blockSize, client.isForwardSecret], [65536, true]);
      assertEquals(server.metrics.connectionsAccepted, connections);
      await until(() => server.gauges().connections === 1);
    }
    await until(() => server.gauges().connections === 0);
  });

  Deno.test(`over ${transport}, a server that does not list blocks1 is used with its own blocks`, async () => {
    await using server = await startServer({ extensions: ["open1", "window1", "rekey1"] });
    const knownServers = new Map<string, readonly string[]>();
    for (const connections of [1, 2]) {
      await using client = await connect(server, transport, { blockSize: large, knownServers });
      assertEquals([client.blockSize, server.metrics.connectionsAccepted], [4096, connections]);
      await client.ping();
    }
  });
}

Deno.test("a server whose own blocks are the largest is connected to once", async () => {
  await using server = await startServer({ blockSize: 65536 });
  await using client = await connect(server, "memory", { blockSize: large });
  assertEquals([client.blockSize, server.metrics.connectionsAccepted], [65536, 1]);
});

Deno.test("what a server lists is remembered of every connection, and another size is still the caller's", async () => {
  await using server = await startServer({ extensions: ["window1"] });
  const known: unknown[] = [];
  const knownServers: KnownServers = {
    get: () => ["blocks1"],
    set: (address, extensions) => known.push(address === "" ? null : extensions),
  };
  for (const blockSize of blockSizes) {
    await using client = await connect(server, "memory", { blockSize, knownServers });
    assertEquals(client.blockSize, blockSize);
  }
  assertEquals(known, blockSizes.map(() => ["window1"]));
});

Deno.test("nothing is remembered of a server that cannot be told from an impostor", async () => {
  await using server = await startServer();
  const address = formatAddress({ host: "127.0.0.1", port: server.port });
  const knownServers = new Map<string, readonly string[]>([[address, ["blocks1"]]]);
  const options = {
    transport: transportTo(server, "memory"),
    blockSize: large,
    knownServers,
    allowUnverified: true,
  } as const;
  for (const connections of [2, 4]) {
    await using client = await SmpClient.connect({ host: "127.0.0.1", port: server.port }, options);
    assertEquals([client.blockSize, server.metrics.connectionsAccepted], [65536, connections]);
  }
  assertEquals([...knownServers], [[address, ["blocks1"]]]);
});

Deno.test("a server that is known for large blocks and takes them no more is used with its own", async () => {
  await using server = await FakeServer.start();
  const name = formatAddress(server.address);
  const knownServers = new Map<string, readonly string[]>([[name, ["blocks1", "open1"]]]);
  const connecting = server.connect({ blockSize: large, knownServers });
  const channel = await server.accept();
  await channel.write([encodeServerHeader({ blockSize: 4096, keyLength: der.length }), der]);
  await soon(channel.read(identity.keyPair.privateKey.modulusLength));
  await channel.end();
  await FakePeer.handshake(await server.accept());
  await using client = await soon(connecting);
  assertEquals([client.blockSize, client.extensions, knownServers.get(name)], [4096, [], []]);
});

Deno.test("a server that lists blocks1 and then does not take them is an error, and no connection is left", async () => {
  await using server = await FakeServer.start("memory", ["blocks1"]);
  const connecting = rejection(server.connect({ blockSize: large, transport: server.atMost(2) }));
  const first = await FakePeer.handshake(await server.accept(), server.extensions);
  assertEquals(await soon(first.takeLater()), null);
  const channel = await server.accept();
  await channel.write([encodeServerHeader({ blockSize: 4096, keyLength: der.length }), der]);
  await soon(channel.read(identity.keyPair.privateKey.modulusLength));
  await channel.end();
  const error = await connecting;
  assertInstanceOf(error, TransportError);
  assertEquals(error.code, "TERMINATED");
  assertEquals(await soon(channel.read(1)), null);
});

for (const known of [false, true]) {
  Deno.test(`connecting with large blocks is aborted at any step, ${known ? "" : "not "}known before`, async () => {
    for (let steps = 0; steps < (known ? 2 : 4); steps++) {
      await using server = await FakeServer.start("memory", ["blocks1"]);
      const knownServers = new Map(known ? [[formatAddress(server.address), ["blocks1"]]] : []);
      const control = new AbortController();
      const options = { blockSize: large, knownServers, signal: control.signal } as const;
      const connecting = rejection(server.connect(options));
      let channel = await server.accept();
      if (steps >= 2) {
        await FakePeer.handshake(channel, server.extensions);
        channel = await server.accept();
      }
      if (steps % 2 === 1) {
        await channel.write([encodeServerHeader({ blockSize: 4096, keyLength: der.length }), der]);
        await soon(channel.read(identity.keyPair.privateKey.modulusLength));
      }
      control.abort(reason);
      assertEquals(await connecting, reason);
      assertEquals(await soon(channel.read(1).catch(() => null)), null);
    }
  });
}

Deno.test("forward secrecy is required of the connection that stays", async () => {
  await using server = await startServer({ extensions: ["blocks1"] });
  const error = await rejection(connect(server, "memory", { blockSize: large, forwardSecrecy: "required" }));
  assertInstanceOf(error, TransportError);
  assertEquals(error.code, "FORWARD_SECRECY");
  await until(() => server.gauges().connections === 0);
});

Deno.test("a connection whose large blocks come without end lets all others have their turn", async () => {
  const end = performance.now() + 20_000;
  const closed = deferred<void>();
  const blocks = {
    blockSize: 65536,
    binding: new Uint8Array(32),
    readLent: () => Promise.resolve(performance.now() < end ? new Uint8Array(1) : null),
    close: () => Promise.resolve(),
  } as unknown as BlockChannel;
  const connection = new Connection(blocks, {
    limits: { commandTimeout: 1000, keepAliveInterval: 1e6, keepAliveCount: 1, inFlight: 1, waiting: 1 },
    events: { notified() {}, closed: () => closed.resolve() },
    canOpen: false,
  });
  const timer = deferred<void>();
  const id = setTimeout(timer.resolve, 1);
  const first = await Promise.race([timer.promise.then(() => "timer"), closed.promise.then(() => "closed")]);
  clearTimeout(id);
  assertEquals(first, "timer");
  await connection.close(reason);
});
