import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { parseAddress, textBytes } from "../../protocol/mod.ts";
import {
  type Channel,
  encodeServerHeader,
  memoryChannelPair,
  ParseError,
  SmpClient,
  type SmpClientOptions,
  tcpTransport,
  type Transport,
  TransportError,
  webSocketTransport,
} from "../../mod.ts";
import { FakePeer, FakeServer, rejection, turn } from "../support/fake_server.ts";
import { connect, identity, startServer, transportNames } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

const reason = new Error("never mind");
const { der } = identity.keyPair.publicKey;
const header = encodeServerHeader({ blockSize: 4096, keyLength: der.length });

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await rejection(promise);
  assertInstanceOf(error, TransportError);
  return error.code;
}

/** How far a server goes in the handshake before it falls silent. */
const stages: Readonly<Record<string, (channel: Channel) => Promise<unknown>>> = {
  "nothing": () => Promise.resolve(),
  "its header": (channel) => channel.write([header]),
  "its header and key": async (channel) => {
    await channel.write([header, der]);
    await soon(channel.read(identity.keyPair.privateKey.modulusLength));
  },
};
const tcpStages: typeof stages = {
  "half its header": (channel) => channel.write([header.slice(0, 4)]),
  "half its key": (channel) => channel.write([header, der.slice(0, 100)]),
  "half its welcome": async (channel) => {
    await channel.write([header, der]);
    await soon(channel.read(identity.keyPair.privateKey.modulusLength));
    await channel.write([new Uint8Array(2048)]);
  },
};

/** Waits for the end of a connection from the server's side. */
async function ended(channel: Channel): Promise<void> {
  const end = await soon(channel.read(1).catch((error) => error));
  assert(end === null || end instanceof TransportError, "the client has not closed the connection");
}

Deno.test("a client that was held up until the server waited for its handshake no more connects once more", async () => {
  /** Has so many of a client's connections held up before it takes the server's header. */
  const connectHeldUp = async (most: number) => {
    await using server = await startServer();
    let opened = 0;
    const transport: Transport = async (address, signal) => {
      const number = ++opened;
      // Who is not to be late has all the time that a busy machine needs.
      server.setLimits({ handshakeTimeout: number <= most ? 1_100 : 600_000 });
      const channel = await tcpTransport(address, signal);
      return {
        async read(size) {
          if (number <= most) await until(() => server.metrics.handshakesFailed === number);
          return await channel.read(size);
        },
        write: (units) => channel.write(units),
        end: () => channel.end(),
        close: () => channel.close(),
      };
    };
    const { host, port, keyHash } = parseAddress(server.address);
    const connecting = SmpClient.connect({ host, port: port!, keyHash: keyHash! }, { transport });
    const [result] = await soon(Promise.allSettled([connecting]));
    if (result!.status === "fulfilled") {
      await result!.value.ping();
      await result!.value.close();
    } else assert(["TERMINATED", "NETWORK"].includes(result!.reason.code), result!.reason);
    return [result!.status, opened];
  };
  assertEquals(await Promise.all([0, 1, 2].map(connectHeldUp)), [
    ["fulfilled", 1],
    ["fulfilled", 2],
    ["rejected", 2],
  ]);
});

for (const transport of transportNames) {
  const reached = { ...stages, ...(transport === "tcp" && tcpStages) };
  for (const [sent, run] of Object.entries(reached)) {
    Deno.test(`over ${transport}, connecting is aborted after the server sent ${sent}`, async () => {
      await using server = await FakeServer.start(transport);
      const control = new AbortController();
      const connecting = rejection(server.connect({ signal: control.signal }));
      const channel = await server.accept();
      await run(channel);
      await turn();
      control.abort(reason);
      assertEquals(await connecting, reason);
      await ended(channel);
    });

    Deno.test(`over ${transport}, connecting times out after the server sent ${sent}`, async () => {
      await using server = await FakeServer.start(transport);
      const connecting = rejection(server.connect({ connectTimeout: 250 }));
      const channel = await server.accept();
      // On a busy machine the time may be over before.
      await run(channel).catch(() => {});
      const error = await connecting;
      assertInstanceOf(error, TransportError);
      assertEquals(error.code, "TIMEOUT");
      assert(error.message.includes("250 ms"), error.message);
      await ended(channel);
    });

    Deno.test(`over ${transport}, a server that closes after ${sent} is TERMINATED`, async () => {
      await using server = await FakeServer.start(transport);
      const connecting = codeOf(server.connect({ transport: server.atMost(1) }));
      const channel = await server.accept();
      await run(channel);
      await channel.end();
      assertEquals(await connecting, "TERMINATED");
      await ended(channel);
    });
  }

  Deno.test(`over ${transport}, an aborted signal connects to nobody`, async () => {
    await using server = await startServer();
    assertEquals(await rejection(connect(server, transport, { signal: AbortSignal.abort(reason) })), reason);
    assertEquals(server.metrics.connectionsAccepted, 0);
  });

  Deno.test(`over ${transport}, a server with another key is BAD_HASH before it learns anything`, async () => {
    await using server = await FakeServer.start(transport);
    const keyHash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const connecting = codeOf(
      SmpClient.connect({ ...server.address, keyHash }, { transport: server.transport }),
    );
    const channel = await server.accept();
    await channel.write([header, der]);
    assertEquals(await connecting, "BAD_HASH");
    await ended(channel);
  });
}

