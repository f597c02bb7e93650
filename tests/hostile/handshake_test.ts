import { assert, assertEquals } from "@std/assert";
import { joinParts, randomBytes } from "../../protocol/mod.ts";
import {
  type Channel,
  decodePublicKey,
  encodeClientHandshake,
  encryptOaep,
  TransportError,
} from "../../mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { turn } from "../support/fake_server.ts";
import {
  openChannel,
  RawClient,
  readServerKey,
  type SocketName,
  socketNames,
} from "../support/raw_client.ts";
import { connect, startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

const rsaLength = 256;

/** Waits until the server has closed a connection, whatever it still sends. */
async function closed(channel: Channel): Promise<void> {
  try {
    while (await soon(channel.read(1)) !== null);
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
  } finally {
    await channel.close();
  }
}

/** A client handshake encrypted for a server, with anything as its content. */
async function encrypted(
  key: Uint8Array<ArrayBuffer>,
  content: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  return await encryptOaep(decodePublicKey(key), content);
}

function contentOf(blockSize: number, protocol = 0): Uint8Array<ArrayBuffer> {
  const keys = {
    sndKey: randomBytes(32),
    sndBaseIv: randomBytes(16),
    rcvKey: randomBytes(32),
    rcvBaseIv: randomBytes(16),
  };
  const content = encodeClientHandshake({ blockSize, keys });
  new DataView(content.buffer).setUint16(4, protocol);
  return content;
}

/** What a peer may send instead of its handshake, given the server's key. */
const garbage: Readonly<
  Record<string, (key: Uint8Array<ArrayBuffer>) => Promise<Uint8Array<ArrayBuffer>>>
> = {
  "random bytes": () => Promise.resolve(randomBytes(rsaLength)),
  "noughts": () => Promise.resolve(new Uint8Array(rsaLength)),
  "a number above the modulus": () => Promise.resolve(new Uint8Array(rsaLength).fill(0xff)),
  "an empty content": (key) => encrypted(key, new Uint8Array(0)),
  "a byte too few": (key) => encrypted(key, contentOf(4096).slice(0, 101)),
  "a byte too many": (key) => encrypted(key, joinParts([contentOf(4096), new Uint8Array(1)])),
  "another protocol": (key) => encrypted(key, contentOf(4096, 1)),
  "block size 0": (key) => encrypted(key, contentOf(0)),
  "block size 4095": (key) => encrypted(key, contentOf(4095)),
  "block size 131072": (key) => encrypted(key, contentOf(131072)),
  "block size 2^32 - 1": (key) => encrypted(key, contentOf(2 ** 32 - 1)),
};

async function serves(server: SmpServer): Promise<void> {
  await using client = await soon(connect(server));
  await soon(client.ping());
}

for (const socket of socketNames) {
  for (const [sent, make] of Object.entries(garbage)) {
    Deno.test(`over ${socket}, ${sent} for a handshake closes the connection without an answer`, async () => {
      await using server = await startServer();
      const channel = await openChannel(server, socket);
      await channel.write([await make(await readServerKey(channel))]);
      assertEquals(await soon(channel.read(1).catch(() => null)), null);
      await channel.close();
      await until(() => server.connections === 0);
      assertEquals(server.metrics.handshakesFailed, 1);
      await serves(server);
    });
  }

  for (const sent of [0, 1, 255]) {
    Deno.test(`over ${socket}, a peer that stops after ${sent} bytes is closed after handshakeTimeout`, async () => {
      await using server = await startServer({ limits: { handshakeTimeout: 1_000 } });
      const channel = await openChannel(server, socket);
      await readServerKey(channel);
      // A WebSocket message of another length is refused at once.
      if (sent > 0) await channel.write([new Uint8Array(sent)]);
      await closed(channel);
      await until(() => server.connections === 0);
      assertEquals(server.metrics.handshakesFailed, 1);
    });
  }

  Deno.test(`over ${socket}, connections above the limit are refused, the others are served`, async () => {
    const [limit, flood] = [5, 30];
    await using server = await startServer({ limits: { connections: limit, handshakeTimeout: 60_000 } });
    const served = await Promise.all(Array.from({ length: limit }, () => RawClient.connect(server, socket)));
    for (let i = 0; i < flood; i++) await refused(server, socket);
    assertEquals(server.connections, limit);
    assertEquals([server.metrics.connectionsAccepted, server.metrics.refusals("connections")], [
      limit,
      flood,
    ]);
    for (const client of served) {
      await client.send(" 1  PING ");
      assertEquals(await client.receive(), " 1  PONG ");
    }
    for (const client of served.splice(0, 2)) await client[Symbol.asyncDispose]();
    await until(() => server.connections === limit - 2);
    for (let i = 0; i < 2; i++) served.push(await RawClient.connect(server, socket));
    assertEquals(server.connections, limit);
    await Promise.all(served.map((client) => client[Symbol.asyncDispose]()));
  });

  for (const limit of ["connections", "handshakes", "handshakesPerIp"] as const) {
    Deno.test(`over ${socket}, peers that fill ${limit} and say nothing keep nobody out`, async () => {
      await using server = await startServer({ limits: { [limit]: 5, handshakeTimeout: 600_000 } });
      const silent: Channel[] = [];
      for (let i = 0; i < 20; i++) {
        silent.push(await openChannel(server, socket));
        await readServerKey(silent[i]!);
      }
      await using client = await RawClient.connect(server, socket);
      await client.send(" 1  PING ");
      assertEquals(await client.receive(), " 1  PONG ");
      // The oldest have gone.
      for (const channel of silent.splice(0, 16)) await closed(channel);
      for (const channel of silent) await channel.close();
      await until(() => server.connections === 1);
    });
  }
}

/** Connects and is refused. */
async function refused(server: SmpServer, socket: SocketName): Promise<void> {
  let channel;
  try {
    channel = await openChannel(server, socket);
  } catch {
    // Before there was a WebSocket.
    return;
  }
  await closed(channel);
}

/** A connection that has got the server's key and says nothing. */
async function holder(server: SmpServer, socket: SocketName): Promise<AsyncDisposable> {
  const channel = await openChannel(server, socket);
  await readServerKey(channel);
  return { [Symbol.asyncDispose]: () => channel.close() };
}

Deno.test("a handshake of one byte at a time is closed after handshakeTimeout", async () => {
  await using server = await startServer({ limits: { handshakeTimeout: 300 } });
  const channel = await openChannel(server, "tcp");
  const handshake = await encrypted(await readServerKey(channel), contentOf(4096));
  let sent = 0;
  const writing = (async () => {
    for (; sent < rsaLength - 1; sent++) {
      await channel.write([handshake.subarray(sent, sent + 1)]);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })().catch(() => {});
  await closed(channel);
  await writing;
  assertEquals([sent < rsaLength - 1, server.metrics.handshakesFailed], [true, 1]);
});

Deno.test("a handshake of one byte at a time within handshakeTimeout is as good as another", async () => {
  await using server = await startServer();
  const channel = await openChannel(server, "tcp");
  const slow: Channel = {
    read: (size) => channel.read(size),
    async write(units) {
      for (const unit of units) {
        for (const byte of unit) {
          await channel.write([new Uint8Array([byte])]);
          if (byte % 16 === 0) await turn();
        }
      }
    },
    end: () => channel.end(),
    close: () => channel.close(),
  };
  await using client = await RawClient.handshake(slow);
  await client.send(" 1  PING ");
  assertEquals(await client.receive(), " 1  PONG ");
});

Deno.test("peers that do not shake hands hold up nobody", async () => {
  await using server = await startServer();
  const held = await Promise.all(Array.from({ length: 200 }, () => holder(server, "tcp")));
  await serves(server);
  await Promise.all(held.map((connection) => connection[Symbol.asyncDispose]()));
  await until(() => server.connections === 0);
  assertEquals(server.metrics.handshakesFailed, held.length);
});

Deno.test("silent connections of an address end for those that come after, and keep nobody out", async () => {
  await using server = await startServer({ limits: { handshakesPerIp: 5, handshakeTimeout: 60_000 } });
  const silent: Deno.TcpConn[] = [];
  for (let i = 0; i < 20; i++) silent.push(await Deno.connect({ hostname: "127.0.0.1", port: server.port }));
  await using client = await connect(server);
  await client.ping();
  assert(server.metrics.refusals("handshakes_per_ip") >= 15);
  for (const connection of silent) connection.close();
  await until(() => server.connections === 1);
});

/** Shakes hands with a server over TCP, with something to do around the handshake's being sent. */
async function handshake(
  server: SmpServer,
  around: (send: () => Promise<void>) => Promise<void>,
): Promise<RawClient> {
  const channel = await openChannel(server, "tcp");
  let hasSent = false;
  return await RawClient.handshake({
    read: (size) => channel.read(size),
    async write(units) {
      const isFirst = !hasSent;
      hasSent = true;
      if (isFirst) await around(() => channel.write(units));
      else await channel.write(units);
    },
    end: () => channel.end(),
    close: () => channel.close(),
  });
}

async function answers(client: RawClient): Promise<void> {
  await client.send(" 1  PING ");
  assertEquals(await client.receive(), " 1  PONG ");
}

Deno.test("a handshake that came in time is served, though the server's own work on it goes on longer", async () => {
  const handshakeTimeout = 2_000;
  const pause = (part: number) => new Promise((resolve) => setTimeout(resolve, part * handshakeTimeout));
  const isNew = () => pause(0.75).then(() => true);
  await using server = await startServer({ limits: { handshakeTimeout }, replayGuard: { isNew } });
  await using client = await handshake(server, (send) => pause(0.5).then(send));
  await answers(client);
});

Deno.test("a server that did not run for handshakeTimeout reads what came meanwhile", async () => {
  const handshakeTimeout = 1_000;
  await using server = await startServer({ limits: { handshakeTimeout } });
  await using client = await handshake(server, async (send) => {
    await send();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, handshakeTimeout);
  });
  await answers(client);
});
