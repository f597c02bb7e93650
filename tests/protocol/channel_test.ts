// @ts-types="@types/ws"
import { WebSocket } from "ws";
import { assertEquals, assertRejects } from "@std/assert";
import {
  type Channel,
  connectTcp,
  connectWebSocket,
  memoryChannelPair,
  tcpChannel,
  type TcpConnection,
  TransportError,
} from "../../protocol/mod.ts";
import { textBytes } from "../../protocol/bytes.ts";
import { connectNode } from "../../protocol/transport/node_connection.ts";
import { defaultLimits } from "../../server/config/limits.ts";
import { listenWebSocket } from "../../server/net/websocket_listener.ts";
import { WsChannel } from "../../server/net/ws_channel.ts";
import { type ChannelPair, failureOf, testChannel, unitOf } from "../support/channel_contract.ts";
import { opcodes, RawWebSocket } from "../support/raw_client.ts";
import { lettingIn } from "../support/fake_server.ts";
import { soon } from "../support/wait.ts";

const hostname = "127.0.0.1";
const swap = (open: () => Promise<ChannelPair>) => async (): Promise<ChannelPair> => {
  const pair = await open();
  return { near: pair.far, far: pair.near, [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose]() };
};

/** The pair, which closes both ends and then whatever made them. */
function pairOf(near: Channel, far: Channel, release = () => Promise.resolve()): ChannelPair {
  return {
    near,
    far,
    async [Symbol.asyncDispose]() {
      await soon(Promise.all([near.close(), far.close()]));
      await soon(release());
    },
  };
}

function openMemory(): Promise<ChannelPair> {
  return Promise.resolve(pairOf(...memoryChannelPair()));
}

async function openTcp(): Promise<ChannelPair> {
  using listener = Deno.listen({ hostname, port: 0 });
  const [near, far] = await Promise.all([connectTcp(hostname, listener.addr.port), listener.accept()]);
  return pairOf(near, tcpChannel(far));
}

async function openNodeTcp(): Promise<ChannelPair> {
  using listener = Deno.listen({ hostname, port: 0 });
  const [near, far] = await Promise.all([connectNode(hostname, listener.addr.port), listener.accept()]);
  return pairOf(tcpChannel(near), tcpChannel(far));
}

/** Listens for one WebSocket; `connect` makes the other end. */
async function openWebSocket<T extends Channel>(
  connect: (port: number) => Promise<T>,
): Promise<{ client: T; server: Channel; release: () => Promise<void> }> {
  const accepted = Promise.withResolvers<Channel>();
  const listener = await listenWebSocket(hostname, 0, lettingIn(accepted.resolve), {
    limits: () => defaultLimits,
    trustForwardedFor: false,
  });
  const client = await connect(listener.port);
  return { client, server: await soon(accepted.promise), release: () => listener.close() };
}

async function openPlatformWebSocket(): Promise<ChannelPair> {
  const { client, server, release } = await openWebSocket((port) =>
    connectWebSocket(`ws://${hostname}:${port}/`)
  );
  return pairOf(client, server, release);
}

async function openWs(): Promise<ChannelPair> {
  const { client, server, release } = await openWebSocket(async (port) => {
    const socket = new WebSocket(`ws://${hostname}:${port}/`);
    const channel = new WsChannel(socket);
    await soon(new Promise((resolve) => socket.once("open", resolve)));
    return channel;
  });
  return pairOf(client, server, release);
}

testChannel("memory", openMemory, { messages: true, halfClose: true });
testChannel("TCP", openTcp, { messages: false, halfClose: true });
testChannel("TCP of Node", openNodeTcp, { messages: false, halfClose: true });
testChannel("TCP, the accepting end", swap(openTcp), { messages: false, halfClose: true });
testChannel("WebSocket", openPlatformWebSocket, { messages: true, halfClose: false, readsAhead: "near" });
testChannel("WebSocket, the server's end", swap(openPlatformWebSocket), {
  messages: true,
  halfClose: false,
  readsAhead: "far",
});
testChannel("WebSocket of ws", openWs, { messages: true, halfClose: false });
testChannel("WebSocket of ws, the server's end", swap(openWs), { messages: true, halfClose: false });

/** A connection that gives its bytes in given pieces and takes `atATime` of those that are written. */
function scripted(pieces: Uint8Array[], atATime = Infinity): TcpConnection & { readonly taken: number[] } {
  const taken: number[] = [];
  return {
    taken,
    read(buffer) {
      const piece = pieces[0];
      if (piece === undefined) return Promise.resolve(null);
      const count = Math.min(piece.length, buffer.length);
      buffer.set(piece.subarray(0, count));
      if (count === piece.length) pieces.shift();
      else pieces[0] = piece.subarray(count);
      return Promise.resolve(count);
    },
    write(bytes) {
      const count = Math.min(bytes.length, atATime);
      taken.push(...bytes.subarray(0, count));
      return Promise.resolve(count);
    },
    closeWrite: () => Promise.resolve(),
    close() {},
    setNoDelay() {},
  };
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 0));
const stream = unitOf(24, 1);
const sizes = [8, 1, 15];

async function readStream(channel: Channel): Promise<void> {
  let at = 0;
  for (const size of sizes) assertEquals(await soon(channel.read(size)), stream.slice(at, at += size));
  assertEquals(await soon(channel.read(1)), null);
}

