import { assert, assertEquals, assertThrows } from "@std/assert";
import { generateKeyPair, SmpClient, SmpError } from "../../mod.ts";
import { memoryChannelPair, parseAddress, textBytes } from "../../protocol/mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { MemoryMessageStore } from "../../server/store/memory.ts";
import { RawClient, socketNames } from "../support/raw_client.ts";
import { connect, startServer, transportNames } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

const keyPair = await generateKeyPair("sign", 1024);

/** Connects as a client with another address than this machine's. */
function connectFrom(server: SmpServer, address: string): Promise<SmpClient> {
  const { host, keyHash } = parseAddress(server.address);
  return SmpClient.connect({ host, keyHash: keyHash! }, {
    transport: () => {
      const [clientEnd, serverEnd] = memoryChannelPair();
      server.handle(serverEnd, { address });
      return Promise.resolve(clientEnd);
    },
  });
}

/** The code of what a promise rejects with; "OK" when it does not. */
function codeOf(promise: Promise<unknown>): Promise<string> {
  return soon(promise.then(() => "OK", (error) => error instanceof SmpError ? error.code : error.name));
}

for (const transport of ["tcp", "websocket"] as const) {
  Deno.test(`over ${transport}, a client's connections are limited by its address, others' are not`, async () => {
    await using server = await startServer({ limits: { connectionsPerIp: 2 } });
    await using _one = await connect(server, transport);
    await using two = await connect(server, transport);
    assertEquals(await codeOf(connect(server, transport)), "TransportError");
    await using _other = await connectFrom(server, "10.0.0.1");
    assertEquals(server.metrics.refusals("connections_per_ip"), 1);
    await two.close();
    await until(() => server.connections === 2);
    await using _again = await connect(server, transport);
  });
}

Deno.test("what a proxy on this machine says of a client counts when it is trusted", async () => {
  for (const trustForwardedFor of [true, false]) {
    await using server = await startServer({ trustForwardedFor, limits: { connectionsPerIp: 1 } });
    const open = async (header: string) => {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.webSocketPort! });
      const lines = ["GET / HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket"];
      lines.push("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", header, "", "");
      await connection.write(textBytes(lines.join("\r\n")));
      return connection;
    };
    // The first entries are the client's own words.
    using _one = await open("X-Forwarded-For: 10.0.0.9, 10.0.0.1");
    await until(() => server.metrics.connectionsAccepted === 1);
    using _two = await open("X-Forwarded-For: 10.0.0.9, 10.0.0.2");
    using _three = await open("X-Forwarded-For: 10.0.0.3, 10.0.0.1");
    // The proxy's comes last, however many headers the client has sent, and some say the port, too.
    using _four = await open(`${"a: b\r\n".repeat(2000)}X-Forwarded-For: 10.0.0.1`);
    using _five = await open("X-Forwarded-For: 10.0.0.9, 10.0.0.1:1234");
    using _six = await open("X-Forwarded-For: ::ffff:10.0.0.1");
    using _seven = await open("X-Forwarded-For: [::ffff:10.0.0.1]:1234");
    // Who is no address is the proxy: some pass on what the client has sent.
    using _eight = await open("X-Forwarded-For: unknown");
    using _nine = await open(`X-Forwarded-For: ${"x".repeat(100)}`);
    using _ten = await open("X-Forwarded-For: 10.0.0.1.");
    await until(() =>
      server.metrics.connectionsAccepted + server.metrics.refusals("connections_per_ip") === 10
    );
    assertEquals(server.metrics.connectionsAccepted, trustForwardedFor ? 3 : 1);
  }
});