Deno.test("a transport that hears the signal ends when it aborts, and one that comes late is closed", async () => {
  const control = new AbortController();
  const waiting = Promise.withResolvers<Channel>();
  let heard = false;
  const connecting = rejection(SmpClient.connect("localhost", {
    allowUnverified: true,
    signal: control.signal,
    transport: (_address, signal) => {
      signal.addEventListener("abort", () => heard = true);
      return waiting.promise;
    },
  }));
  control.abort(reason);
  assert(heard);
  let closed = false;
  const close = () => Promise.resolve(void (closed = true));
  const silent = () => new Promise<never>(() => {});
  waiting.resolve({ read: silent, write: silent, end: close, close });
  assertEquals(await connecting, reason);
  assert(closed);
});

Deno.test("a transport that does not hear the signal is given up, and its channel closed when it comes", async () => {
  const waiting = Promise.withResolvers<Channel>();
  const transport = () => waiting.promise;
  const connecting = SmpClient.connect("localhost", { allowUnverified: true, connectTimeout: 50, transport });
  assertEquals(await codeOf(connecting), "TIMEOUT");
  const [near, far] = memoryChannelPair();
  waiting.resolve(near);
  assertEquals(await soon(far.read(1)), null);
});

for (
  const [name, transport] of Object.entries({ tcp: tcpTransport, websocket: webSocketTransport })
) {
  Deno.test(`over ${name}, a port where nobody listens is NETWORK`, async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    listener.close();
    const address = { host: "127.0.0.1", port: listener.addr.port };
    assertEquals(await codeOf(SmpClient.connect(address, { transport, allowUnverified: true })), "NETWORK");
  });

  Deno.test(`over ${name}, a listener that does not accept is given up in time`, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const address = { host: "127.0.0.1", port: listener.addr.port };
    assertEquals(
      await codeOf(SmpClient.connect(address, { transport, connectTimeout: 50, allowUnverified: true })),
      "TIMEOUT",
    );
  });
}

Deno.test("an address without a key hash is refused before anything is opened, unless it is allowed", async () => {
  const error = await assertRejects(() => refused({ allowUnverified: false }), TransportError, 'add "#"');
  assertEquals(error.code, "BAD_HASH");
  await using server = await FakeServer.start();
  const { host, port } = server.address;
  const options = { transport: server.transport, allowUnverified: true };
  const connecting = SmpClient.connect({ host, port: port! }, options);
  await FakePeer.handshake(await server.accept());
  await using _client = await connecting;
});

/** Headers and keys that are not right, and the code of the error. */
const wrongs: readonly (readonly [string, string, readonly Uint8Array<ArrayBuffer>[]])[] = [
  ["a block size of 1", "HEADER", [encodeServerHeader({ blockSize: 1, keyLength: 294 })]],
  ["HTTP", "HEADER", [textBytes("HTTP/1.1")]],
  ["a key of 0 bytes", "HEADER", [encodeServerHeader({ blockSize: 4096, keyLength: 0 })]],
  ["a key of noughts", "RSA_KEY", [header, new Uint8Array(der.length)]],
];
for (const [sent, code, units] of wrongs) {
  Deno.test(`a server that sends ${sent} is ${code}`, async () => {
    await using server = await FakeServer.start();
    const { host, port } = server.address;
    const connecting = codeOf(
      SmpClient.connect({ host, port: port! }, { transport: server.transport, allowUnverified: true }),
    );
    const channel = await server.accept();
    await channel.write(units);
    assertEquals(await connecting, code);
    await ended(channel);
  });
}

Deno.test("connecting over TCP to the WebSocket port says that it may be the wrong one", async () => {
  await using server = await startServer({ limits: { handshakeTimeout: 100 } });
  const address = { host: "127.0.0.1", port: server.webSocketPort!, keyHash: server.keyHash };
  const error = await assertRejects(() => soon(SmpClient.connect(address)), TransportError);
  assertEquals(error.code, "TERMINATED");
  assert(error.message.includes("may not be an SMP port"), error.message);
});

