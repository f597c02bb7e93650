import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { textBytes } from "../../protocol/mod.ts";
import { memoryChannelPair } from "../../mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { RawClient, upgradeRequest } from "../support/raw_client.ts";
import { startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

function dial(server: SmpServer): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port: server.webSocketPort! });
}

/** What the server sends until it closes the connection. */
async function readAll(connection: Deno.TcpConn): Promise<string> {
  let text = "";
  const buffer = new Uint8Array(4096);
  try {
    for (let count; (count = await soon(connection.read(buffer))) !== null;) {
      text += new TextDecoder().decode(buffer.subarray(0, count));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
  return text;
}

async function serves(server: SmpServer): Promise<void> {
  await using client = await RawClient.connect(server, "websocket");
  await client.send(" 1  PING ");
  assertEquals(await client.receive(), " 1  PONG ");
}

const upgrade = upgradeRequest("/");
const requests: readonly (readonly [string, string, RegExp])[] = [
  ["a plain GET", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", /^HTTP\/1\.1 200 /],
  ["a GET of another path", "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", /^HTTP\/1\.1 426 /],
  ["a POST", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", /^HTTP\/1\.1 426 /],
  [
    "a POST that never ends",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\nhello",
    /^HTTP\/1\.1 4/,
  ],
  ["garbage", "\0\x01\x02garbage\r\n\r\n", /^HTTP\/1\.1 400 /],
  ["a TLS hello", "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", /^HTTP\/1\.1 400 |^$/],
  ["half a request", "GET / HTTP/1.1\r\nHo", /^(HTTP\/1\.1 4.*)?$/s],
  ["headers without end", `GET / HTTP/1.1\r\n${"x: y\r\n".repeat(20_000)}`, /^HTTP\/1\.1 4|^$/],
  ["nothing", "", /^$/],
  ["an upgrade on another path", upgradeRequest("/other"), /^HTTP\/1\.1 404 /],
  ["an upgrade to something else", upgrade.replace("Upgrade: websocket", "Upgrade: h2c"), /^HTTP\/1\.1 400 /],
  ["an upgrade without key", upgrade.replace(/Sec-WebSocket-Key.*\r\n/, ""), /^HTTP\/1\.1 400 /],
  ["an upgrade of version 7", upgrade.replace("Version: 13", "Version: 7"), /^HTTP\/1\.1 4/],
];

for (const [name, request, answer] of requests) {
  Deno.test(`on the WebSocket port, ${name} ends with an HTTP error at most`, async () => {
    await using server = await startServer({ limits: { handshakeTimeout: 1_000 } });
    using connection = await dial(server);
    await connection.write(textBytes(request));
    assert(answer.test(await readAll(connection)));
    assertEquals(server.connections, 0);
    server.setLimits({ handshakeTimeout: 60_000 });
    await serves(server);
  });

  Deno.test(`on the WebSocket port, ${name} does not keep the server from stopping`, async () => {
    const server = await startServer({ limits: { handshakeTimeout: 60_000 } });
    using connection = await dial(server);
    await connection.write(textBytes(request));
    await serves(server);
    await soon(server.stop());
    await readAll(connection);
  });

  Deno.test(`on the WebSocket port, ${name} and a reset leave nothing`, async () => {
    await using server = await startServer({ limits: { handshakeTimeout: 60_000 } });
    for (let i = 0; i < 5; i++) {
      using connection = await dial(server);
      await connection.write(textBytes(request));
      // Closing with the answer unread resets the connection.
      await serves(server);
    }
    await until(() => server.connections === 0 && server.gauges().handshakes === 0);
  });
}

for (const limit of ["connections", "handshakes", "handshakesPerIp"] as const) {
  for (const [name, sent] of [["nothing", ""], ["half an upgrade", upgrade.slice(0, 30)]] as const) {
    Deno.test(`sockets that fill ${limit} and send ${name} keep nobody off the WebSocket port`, async () => {
      await using server = await startServer({ limits: { [limit]: 5, handshakeTimeout: 600_000 } });
      const silent: Deno.TcpConn[] = [];
      for (let i = 0; i < 20; i++) {
        const connection = await dial(server);
        silent.push(connection);
        await connection.write(textBytes(sent)).catch(() => {});
      }
      await serves(server);
      assertEquals(await Promise.all(silent.slice(0, 16).map(readAll)), new Array(16).fill(""));
      for (const connection of silent) connection.close();
      await until(() => server.gauges().handshakes === 0);
    });
  }
}

Deno.test("sockets that never upgrade count by their address, and nobody else pays", async () => {
  await using server = await startServer({ limits: { handshakesPerSecondPerIp: 1, handshakesPerIp: 3 } });
  const silent = await Promise.all(Array.from({ length: 30 }, () => dial(server)));
  const refused = () => server.metrics.refusals("handshake_rate");
  const displaced = () => server.metrics.refusals("handshakes_per_ip");
  await until(() => refused() + displaced() === 27);
  // Another one may come in each second that the connections take on a busy machine.
  assert(refused() > 0 && displaced() >= 7);
  assertEquals(server.gauges().handshakes, 3);
  const [clientEnd, serverEnd] = memoryChannelPair();
  void server.handle(serverEnd, { address: "10.0.0.1" });
  await using _other = await RawClient.handshake(clientEnd);
  for (const connection of silent) connection.close();
  await until(() => server.gauges().handshakes === 0);
});

Deno.test("sockets of a trusted proxy count by the address it tells, from when it tells it", async () => {
  const limits = { handshakesPerIp: 2, handshakeTimeout: 600_000 };
  await using server = await startServer({ trustForwardedFor: true, limits });
  // As many as a proxy has open before it knows what its clients want.
  const silent = await Promise.all(Array.from({ length: 20 }, () => dial(server)));
  await serves(server);
  assertEquals([server.metrics.refusals("handshakes_per_ip"), server.gauges().handshakes], [0, 0]);
  // A /48 has four times the places of an address, however many of its /64s connect.
  const many: Deno.TcpConn[] = [];
  for (let i = 0; i < 20; i++) {
    const connection = await dial(server);
    const header = `X-Forwarded-For: 2001:db8:1:${(i * 257).toString(16)}::1`;
    await connection.write(textBytes(upgrade.replace("\r\n", `\r\n${header}\r\n`)));
    many.push(connection);
  }
  await until(() => server.metrics.refusals("handshakes_per_ip") === 12);
  assertEquals(server.gauges().handshakes, 8);
  await serves(server);
  for (const connection of [...silent, ...many]) connection.close();
  await until(() => server.connections === 0);
});

Deno.test("connections that never upgrade are bounded, and closed after handshakeTimeout", async () => {
  await using server = await startServer({ limits: { connections: 4, handshakeTimeout: 300 } });
  const silent = await Promise.all(Array.from({ length: 20 }, () => dial(server)));
  const texts = await Promise.all(silent.map(readAll));
  assertEquals(texts, silent.map(() => ""));
  for (const connection of silent) connection.close();
  server.setLimits({ handshakeTimeout: 60_000 });
  await serves(server);
});

Deno.test("an upgrade of one byte at a time is closed after handshakeTimeout", async () => {
  await using server = await startServer({ limits: { handshakeTimeout: 300 } });
  using connection = await dial(server);
  let sent = 0;
  const writing = (async () => {
    for (; sent < upgrade.length - 1; sent++) {
      await connection.write(textBytes(upgrade[sent]!));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })().catch(() => {});
  await readAll(connection);
  await writing;
  assert(sent < upgrade.length - 1);
});

Deno.test("an upgrade and the first message in one segment are taken", async () => {
  await using server = await startServer();
  using connection = await dial(server);
  // A ping frame, masked with noughts, whose answer shows that it was read.
  const ping = [0x89, 0x82, 0, 0, 0, 0, 0x68, 0x69];
  await connection.write(new Uint8Array([...textBytes(upgrade), ...ping]));
  let text = "";
  const buffer = new Uint8Array(4096);
  while (!text.includes("\x8a\x02hi")) {
    const count = await soon(connection.read(buffer));
    if (count === null) break;
    text += String.fromCharCode(...buffer.subarray(0, count));
  }
  assertStringIncludes(text, "\x8a\x02hi");
});

Deno.test("a WebSocket that ends without a closing frame is forgotten", async () => {
  await using server = await startServer();
  const client = await RawClient.connect(server, "websocket");
  assertEquals(server.connections, 1);
  await client.channel.end();
  await until(() => server.connections === 0);
  await client[Symbol.asyncDispose]();
});
