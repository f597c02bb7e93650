import { assert, assertEquals, assertRejects } from "@std/assert";
import { AgentError, type KeySource } from "../../agent/mod.ts";
import { SqliteStore } from "../../agent/store/sqlite.ts";
import { tcpTransport, type Transport } from "../../client/mod.ts";
import {
  decodePublicKey,
  exportPrivateKey,
  formatAddress,
  generateKeyPair,
  networkError,
} from "../../protocol/mod.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../server/mod.ts";
import { connectAgents, keySource, TestAgent } from "../support/agent.ts";
import { turn } from "../support/fake_server.ts";
import { steadyPort } from "../support/ports.ts";
import { giveKey, ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { startServer } from "../support/server.ts";
import { keyOf } from "../support/test_keys.ts";
import { base64, rsaVector } from "../support/vectors.ts";
import { soon, until } from "../support/wait.ts";

const ini = "[STORE_LOG]\nenable: on\nmessages: journal\n[LIMITS]\nmessages_per_queue: 100000\n" +
  "new_queues_per_hour_per_ip: 0\nhandshakes_per_second_per_ip: 0\n";

/** A server process that can be killed and started again on its port. */
async function restartable(folder: string) {
  await Deno.writeTextFile(`${folder}/smp-server.ini`, ini, { mode: 0o600 });
  await giveKey(folder);
  const port = steadyPort();
  const place = ["--config-dir", folder, "--log-dir", folder, "--host", "127.0.0.1", "--port", `${port}`];
  const start = () => ServerProcess.startBare({ folder, args: ["start", ...place, "-y"] });
  let server = await start();
  return {
    address: server.address,
    kill: () => server.kill("SIGKILL"),
    async again() {
      server = await start();
    },
    [Symbol.asyncDispose]: async () => void await server.kill("SIGKILL"),
  };
}

Deno.test("a server that is killed and comes back goes on where it was, and the agents say so", async () => {
  await using folder = await temporaryFolder();
  await using server = await restartable(folder.path);
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address);
  await connectAgents(a, b);
  await a.send("b", "before");
  assertEquals(await b.text(), "before");
  await server.kill();
  for (const agent of [a, b]) {
    const { connections, server: down } = await agent.next("down");
    assertEquals([connections.length, down.host], [1, "127.0.0.1"]);
  }
  await a.send("b", "while it is down");
  await b.send("a", "me too");
  await server.again();
  assertEquals([await b.text(), await a.text()], ["while it is down", "me too"]);
  for (const agent of [a, b]) assertEquals((await agent.next("up")).connections.length, 1);
  assertEquals([...a.events, ...b.events].filter(({ type }) => type === "error"), []);
});

Deno.test("while names cannot be resolved agents try again, and go on when they can", async () => {
  const stores = { queues: new MemoryQueueStore(), messages: new MemoryMessageStore(), port: steadyPort() };
  await using server = await startServer(stores);
  let isResolving = true, failures = 0;
  const transport: Transport = (address, signal) => {
    if (isResolving) return tcpTransport(address, signal);
    failures++;
    return Promise.reject(networkError("connect", new Error("failed to lookup address information")));
  };
  await using a = await TestAgent.start(server.address, { client: { transport } });
  await using b = await TestAgent.start(server.address);
  await connectAgents(a, b);
  isResolving = false;
  await server.stop();
  await using _again = await startServer(stores);
  await a.next("down");
  await until(() => failures > 3);
  isResolving = true;
  await a.next("up");
  await b.send("a", "here again");
  assertEquals(await a.text(), "here again");
});

Deno.test("connecting goes on over an outage of the server", async () => {
  await using folder = await temporaryFolder();
  await using server = await restartable(folder.path);
  await using a = await TestAgent.start(server.address);
  await using b = await TestAgent.start(server.address);
  const { invitation } = await a.agent.create("b");
  await server.kill();
  await a.next("down");
  await b.agent.join(invitation, { alias: "a" });
  await server.again();
  await Promise.all([a.next("connected"), b.next("connected")]);
});

