import { assert, assertEquals, assertMatch } from "@std/assert";
import { type AddressInfo, connect as connectNet, createServer, type Socket } from "node:net";
import { textBytes } from "../../protocol/mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { RawClient, RawWebSocket, upgradeRequest } from "../support/raw_client.ts";
import { startServer } from "../support/server.ts";
import { dialTls } from "../support/tls.ts";
import { soon, until } from "../support/wait.ts";

function dial(server: SmpServer): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port: server.tlsPort! });
}

/** Reads until the server closes the connection, by an end or a reset; gives how many bytes came. */
async function untilClosed(connection: Deno.Conn): Promise<number> {
  const buffer = new Uint8Array(4096);
  let length = 0;
  try {
    for (let count; (count = await soon(connection.read(buffer))) !== null;) length += count;
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
  return length;
}

/** A connection over TLS: on a busy machine the time for a handshake may be over before that of TLS is. */
async function dialInTime(server: SmpServer): Promise<Deno.TlsConn> {
  let connection: Deno.TlsConn | null = null;
  await until(async () => (connection = await dialTls(server.tlsPort!).catch(() => null)) !== null);
  return connection!;
}

async function serves(server: SmpServer): Promise<void> {
  await using client = await RawClient.connect(server, "tls");
  await client.send(" 1  PING ");
  assertEquals(await client.receive(), " 1  PONG ");
}

/** The first record of a client, as far as a peer sends it: its header promises 508 bytes. */
const hello = "\x16\x03\x01\x01\xfc\x01\x00\x01\xf8\x03\x03";

const sendings: readonly (readonly [string, string])[] = [
  ["nothing", ""],
  ["half a client hello", hello],
  ["garbage", "\0\x01\x02garbage\r\n\r\n"],
  ["a request without TLS", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
  ["a record that is too long", "\x16\x03\x01\xff\xff" + "x".repeat(70_000)],
];

for (const [name, sent] of sendings) {
  Deno.test(`on the TLS port, ${name} ends without an answer in the time for a handshake`, async () => {
    await using server = await startServer({ limits: { handshakeTimeout: 500 } });
    using connection = await dial(server);
    await connection.write(textBytes(sent)).catch(() => {});
    // An alert of TLS at most.
    assert(await untilClosed(connection) <= 7);
    await until(() => server.gauges().handshakes === 0);
    server.setLimits({ handshakeTimeout: 60_000 });
    await serves(server);
  });

  Deno.test(`on the TLS port, ${name} does not keep the server from stopping`, async () => {
    const server = await startServer({ limits: { handshakeTimeout: 60_000 } });
    using connection = await dial(server);
    await connection.write(textBytes(sent)).catch(() => {});
    await serves(server);
    await soon(server.stop());
    await untilClosed(connection);
  });

  Deno.test(`on the TLS port, ${name} and a reset leave nothing`, async () => {
    await using server = await startServer({ limits: { handshakeTimeout: 60_000 } });
    for (let i = 0; i < 5; i++) {
      using connection = await dial(server);
      await connection.write(textBytes(sent)).catch(() => {});
      await serves(server);
    }
    await until(() => server.connections === 0 && server.gauges().handshakes === 0);
  });
}

for (const limit of ["connections", "handshakes", "handshakesPerIp"] as const) {
  for (const [name, sent] of sendings.slice(0, 2)) {
    Deno.test(`sockets that fill ${limit} and send ${name} keep nobody off the TLS port`, async () => {
      await using server = await startServer({ limits: { [limit]: 5, handshakeTimeout: 600_000 } });
      const silent: Deno.TcpConn[] = [];
      for (let i = 0; i < 20; i++) {
        const connection = await dial(server);
        silent.push(connection);
        await connection.write(textBytes(sent)).catch(() => {});
      }
      await serves(server);
      await Promise.all(silent.slice(0, 16).map(untilClosed));
      for (const connection of silent) connection.close();
      await until(() => server.gauges().handshakes === 0);
    });
  }
}

/** A port whose connections go on to another one until so many bytes have gone there; then they are reset. */
function resettingProxy(port: number, bytes: number) {
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    const server = connectNet(port, "127.0.0.1");
    let left = bytes;
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => {
        for (const one of [client, server]) one.destroy();
        sockets.delete(socket);
      });
    }
    client.on("data", (chunk: Uint8Array) => {
      server.write(chunk.subarray(0, left));
      left -= chunk.length;
      if (left > 0) return;
      // With what the server has sent unread.
      server.pause();
      setTimeout(() => {
        server.resetAndDestroy();
        client.resetAndDestroy();
      }, 1);
    });
    server.on("data", (chunk: Uint8Array) => void client.write(chunk));
  });
  const { promise: listening, resolve } = Promise.withResolvers<void>();
  proxy.listen(0, "127.0.0.1", resolve);
  return {
    listening,
    get port() {
      return (proxy.address() as AddressInfo).port;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}

Deno.test("a client over TLS that is reset anywhere in its handshakes leaves nothing", async () => {
  await using server = await startServer({ limits: { handshakeTimeout: 600_000, handshakesPerIp: 0 } });
  // The client hello, its end of the handshake, the upgrade and the handshake of SMP, cut in each of them.
  for (let bytes = 1; bytes < 1_800; bytes += 59) {
    await using proxy = resettingProxy(server.tlsPort!, bytes);
    await soon(proxy.listening);
    const client = RawWebSocket.connectTls(proxy.port);
    const failed = await soon(client.then(() => false, () => true));
    if (failed) continue;
    const channel = await client;
    await channel.write([new Uint8Array(1_000)]).catch(() => {});
    await soon(channel.read(1).catch(() => null));
    await channel.close();
  }
  await until(() => server.connections === 0 && server.gauges().handshakes === 0);
  await serves(server);
});

Deno.test("an upgrade over TLS of one byte at a time is closed after handshakeTimeout", async () => {
  await using server = await startServer({ limits: { handshakeTimeout: 500 } });
  using connection = await dialInTime(server);
  const upgrade = upgradeRequest("/");
  let sent = 0;
  const writing = (async () => {
    for (; sent < upgrade.length - 1; sent++) {
      await connection.write(textBytes(upgrade[sent]!));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  })().catch(() => {});
  await soon(connection.read(new Uint8Array(1000))).catch(() => {});
  await writing;
  assert(sent < upgrade.length - 1);
});

Deno.test("a peer over TLS that asks for pages and reads none is cut off", async () => {
  await using server = await startServer({ limits: { handshakeTimeout: 500 } });
  for (let i = 0; i < 20; i++) {
    using connection = await dialInTime(server);
    await connection.write(textBytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n")).catch(() => {});
  }
  await until(() => server.gauges().handshakes === 0);
  server.setLimits({ handshakeTimeout: 60_000 });
  await serves(server);
});

Deno.test("the page is whole, over TLS and without", async () => {
  await using server = await startServer();
  const asked = "GET / HTTP/1.1\r\nHost: chat.example.org:8443\r\n\r\n";
  for (const open of [() => dialTls(server.tlsPort!), () => Deno.connect({ port: server.webSocketPort! })]) {
    using connection: Deno.Conn = await open();
    await connection.write(textBytes(asked));
    let text = "";
    const buffer = new Uint8Array(65_536);
    for (let count; (count = await soon(connection.read(buffer))) !== null;) {
      text += new TextDecoder().decode(buffer.subarray(0, count));
    }
    assertMatch(text, /^HTTP\/1\.1 200 /);
    assertMatch(text, /content-security-policy: default-src 'none';/i);
    assert(text.includes(`<code>chat.example.org:${server.port}#${server.keyHash}</code>`), text);
    assertMatch(text, /<svg .*<\/svg>\n<\/body>\n<\/html>\n/s);
  }
});