Deno.test("connecting over TCP to a server that speaks HTTP says that it may be the wrong port", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answering = listener.accept().then(async (connection) => {
    await connection.write(textBytes("HTTP/1.1 408 Request Timeout\r\n\r\n"));
    connection.close();
  });
  const address = { host: "127.0.0.1", port: listener.addr.port };
  const connecting = SmpClient.connect(address, { allowUnverified: true });
  const error = await assertRejects(() => soon(connecting), TransportError);
  await answering;
  assertEquals(error.code, "HEADER");
  assert(error.message.includes("may not be an SMP port"), error.message);
});

/** Connects with options that cannot be; nothing may be opened. */
function refused(options: SmpClientOptions, address = "localhost"): Promise<SmpClient> {
  const transport = () => Promise.reject(new Error("a connection was opened"));
  return SmpClient.connect(address, { transport, allowUnverified: true, ...options });
}

const limits = [
  "connectTimeout",
  "commandTimeout",
  "keepAliveInterval",
  "keepAliveCount",
  "inFlight",
  "waiting",
];
for (const name of limits) {
  Deno.test(`option ${name} is a whole number of at least 1`, async () => {
    for (const value of [0, -1, 1.5, NaN, Infinity, "5", null]) {
      await assertRejects(() => refused({ [name]: value }), RangeError, name);
    }
  });
}

// A platform's timer runs at once when its time does not fit 31 bits.
for (const name of ["connectTimeout", "commandTimeout", "keepAliveInterval"] as const) {
  Deno.test(`option ${name} cannot be longer than a timer can be`, async () => {
    await assertRejects(() => refused({ [name]: 2 ** 31 }), RangeError, name);
  });
}

Deno.test("option blockSize is one that servers accept", async () => {
  for (const blockSize of [0, 4095, 5000, 131072, NaN]) {
    await assertRejects(() => refused({ blockSize }), RangeError, "blockSize");
  }
});

for (
  const address of ["", ":5223", "localhost:", "localhost:0", "localhost:x", "a b", "localhost#x", "a:1:2"]
) {
  Deno.test(`the address "${address}" is ParseError`, async () => {
    const error = await assertRejects(() => refused({}, address), ParseError);
    assertEquals(error.code, "ADDRESS");
  });
}

Deno.test("an empty key hash is not taken for none", async () => {
  await using server = await startServer();
  const address = { host: "127.0.0.1", port: server.port, keyHash: "" };
  await assertRejects(async () => await (await SmpClient.connect(address)).close(), Error);
});

Deno.test("a client can ask for another block size", async () => {
  await using server = await startServer();
  for (const blockSize of [4096, 8192, 65536]) {
    await using client = await connect(server, "tcp", { blockSize });
    await client.ping();
  }
});

// extensions.md Server to client
const welcomes: readonly (readonly [welcome: string, extensions: readonly string[]])[] = [
  ["0.3.2.0 ", []],
  ["0.3.2.0 ext=open1 ", ["open1"]],
  ["0.2.1.7 ext=open1,window1,unknown27 anything", ["open1", "window1", "unknown27"]],
  ["0.3.2.0 ext=open1", []],
  ["0.3.2.0 ext= ", []],
  ["0.3.2.0 ext=open1,open1 ", []],
  ["0.3.2.0  ext=open1 ", []],
  ["0.3.2.0 ext=Open1 ", []],
  ["0.3.2.0 ext=open ", []],
  ["0.3.2.0 ext=open1, ", []],
  ["0.3.2.0 ext=open1,\n ", []],
  [`0.3.2.0 ext=${Array(16).fill("o".repeat(31)).map((name, i) => `${name.slice(i)}1`).join(",")} `, "all"],
  [`0.3.2.0 ext=${Array.from({ length: 17 }, (_, i) => `o${i}`).join(",")} `, []],
  [`0.3.2.0 ext=${"o".repeat(32)}1 `, []],
  [`0.3.2.0 ${"x".repeat(4000)}`, []],
].map(([welcome, extensions]) => [
  welcome as string,
  extensions === "all" ? (welcome as string).slice(12, -1).split(",") : extensions as string[],
]);

Deno.test("a client knows the version and the extensions of the welcome, and takes any other list for none", async () => {
  for (const [welcome, extensions] of welcomes) {
    await using server = await FakeServer.start();
    const connecting = server.connect();
    const peer = await FakePeer.welcome(await server.accept(), welcome);
    await using client = await soon(connecting);
    assertEquals(client.extensions, extensions, welcome);
    assertEquals(client.protocolVersion, welcome.slice(0, 7));
    const ping = client.ping();
    await peer.answer(await peer.take(), { type: "PONG" });
    await soon(ping);
  }
});