Deno.test("a client that connects too often is refused before any handshake, others are not", async () => {
  await using server = await startServer({ limits: { handshakesPerSecondPerIp: 1 } });
  // All begin before any has ended: one after the other they may take a second each on a busy machine.
  const connecting = Array.from({ length: 14 }, () => connectFrom(server, "10.0.0.1"));
  const outcomes = await Promise.all(connecting.map((client) => codeOf(client.then((it) => it.close()))));
  assertEquals(outcomes.slice(0, 10), Array(10).fill("OK"));
  assert(outcomes.includes("TransportError"));
  assert(server.metrics.refusals("handshake_rate") > 0);
  await using _other = await connectFrom(server, "10.0.0.2");
});

Deno.test("queues of a client are limited, its messages and others' queues are not", async () => {
  await using server = await startServer({ limits: { newQueuesPerHourPerIp: 2 } });
  await using client = await connectFrom(server, "10.0.0.1");
  await using same = await connectFrom(server, "10.0.0.1");
  await using other = await connectFrom(server, "10.0.0.2");
  const queue = await client.createQueue({ keyPair });
  await same.createQueue({ keyPair });
  assertEquals(await codeOf(client.createQueue({ keyPair })), "INTERNAL");
  assertEquals(server.metrics.refusals("new_queue_rate"), 1);
  await client.send(queue, textBytes("x"));
  await other.createQueue({ keyPair });
  assertEquals(server.gauges().queues, 3);
});

Deno.test("a connection that subscribes to nothing is closed when it is silent, one with a subscription is not", async () => {
  // smp.md Limits: idle connection without subscription closed
  await using server = await startServer();
  await using idle = await connect(server);
  await using subscribed = await connect(server);
  await using busy = await connect(server, "tcp", { keepAliveInterval: 50, keepAliveCount: 1000 });
  await subscribed.createQueue({ keyPair });
  // From now on: to connect may take longer on a busy machine.
  await busy.ping();
  server.setLimits({ idleTimeout: 2_000 });
  const reason = await soon(idle.closed);
  assertEquals([reason.code, server.metrics.refusals("idle")], ["NETWORK", 1]);
  await subscribed.ping();
  await busy.ping();
});

Deno.test("a silent connection is closed in the end although it subscribes, one that sends is not", async () => {
  await using server = await startServer({ limits: { idleTimeout: 0 } });
  await using silent = await connect(server, "tcp", { keepAliveInterval: 60_000 });
  await using busy = await connect(server, "tcp", { keepAliveInterval: 50, keepAliveCount: 1000 });
  for (const client of [silent, busy]) await client.createQueue({ keyPair });
  server.setLimits({ silentTimeout: 2_000 });
  const reason = await soon(silent.closed);
  assertEquals([reason.code, server.metrics.refusals("idle")], ["NETWORK", 1]);
  await busy.ping();
});

Deno.test("memory above its limit refuses NEW and SEND until the limit is raised", async () => {
  await using server = await startServer();
  await using client = await connect(server);
  const queue = await client.createQueue({ keyPair });
  server.setLimits({ memory: 1 });
  await until(() => server.notReady() !== null);
  assertEquals(await codeOf(client.createQueue({ keyPair })), "INTERNAL");
  assertEquals(await codeOf(client.send(queue, textBytes("x"))), "INTERNAL");
  await client.ping();
  await client.subscribe(queue);
  server.setLimits({ memory: 0 });
  await until(() => server.notReady() === null);
  await client.send(queue, textBytes("x"));
});

Deno.test("limits that cannot be are refused and change nothing", async () => {
  await using server = await startServer();
  assertThrows(() => server.setLimits({ connections: 1, inWork: 0 }), RangeError, "inWork");
  await using _one = await connect(server);
  await using _two = await connect(server);
});