Deno.test("120 messages one way, with the server killed in the middle, come whole and in order", async () => {
  await using folder = await temporaryFolder();
  await using server = await restartable(folder.path);
  await using a = await TestAgent.start(server.address, {
    store: await SqliteStore.open(`${folder.path}/a.db`),
  });
  await using b = await TestAgent.start(server.address, {
    store: await SqliteStore.open(`${folder.path}/b.db`),
    buffer: 32,
  });
  await connectAgents(a, b);
  // More than are in memory of either side: deliveries that are read from the store at a time, and events.
  const count = 120;
  const sending = (async () => {
    for (let i = 0; i < count; i += 60) {
      await Promise.all(Array.from({ length: 60 }, (_, k) => a.send("b", `${i + k}`)));
    }
  })();
  let isKilled = false;
  const kill = async () => {
    await server.kill();
    await server.again();
  };
  let killing: Promise<void> | null = null;
  for (let i = 0; i < count; i++) {
    const { message } = await b.next("message");
    assertEquals([new TextDecoder().decode(message.body), message.integrity], [`${i}`, { type: "OK" }]);
    if (i === count / 2) {
      isKilled = true;
      killing = kill();
    }
  }
  await sending;
  await killing;
  assert(isKilled);
  assertEquals(b.events.filter(({ type }) => type === "message" || type === "error"), []);
});

Deno.test("40 connections of one agent connect, and each gets its own messages", async () => {
  await using server = await startServer({
    limits: { newQueuesPerHourPerIp: 0, handshakesPerSecondPerIp: 0 },
  });
  await using a = await TestAgent.start(server.address);
  // Two each.
  const count = 20, batch = 10;
  for (let i = 0; i < count; i += batch) {
    await Promise.all(
      Array.from({ length: batch }, (_, k) => connectAgents(a, a, [`to ${i + k}`, `from ${i + k}`])),
    );
  }
  for (let i = 0; i < count; i++) await a.send(`to ${i}`, `${i}`);
  for (let i = 0; i < count; i++) assertEquals(await a.text(`from ${i}`), `${i}`);
  assertEquals(a.events.filter(({ type }) => type === "message" || type === "error"), []);
});

Deno.test("a body that cannot be encrypted while its server is being connected to does not end the program", async () => {
  const { publicKey, privateKey } = await generateKeyPair("sign", 1024);
  const der = await exportPrivateKey(privateKey);
  const broken = der.slice().fill(0, -200);
  let taken = 0;
  const keyPool: KeySource = {
    // The second key is to sign bodies: one that no store should have.
    take: () => Promise.resolve({ publicKey: publicKey.der, privateKey: taken++ % 2 ? broken : der }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const server = { host: "127.0.0.1", port: 1, keyHash: btoa("\0".repeat(32)) };
  const connecting = Promise.withResolvers<never>();
  const tried = Promise.withResolvers<void>();
  const transport: Transport = () => (tried.resolve(), connecting.promise);
  await using a = await TestAgent.start(formatAddress(server), { client: { transport }, keyPool });
  const encryptionKey = (await keyOf("client", "decrypt")).publicKey;
  await a.agent.join({ server, senderId: "c2VuZGVy", encryptionKey });
  await soon(tried.promise);
  // An error that nobody handles would end the program in one of these turns.
  for (let i = 0; i < 20; i++) await turn();
  connecting.reject(networkError("connect", new Error("refused")));
});

Deno.test("while no server can be reached no keys are made for queues there", async () => {
  let taken = 0;
  const keys = keySource();
  const keyPool: KeySource = {
    take: (least) => (taken++, keys.take(least)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const transport: Transport = () => Promise.reject(networkError("connect", new Error("refused")));
  const address = formatAddress({ host: "127.0.0.1", port: 1, keyHash: btoa("\0".repeat(32)) });
  await using a = await TestAgent.start(address, { client: { transport }, keyPool });
  for (let i = 0; i < 3; i++) await assertRejects(() => a.agent.create(), AgentError);
  assertEquals(taken, 0);
});

Deno.test("an agent that is closed when its server cannot be reached leaves nothing to be done", async () => {
  // Signing takes longer than it takes to fail and to close.
  const { spki, pkcs8 } = rsaVector("rsa4096");
  const pair = { publicKey: base64(spki), privateKey: base64(pkcs8) };
  const keyPool = { take: () => Promise.resolve(pair), [Symbol.asyncDispose]: () => Promise.resolve() };
  const server = { host: "127.0.0.1", port: 1, keyHash: btoa("\0".repeat(32)) };
  const tried = Promise.withResolvers<void>();
  const transport: Transport = () => {
    tried.resolve();
    return Promise.reject(networkError("connect", new Error("refused")));
  };
  await using a = await TestAgent.start(formatAddress(server), { client: { transport }, keyPool });
  await a.agent.join({ server, senderId: "c2VuZGVy", encryptionKey: decodePublicKey(pair.publicKey) });
  await soon(tried.promise);
});
