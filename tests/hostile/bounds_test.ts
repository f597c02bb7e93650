// @ts-types="@types/ws"
import { WebSocket } from "ws";
import { assert, assertEquals } from "@std/assert";
import { type BlockChannel, clientHandshake, connectTcp, connectWebSocket } from "../../mod.ts";
import { textBytes } from "../../protocol/bytes.ts";
import type { SmpServer } from "../../server/mod.ts";
import { WsChannel } from "../../server/websocket_listener.ts";
import { connect, startServer } from "../support/server.ts";
import { patience, soon, until } from "../support/wait.ts";

const ping = textBytes(" 1  PING ");

async function openTcp(server: SmpServer): Promise<BlockChannel> {
  return await clientHandshake(await connectTcp("127.0.0.1", server.port));
}

/** With the library `ws`, because the platform's WebSocket reads whether anybody wants it or not. */
async function openWebSocket(server: SmpServer): Promise<BlockChannel> {
  const socket = new WebSocket(`ws://127.0.0.1:${server.webSocketPort}/`);
  const channel = new WsChannel(socket);
  await soon(new Promise((resolve) => socket.once("open", resolve)));
  return await clientHandshake(channel);
}

for (const sent of [new Uint8Array(0), new Uint8Array(1), new Uint8Array(255)]) {
  Deno.test(`a peer that sends ${sent.length} bytes of its handshake is closed in time`, async () => {
    await using server = await startServer({ limits: { handshakeTimeout: 50 } });
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await connection.write(sent);
    let read: number | null = 0;
    while (read !== null) read = await soon(connection.read(new Uint8Array(1000)));
    await until(() => server.connections === 0);
    assertEquals(server.metrics.handshakesFailed, 1);
  });
}

Deno.test("a garbage handshake is closed without an answer", async () => {
  await using server = await startServer();
  const channel = await connectTcp("127.0.0.1", server.port);
  const header = (await channel.read(8))!;
  await channel.read(new DataView(header.buffer).getUint16(6));
  await channel.write([crypto.getRandomValues(new Uint8Array(256))]);
  assertEquals(await soon(channel.read(4096)), null);
  await channel.close();
  await until(() => server.metrics.handshakesFailed === 1);
});

Deno.test("connections above the limit are refused, and their places come back", async () => {
  await using server = await startServer({ limits: { connections: 2 } });
  const clients = [await connect(server), await connect(server)];
  await connect(server).then(() => assert(false), () => {});
  assertEquals(server.metrics.connectionsRefused, 1);
  await clients[0]!.close();
  await until(() => server.connections === 1);
  await (await connect(server)).ping();
  await server.stop();
});

for (const [name, open] of Object.entries({ TCP: openTcp, WebSocket: openWebSocket })) {
  Deno.test(`a peer over ${name} that does not read is held up, then closed, and holds up nobody`, async () => {
    await using server = await startServer({ limits: { writeTimeout: 300 } });
    await using client = await connect(server);
    const flood = await open(server);
    const flooding = (async () => {
      for (;;) await flood.write(Array(16).fill(ping));
    })().catch(() => "stopped");
    const end = performance.now() + patience;
    while (server.metrics.slowPeersClosed === 0) {
      assert(performance.now() < end, "the peer was not closed");
      await soon(client.ping());
    }
    await flood.close();
    assertEquals(await soon(flooding), "stopped");
    await until(() => server.connections === 1);
    await client.ping();
  });

  Deno.test(`a tampered block over ${name} gets one ERR BLOCK, then the end`, async () => {
    await using server = await startServer();
    const channel = name === "TCP"
      ? await connectTcp("127.0.0.1", server.port)
      : await connectWebSocket(`ws://127.0.0.1:${server.webSocketPort}/`);
    const blocks = await clientHandshake(channel);
    await channel.write(Array(8).fill(crypto.getRandomValues(new Uint8Array(4096))));
    const answer = (await soon(blocks.read()))!;
    assertEquals(answer.subarray(0, 13), textBytes("   ERR BLOCK "));
    assertEquals(await soon(blocks.read()), null);
    await channel.close();
    await until(() => server.connections === 0);
  });
}

Deno.test("a peer that stops writing still gets all its answers", async () => {
  await using server = await startServer();
  const blocks = await openTcp(server);
  await blocks.write(Array(100).fill(ping));
  await blocks.end();
  let answers = 0;
  while (await soon(blocks.read()) !== null) answers++;
  assertEquals(answers, 100);
  await blocks.close();
});

Deno.test("stopping closes connections in every state and leaves nothing", async () => {
  const server = await startServer();
  const silent = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const raw = await Deno.connect({ hostname: "127.0.0.1", port: server.webSocketPort! });
  const clients = [
    await connect(server),
    await connect(server, "websocket"),
    await connect(server, "memory"),
  ];
  await server.stop();
  for (const client of clients) assertEquals((await soon(client.closed)).code, "NETWORK");
  assertEquals(server.connections, 0);
  await Promise.all(clients.map((client) => client.close()));
  silent.close();
  raw.close();
});

for (
  const request of [
    "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    "garbage\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello",
  ]
) {
  Deno.test(`the WebSocket port answers ${JSON.stringify(request.slice(0, 7))} with an HTTP error`, async () => {
    await using server = await startServer();
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.webSocketPort! });
    await connection.write(textBytes(request));
    const buffer = new Uint8Array(1000);
    const count = await soon(connection.read(buffer));
    const text = new TextDecoder().decode(buffer.subarray(0, count ?? 0));
    assert(/^HTTP\/1\.1 4\d\d /.test(text), text);
  });
}