Deno.test("bytes, handshakes and deliveries are counted", async () => {
  await using server = await startServer();
  await using client = await connect(server);
  const queue = await client.createQueue({ keyPair });
  await client.send(queue, textBytes("x"));
  await until(() => server.metrics.delivery.count === 1);
  const { metrics } = server;
  assertEquals([metrics.handshakesDone, metrics.connectionsAccepted], [1, 1]);
  // REKEY and two commands; three answers and a message.
  assertEquals([metrics.bytesReceived, metrics.bytesSent], [3 * 4096, 4 * 4096]);
  assert(metrics.delivery.sum > 0 && metrics.delivery.sum < 10);
  const { connections, handshakes, subscriptions, queues, messages, messageBytes } = server.gauges();
  assertEquals([connections, handshakes, subscriptions, queues, messages, messageBytes], [1, 0, 1, 1, 1, 1]);
});

/** A store whose appends wait. */
class SlowStore extends MemoryMessageStore {
  readonly released = Promise.withResolvers<void>();
  waiting = 0;

  override async append(...args: Parameters<MemoryMessageStore["append"]>): Promise<void> {
    this.waiting++;
    await this.released.promise;
    await super.append(...args);
  }
}

for (const transport of transportNames) {
  Deno.test(`over ${transport}, a graceful stop finishes and answers what is in work`, async () => {
    const messages = new SlowStore();
    await using server = await startServer({ messages });
    await using client = await connect(server, transport);
    await using idle = await connect(server, transport);
    using silent = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    const before = server.metrics.bytesReceived;
    const queue = await client.createQueue({ keyPair });
    const sending = ["a", "b", "c"].map((text) => client.send(queue, textBytes(text)));
    // All have come; one is in work, the others wait for it.
    await until(() => server.metrics.bytesReceived === before + 4 * 4096);
    const stopping = server.stop({ deadline: 10_000 });
    assertEquals(server.notReady(), "the server is stopping");
    const late = codeOf(connect(server, transport));
    messages.released.resolve();
    await soon(Promise.all(sending));
    assertEquals(messages.size, 3);
    await soon(stopping);
    await soon(Promise.all([client.closed, idle.closed]));
    assertEquals([await late, server.connections], ["TransportError", 0]);
    assert(silent.localAddr.port > 0);
  });
}

for (const [blockSize, most] of [[4096, 32], [8192, 32], [16384, 16], [65536, 4]] as const) {
  Deno.test(`of commands in blocks of ${blockSize} bytes ${most} are in work at a time`, async () => {
    const messages = new SlowStore();
    await using server = await startServer({ messages });
    await using client = await connect(server, "tcp", { blockSize });
    await using other = await connect(server);
    const queue = await client.createQueue({ keyPair });
    const before = server.metrics.bytesReceived;
    const sending = Array.from({ length: 50 }, () => client.send(queue, textBytes("x")));
    await until(() => server.metrics.bytesReceived >= before + most * blockSize);
    const pings = 20;
    for (let i = 0; i < pings; i++) await other.ping();
    assertEquals(server.metrics.bytesReceived, before + most * blockSize + pings * 4096);
    messages.released.resolve();
    await soon(Promise.all(sending));
  });
}

Deno.test("a graceful stop under load answers every command that it has executed", async () => {
  for (const transport of transportNames) {
    const messages = new MemoryMessageStore();
    await using server = await startServer({ messages, limits: { messagesPerQueue: 1_000_000 } });
    await using client = await connect(server, transport);
    const queue = await client.createQueue({ keyPair });
    let accepted = 0;
    const send = async () => {
      for (;;) {
        await client.send(queue, textBytes("x"));
        accepted++;
      }
    };
    const work = Promise.allSettled(Array.from({ length: 20 }, send));
    await until(() => accepted > 200);
    await soon(server.stop({ deadline: 10_000 }));
    await soon(work);
    assertEquals(messages.size, accepted);
  }
});

