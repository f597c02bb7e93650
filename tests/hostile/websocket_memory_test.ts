import { assert, assertEquals } from "@std/assert";
import { joinParts, textBytes } from "../../protocol/mod.ts";
import { TransportError } from "../../mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { frame, opcodes, RawClient, RawWebSocket } from "../support/raw_client.ts";
import { ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

const nothing = new Uint8Array(0);
const ini = `[METRICS]
port: 0
[LIMITS]
handshakes_per_ip: 0
handshakes_per_second_per_ip: 0
handshake_timeout_seconds: 600
write_timeout_seconds: 600
`;

/** `payload` in `count` frames, of which the last one is final unless the message does not end. */
function fragments(payload: Uint8Array<ArrayBuffer>, count: number, isWhole = true): Uint8Array<ArrayBuffer> {
  const size = Math.ceil(payload.length / count);
  return joinParts(Array.from({ length: count }, (_, i) => {
    const opcode = i === 0 ? opcodes.binary : opcodes.continuation;
    return frame(opcode, payload.slice(i * size, (i + 1) * size), isWhole && i === count - 1);
  }));
}

async function connected(server: SmpServer): Promise<{ socket: RawWebSocket; client: RawClient }> {
  const socket = await RawWebSocket.connect(server.webSocketPort!);
  return { socket, client: await RawClient.handshake(socket) };
}

Deno.test("a block in up to sixteen fragments is as good as another", async () => {
  await using server = await startServer();
  const { socket, client } = await connected(server);
  for (const count of [2, 16]) {
    await socket.writeBytes(fragments(await client.seal(` ${count}  PING `), count));
    assertEquals(await client.receive(), ` ${count}  PONG `);
  }
  await client[Symbol.asyncDispose]();
});

for (const [name, payload] of [["bytes", new Uint8Array(4096)], ["nothing", nothing]] as const) {
  Deno.test(`a message in seventeen fragments of ${name} ends the connection`, async () => {
    await using server = await startServer();
    const { socket, client } = await connected(server);
    await socket.writeBytes(fragments(payload, 17));
    assertEquals(await client.receive(), null);
    await client[Symbol.asyncDispose]();
    await until(() => server.connections === 0);
  });
}

Deno.test("a message just above the largest block gets ERR BLOCK, one far above closes the connection", async () => {
  await using server = await startServer();
  for (const [length, answer] of [[65_537, "   ERR BLOCK "], [131_072, null]] as const) {
    const { socket, client } = await connected(server);
    await socket.writeFrame(opcodes.binary, new Uint8Array(length)).catch(() => {});
    assertEquals(await client.receive().catch(() => null), answer);
    await client[Symbol.asyncDispose]();
  }
});

Deno.test("a payload that comes in very many pieces ends the connection", async () => {
  await using server = await startServer();
  const { socket, client } = await connected(server);
  let isEnded = false;
  const ended = client.receive().catch((error) => {
    if (!(error instanceof TransportError)) throw error;
    return null;
  }).finally(() => isEnded = true);
  const bytes = frame(opcodes.binary, new Uint8Array(65_536)).subarray(0, 4_000);
  let sent = 0;
  for (; sent < bytes.length && !isEnded; sent++) {
    await socket.writeBytes(bytes.subarray(sent, sent + 1)).catch(() => {});
    // The server has its turn, so that it gets each byte alone.
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assert(sent < bytes.length);
  assertEquals(await ended, null);
  await client[Symbol.asyncDispose]();
});

for (const [name, opcode] of [["pings", opcodes.ping], ["pongs", opcodes.pong]] as const) {
  Deno.test(`a flood of ${name} holds up nobody, and its connection is served after it`, async () => {
    await using server = await startServer();
    const { socket, client } = await connected(server);
    await using other = await RawClient.connect(server);
    const flood = joinParts(new Array(5000).fill(frame(opcode, nothing)));
    const sending = socket.writeBytes(flood);
    for (let i = 0; i < 20; i++) {
      await other.send(` ${i}  PING `);
      assertEquals(await other.receive(), ` ${i}  PONG `);
    }
    await soon(sending);
    await client.send(" 1  PING ");
    // Pings are answered before it.
    for (let i = 0; opcode === opcodes.ping && i < 5000; i++) await soon(socket.skipFrame());
    assertEquals(await client.receive(), " 1  PONG ");
    await client[Symbol.asyncDispose]();
  });
}

/** What a connection sends to fill memory, and does not bring to an end; after its handshake unless it has none. */
const attacks: readonly (readonly [string, Uint8Array<ArrayBuffer>, "handshake" | "no handshake"])[] = [
  ["fragments of a byte", fragments(new Uint8Array(16_000), 16_000, false), "handshake"],
  ["fragments of nothing", fragments(nothing, 16_000, false), "handshake"],
  ["empty messages", joinParts(new Array(16_000).fill(frame(opcodes.binary, nothing))), "handshake"],
  [
    "pings, with the pongs unread",
    joinParts(new Array(16_000).fill(frame(opcodes.ping, textBytes("x".repeat(125))))),
    "handshake",
  ],
  ["a message that does not end", frame(opcodes.binary, new Uint8Array(65_536)).slice(0, -1), "handshake"],
  ["fragments before the handshake", fragments(new Uint8Array(65_536), 16, false), "no handshake"],
];

/** MiB that a hundred attackers may cost the server, without garbage. */
const most = 32;

for (const [name, bytes, handshake] of attacks) {
  Deno.test(`a hundred connections with ${name} cost the server little memory`, async () => {
    await using folder = await temporaryFolder();
    await using server = await ServerProcess.start({
      folder: folder.path,
      ini,
      webSockets: true,
      script: "tests/support/collected_server.ts",
      env: { DENO_V8_FLAGS: "--expose-gc" },
    });
    const memory = async () => (await server.status()).gauges.memory / 2 ** 20;
    const sockets: RawWebSocket[] = [];
    for (let i = 0; i < 100; i++) {
      const socket = await RawWebSocket.connect(server.port("WebSockets"));
      if (handshake === "handshake") await RawClient.handshake(socket);
      sockets.push(socket);
    }
    const before = await memory();
    const sending = Promise.all(sockets.map((socket) => socket.writeBytes(bytes).catch(() => {})));
    let highest = 0;
    // Long enough for what a server takes at once; connections that are held up never finish.
    for (let i = 0; i < 8; i++) {
      await new Promise((resolve) => setTimeout(resolve, 75));
      highest = Math.max(highest, await memory());
    }
    for (const socket of sockets) await socket.close();
    await soon(sending);
    assert(highest - before < most, `from ${before} to ${highest} MiB`);
  });
}