Deno.test("TCP bytes split at any two offsets make the same units", { permissions: "none" }, async () => {
  for (let first = 0; first <= stream.length; first++) {
    for (let second = first; second <= stream.length; second++) {
      const pieces = [stream.slice(0, first), stream.slice(first, second), stream.slice(second)];
      await readStream(tcpChannel(scripted(pieces)));
    }
  }
});

Deno.test(
  "TCP bytes that end at any offset inside a unit are TERMINATED",
  { permissions: "none" },
  async () => {
    for (let length = 0; length <= 8; length++) {
      const read = tcpChannel(scripted([stream.slice(0, length)])).read(8);
      if (length === 0) assertEquals(await read, null);
      else if (length === 8) assertEquals(await read, stream.slice(0, 8));
      else assertEquals(await failureOf(read), "TERMINATED");
    }
  },
);

Deno.test(
  "TCP units that the system takes in pieces are written whole",
  { permissions: "none" },
  async () => {
    for (const atATime of [1, 3, 7, 23, 24]) {
      const connection = scripted([], atATime);
      await tcpChannel(connection).write([stream.slice(0, 8), stream.slice(8, 9), stream.slice(9)]);
      assertEquals(connection.taken, [...stream]);
    }
  },
);

Deno.test("TCP bytes that arrive one at a time make units", async () => {
  await using pair = await openTcp();
  const reading = readStream(pair.near);
  for (const byte of stream) {
    await pair.far.write([new Uint8Array([byte])]);
    await turn();
  }
  await pair.far.end();
  await reading;
});

Deno.test("hundreds of small TCP units in one write are read one by one", async () => {
  await using pair = await openTcp();
  const units = Array.from({ length: 500 }, (_, seed) => unitOf(1 + seed % 9, seed));
  await pair.far.write(units);
  for (const unit of units) assertEquals(await soon(pair.near.read(unit.length)), unit);
});

Deno.test("a WebSocket text message is BLOCK for the server", async () => {
  const { client, server, release } = await openWebSocket((port) => RawWebSocket.connect(port));
  await using _pair = pairOf(client, server, release);
  await client.write([unitOf(4, 1)]);
  await client.writeFrame(opcodes.text, textBytes("text"));
  assertEquals(await soon(server.read(4)), unitOf(4, 1));
  assertEquals(await failureOf(server.read(4)), "BLOCK");
});

Deno.test("a WebSocket text message is BLOCK for the client", async () => {
  await using server = Deno.serve({ hostname, port: 0, onListen() {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.onopen = () => socket.send("text");
    return response;
  });
  const client = await connectWebSocket(`ws://${hostname}:${server.addr.port}/`);
  assertEquals(await failureOf(client.read(4)), "BLOCK");
  await soon(client.close());
});

for (const [size, most] of [[1, 16_384], [65_536, 1024]] as const) {
  Deno.test(`a WebSocket that nobody reads is ended after ${most} messages of ${size} bytes`, async () => {
    await using pair = await openPlatformWebSocket();
    const unit = new Uint8Array(size);
    const flood = async () => {
      for (;; await turn()) await pair.far.write(Array(64).fill(unit));
    };
    assertEquals(await failureOf(flood()), "NETWORK");
    let count = 0;
    const drain = async () => {
      for (;; count++) await pair.near.read(size);
    };
    assertEquals([await failureOf(drain()), count], ["NETWORK", most]);
  });
}

const connectors = {
  TCP: (port: number, signal?: AbortSignal) => connectTcp(hostname, port, signal),
  WebSocket: (port: number, signal?: AbortSignal) => connectWebSocket(`ws://${hostname}:${port}/`, signal),
};

for (const [name, connect] of Object.entries(connectors)) {
  Deno.test(`${name}: connecting to a port that is closed is NETWORK`, async () => {
    const listener = Deno.listen({ hostname, port: 0 });
    listener.close();
    assertEquals(await failureOf(connect(listener.addr.port)), "NETWORK");
  });

  Deno.test(`${name}: connecting with an aborted signal rejects with its reason`, async () => {
    const reason = new Error("never mind");
    using listener = Deno.listen({ hostname, port: 0 });
    const connecting = () => connect(listener.addr.port, AbortSignal.abort(reason));
    assertEquals(await assertRejects(connecting, Error), reason);
  });
}

Deno.test("WebSocket: a server that never upgrades is given up with the signal's reason", async () => {
  using listener = Deno.listen({ hostname, port: 0 });
  const control = new AbortController();
  const connecting = connectors.WebSocket(listener.addr.port, control.signal);
  using _silent = await soon(listener.accept());
  const reason = new Error("too slow");
  control.abort(reason);
  assertEquals(await assertRejects(() => soon(connecting), Error), reason);
});

for (const status of [200, 404, 426]) {
  Deno.test(`WebSocket: a server that answers ${status} is NETWORK`, async () => {
    await using server = Deno.serve(
      { hostname, port: 0, onListen() {} },
      () => new Response("no", { status }),
    );
    const error = await assertRejects(() => soon(connectors.WebSocket(server.addr.port)), TransportError);
    assertEquals(error.code, "NETWORK");
  });
}