for (const socket of socketNames) {
  Deno.test(`over ${socket}, who sends on and reads late gets every answer of a server that stops`, async () => {
    await using server = await startServer();
    await using client = await RawClient.connect(server, socket, 65_536);
    const commands = Array.from({ length: 8 }, (_, i) => ` ${i}  PING `);
    const before = server.metrics.bytesReceived;
    // More than the socket of a peer that does not read takes.
    await client.send(...commands);
    await until(() => server.metrics.bytesReceived === before + commands.length * 65_536);
    const stopping = server.stop({ deadline: 60_000 });
    const began = performance.now();
    await until(() => performance.now() - began > 2_000);
    // On a connection that is closed this discards what was not taken.
    await client.send(" late  PING ");
    for (const command of commands) assertEquals(await client.receive(), command.replace("PING", "PONG"));
    assertEquals(await client.receive(), null);
    await client.channel.close();
    await soon(stopping);
  });

  Deno.test(`over ${socket}, who has sent nothing for long holds up a graceful stop for a second`, async () => {
    await using server = await startServer();
    await using _client = await RawClient.connect(server, socket);
    const now = performance.now.bind(performance);
    performance.now = () => now() + 10_000;
    try {
      const began = now();
      await soon(server.stop({ deadline: 60_000 }));
      assert(now() - began < 9_000);
    } finally {
      performance.now = now;
    }
  });
}

Deno.test("a server that takes long to stop still answers what is in work", async () => {
  const messages = new SlowStore();
  await using server = await startServer({ messages });
  await using client = await connect(server);
  await using other = await RawClient.connect(server);
  const queue = await client.createQueue({ keyPair });
  const sending = codeOf(client.send(queue, textBytes("x")));
  await until(() => messages.waiting === 1);
  const stopping = server.stop({ deadline: 60_000 });
  const { bytesReceived } = server.metrics;
  const now = performance.now.bind(performance);
  performance.now = () => now() + 11_000;
  try {
    await other.send(" 1  PING ");
    const isStalled = () => server.metrics.refusals("stalled") > 0;
    await until(() => server.metrics.bytesReceived > bytesReceived || isStalled());
    messages.released.resolve();
    assertEquals([await sending, isStalled()], ["OK", false]);
    await other.channel.close();
    await soon(stopping);
  } finally {
    performance.now = now;
  }
});

Deno.test("a server that runs closes nobody, however short the time is that it may stand still", async () => {
  await using server = await startServer({ limits: { stallTimeout: 1_000 } });
  await using client = await connect(server);
  const began = performance.now();
  await until(() => performance.now() - began > 2_500);
  await client.ping();
  assertEquals(server.metrics.refusals("stalled"), 0);
});

Deno.test("a store that never ends holds up a graceful stop no longer than its deadline", async () => {
  const messages = new SlowStore();
  const server = await startServer({ messages });
  await using client = await connect(server);
  const queue = await client.createQueue({ keyPair });
  const sending = codeOf(client.send(queue, textBytes("x")));
  await until(() => messages.waiting === 1);
  await soon(Promise.all([server.stop({ deadline: 50 }), server.stop()]));
  assertEquals(await sending, "TransportError");
  messages.released.resolve();
});

for (const transport of transportNames) {
  Deno.test(`over ${transport}, limits that are changed hold for the next connection`, async () => {
    await using server = await startServer({ limits: { connections: 1 } });
    await using _one = await connect(server, transport);
    assertEquals(await codeOf(connect(server, transport)), "TransportError");
    server.setLimits({ connections: 2 });
    await using _two = await connect(server, transport);
  });
}

Deno.test("the WebSocket port's limits can be changed", async () => {
  await using server = await startServer({ limits: { connections: 1, handshakeTimeout: 60_000 } });
  const dial = () => Deno.connect({ hostname: "127.0.0.1", port: server.webSocketPort! });
  using _one = await dial();
  server.setLimits({ connections: 3, handshakeTimeout: 50 });
  using two = await dial();
  // Closed by the new timeout, not at once: the first one is still there.
  assertEquals(await soon(two.read(new Uint8Array(1)).catch(() => null)), null);
  server.setLimits({ handshakeTimeout: 60_000 });
  await using _client = await connect(server, "websocket");
});
