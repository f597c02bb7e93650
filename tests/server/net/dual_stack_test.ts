import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  secureWebSocketTransport,
  SmpClient,
  type Transport,
  webSocketTransport,
} from "../../../client/mod.ts";
import { type ServerAddress, SmpError, TransportError } from "../../../protocol/mod.ts";
import { listenAll } from "../../../server/net/accept_loop.ts";
import { lackOfIpv6, requiring } from "../../support/requires.ts";
import { startServer } from "../../support/server.ts";
import { keyOf } from "../../support/test_keys.ts";
import { until } from "../../support/wait.ts";

const test = requiring(lackOfIpv6());
const keyPair = await keyOf("client", "sign");

test("by default a port takes IPv4 and IPv6, over TCP and WebSocket", async () => {
  await using server = await startServer({ host: "::" });
  const { keyHash } = server;
  assert(server.address.startsWith(`localhost:${server.port}#`), server.address);
  for (const host of ["127.0.0.1", "::1", "localhost"]) {
    await using client = await SmpClient.connect({ host, port: server.port, keyHash });
    await client.ping();
    await using browser = await SmpClient.connect({ host, port: server.webSocketPort!, keyHash }, {
      transport: webSocketTransport,
    });
    await browser.ping();
  }
  await using client = await SmpClient.connect(`[::1]:${server.port}#${keyHash}`);
  await client.createQueue({ keyPair });
});

test("an address to listen on may stand in brackets, and the one that clients need is right", async () => {
  await using server = await startServer({ host: "[0::1]" });
  assert(server.address.startsWith(`[::1]:${server.port}#`), server.address);
  await using client = await SmpClient.connect(server.address);
  await client.ping();
  await using everywhere = await startServer({ host: "[::]" });
  assert(everywhere.address.startsWith("localhost:"), everywhere.address);
});

test("addresses with IPv6 lead to the right URL and are told in brackets", async () => {
  const at = async (transport: Transport, server: ServerAddress) => {
    const error = await assertRejects(
      () => SmpClient.connect(server, { transport, allowUnverified: true }),
      TransportError,
    );
    return error.message;
  };
  // Nothing listens there.
  const server = { host: "::1", port: 1 };
  assert((await at(webSocketTransport, server)).includes("ws://[::1]:1/"));
  assert((await at(secureWebSocketTransport, server)).includes("wss://[::1]:1/"));
  const tcp = await assertRejects(
    () => SmpClient.connect("[::1]:1", { allowUnverified: true }),
    TransportError,
  );
  assert(tcp.message.startsWith("Cannot connect to [::1]:1: "), tcp.message);
});

test("an IPv4 client of a port for both counts as IPv4, and IPv6 by its own address", async () => {
  await using server = await startServer({
    host: "::",
    limits: { connectionsPerIp: 2 },
    create: { addresses: ["127.0.0.0/8"] },
  });
  const { port, keyHash, metrics } = server;
  const connect = (host: string) => SmpClient.connect({ host, port, keyHash });
  await using first = await connect("127.0.0.1");
  await first.createQueue({ keyPair });
  await using second = await connect("127.0.0.1");
  await assertRejects(() => connect("127.0.0.1"), TransportError);
  assertEquals(metrics.refusals("connections_per_ip"), 1);
  await using third = await connect("::1");
  await assertRejects(() => third.createQueue({ keyPair }), SmpError, "AUTH");
  await using fourth = await connect("::1");
  await assertRejects(() => connect("::1"), TransportError);
  await Promise.all([second.ping(), third.ping(), fourth.ping()]);
  assertEquals(metrics.refusals("connections_per_ip"), 2);
  await second.close();
  await until(() => server.connections === 3);
  await using again = await connect("127.0.0.1");
  await again.ping();
});

/** Listens on nothing; `refuse` says what the system does not have. */
function fakeListen(refuse: (options: Deno.TcpListenOptions) => Error | null) {
  const asked: string[] = [];
  const listen = (options: Deno.TcpListenOptions) => {
    const { hostname, port } = options;
    const error = refuse(options);
    asked.push(`${hostname} ${port} ${error === null ? "has" : "not"}`);
    if (error !== null) throw error;
    const close = () => void asked.push(`${hostname} closed`);
    return { addr: { hostname, port: port || 1234, transport: "tcp" }, close } as Deno.TcpListener;
  };
  return { asked, listen, isIpv6Alone: () => false };
}

const missing = () => Object.assign(new Error("Address family not supported"), { code: "EAFNOSUPPORT" });
const inUse = () => new Deno.errors.AddrInUse("Address already in use");

Deno.test(
  "all addresses are those that the system has, by one socket or two",
  { permissions: "none" },
  () => {
    const cases = {
      "one socket for both": [({ hostname }) => hostname === "::" ? null : inUse(), [
        ":: 0 has",
        "0.0.0.0 1234 not",
      ]],
      "two sockets": [() => null, [":: 0 has", "0.0.0.0 1234 has"]],
      "no IPv6": [({ hostname }) => hostname === "::" ? missing() : null, [":: 0 not", "0.0.0.0 0 has"]],
      "IPv6 switched off": [
        ({ hostname }) => hostname === "::" ? new Deno.errors.AddrNotAvailable() : null,
        [":: 0 not", "0.0.0.0 0 has"],
      ],
    } satisfies Record<
      string,
      readonly [(options: Deno.TcpListenOptions) => Error | null, readonly string[]]
    >;
    for (const [name, [refuse, expected]] of Object.entries(cases)) {
      const { asked, ...ports } = fakeListen(refuse);
      const listeners = listenAll({ host: "::", port: 0 }, ports);
      assertEquals(asked, expected, name);
      assertEquals(listeners.length, expected.filter((line) => line.endsWith("has")).length, name);
      assertEquals(new Set(listeners.map(({ addr }) => addr.port)), new Set([1234]), name);
    }
  },
);

Deno.test("a port that cannot be had is told, and another address is listened on as it is", {
  permissions: "none",
}, () => {
  const refused = [inUse, missing] as const;
  for (const error of refused) {
    const ports = fakeListen(error);
    const thrown = assertThrows(() => listenAll({ host: "::", port: 5 }, ports), TransportError);
    const where = error === inUse ? "[::]:5" : "0.0.0.0:5";
    assert(thrown.message.startsWith(`Cannot listen on ${where}: `), thrown.message);
  }
  for (const host of ["0.0.0.0", "::1", "localhost"]) {
    const { asked, ...ports } = fakeListen(() => null);
    assertEquals([listenAll({ host, port: 5, reusePort: true }, ports).length, asked], [1, [
      `${host} 5 has`,
    ]]);
    assertThrows(
      () => listenAll({ host, port: 5 }, fakeListen(missing)),
      TransportError,
      "Cannot listen on ",
    );
  }
});

Deno.test("where IPv6 takes no IPv4 the port is refused that another program has there", {
  permissions: "none",
}, () => {
  const { asked, ...ports } = fakeListen(({ hostname }) => hostname === "::" ? null : inUse());
  const listen = () => listenAll({ host: "::", port: 5 }, { ...ports, isIpv6Alone: () => true });
  const { message } = assertThrows(listen, TransportError);
  assert(message.startsWith("Cannot listen on 0.0.0.0:5: "), message);
  assertEquals(asked, [":: 5 has", "0.0.0.0 5 not", ":: closed"]);
});
