import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type AgentErrorCode, MemoryStore } from "../../agent/mod.ts";
import {
  decryptBody,
  generateKeyPair,
  makePublicKey,
  type PublicKey,
  type QueueInfo,
  SmpClient,
  SmpError,
  splitBody,
} from "../../mod.ts";
import { encodeAgentMessage, parseAgentMessage } from "../../agent/kinds/mod.ts";
import { textBytes } from "../../protocol/mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { mutate, randomOf } from "../fuzz/mutate.ts";
import { TestAgent } from "../support/agent.ts";
import { HostileAgent, hostileKeys } from "../support/hostile_agent.ts";
import { startServer } from "../support/server.ts";
import { keysOf } from "../support/test_keys.ts";
import { next, until } from "../support/wait.ts";

// agent.md Duplex procedure: anything out of order is A_PROHIBITED, changes nothing and blocks nothing.

const short = await generateKeyPair("decrypt", 1024);

interface Scene {
  readonly server: SmpServer;
  readonly agent: TestAgent;
  readonly hostile: HostileAgent;
  readonly store: MemoryStore;
}

/** An agent that has made an invitation, and somebody hostile who holds it. */
function testHostile(name: string, test: (scene: Scene) => Promise<void>): void {
  Deno.test(name, async () => {
    await using server = await startServer();
    const store = new MemoryStore();
    await using agent = await TestAgent.start(server.address, { store });
    const { invitation } = await agent.agent.create("x");
    await using hostile = await HostileAgent.connect(invitation);
    await test({ server, agent, hostile, store });
    // Nothing is left at the server: no message blocks the queue.
    await until(() => server.gauges().messages === 0);
  });
}

async function assertError(agent: TestAgent, code: AgentErrorCode): Promise<void> {
  assertEquals((await agent.next("error")).error.code, code);
}

const keyHash = btoa("\0".repeat(32));

/** A queue for REPLY, at a server that nobody reaches: what our agent sends there must not be looked for elsewhere. */
function replyQueue(senderId = "c2VuZGVy", encryptionKey = hostileKeys[2]!.publicKey): QueueInfo {
  return { server: { host: "127.0.0.1", port: 1, keyHash }, senderId, encryptionKey };
}

/** Waits until the queue is secured. */
function secured({ metrics }: SmpServer): Promise<void> {
  return until(() => metrics.commands.get("KEY OK") === 1);
}

/** The other side does what it should from here on: it can still talk. */
async function assertTalks({ agent, hostile }: Scene): Promise<void> {
  await hostile.text("it works");
  assertEquals(await agent.text("x"), "it works");
}

testHostile("nothing is taken before the confirmation", async (scene) => {
  const { server, agent, hostile } = scene;
  await hostile.hello();
  await hostile.text("too early", { senderKey: null });
  await hostile.reply(replyQueue());
  for (let i = 0; i < 3; i++) await assertError(agent, "AGENT A_PROHIBITED");
  await hostile.key();
  await secured(server);
  await hostile.hello(undefined, 1001);
  await hostile.text("first", { id: 1, previousHash: new Uint8Array(0) });
  assertEquals(await agent.text("x"), "first");
});

testHostile("after the confirmation HELLO comes first", async (scene) => {
  const { server, agent, hostile } = scene;
  await hostile.key();
  await secured(server);
  await hostile.text("too early");
  await hostile.reply(replyQueue());
  for (let i = 0; i < 2; i++) await assertError(agent, "AGENT A_PROHIBITED");
  assertEquals(agent.agent.connections()[0]!.canSend, false);
  await hostile.hello();
  await hostile.text("again", { id: 1, previousHash: new Uint8Array(0) });
  assertEquals(await agent.text("x"), "again");
});

testHostile("a second confirmation is a security event, a second HELLO is prohibited", async (scene) => {
  const { server, agent, hostile } = scene;
  await hostile.key();
  await secured(server);
  await hostile.message({ type: "KEY", senderKey: hostileKeys[2]!.publicKey });
  assertEquals((await agent.next("security")).reason, "second confirmation");
  await assertError(agent, "AGENT A_PROHIBITED");
  await hostile.hello();
  await hostile.hello(undefined, 1001);
  await assertError(agent, "AGENT A_PROHIBITED");
  await assertTalks(scene);
});

testHostile(
  "what is repeated word for word, as after a crash of the sender, is dropped silently",
  async (scene) => {
    const { server, agent, hostile } = scene;
    await hostile.key();
    await secured(server);
    await hostile.key();
    await hostile.hello();
    await hostile.hello();
    await hostile.text("once");
    await hostile.text("once", { id: 1, previousHash: new Uint8Array(0) });
    assertEquals(await agent.text(), "once");
    await assertTalks(scene);
    assertEquals(agent.events, []);
  },
);

/** A key that decodes, of any size. */
function keyOf(bits: number): PublicKey {
  return makePublicKey(2n ** BigInt(bits - 1) + 1n, 65537n);
}

testHostile(
  "a confirmation with a key that no server takes is left behind, and the proper one goes on",
  async (scene) => {
    const { server, agent, hostile } = scene;
    for (const bits of [2, 512, 1023, 1025, 2056, 8192]) {
      await hostile.message({ type: "KEY", senderKey: keyOf(bits) });
      await assertError(agent, "AGENT A_MESSAGE");
    }
    await hostile.key();
    await secured(server);
    await hostile.hello();
    await assertTalks(scene);
    assertEquals(agent.events.filter(({ type }) => type !== "message"), []);
  },
);

testHostile("a REPLY with a key that leaves no room for messages is not followed", async (scene) => {
  const { server, agent, hostile, store } = scene;
  await hostile.key();
  await secured(server);
  await hostile.hello();
  for (const bits of [2, 2047, 4097, 8192, 12_288]) {
    await hostile.reply(replyQueue("c2VuZGVy", keyOf(bits)));
    await assertError(agent, "AGENT A_ENCRYPTION");
  }
  assertEquals((await store.connections())[0]!.sending, []);
  await assertTalks(scene);
});

testHostile("a REPLY to a server that cannot be told from an impostor is not followed", async (scene) => {
  const { server, agent, hostile, store } = scene;
  await hostile.key();
  await secured(server);
  await hostile.hello();
  await hostile.reply({ ...replyQueue(), server: { host: "127.0.0.1", port: 1 } });
  await assertError(agent, "BROKER TRANSPORT BAD_HASH");
  assertEquals((await store.connections())[0]!.sending, []);
  await assertTalks(scene);
});

testHostile("only one REPLY is followed", async (scene) => {
  const { server, agent, hostile, store } = scene;
  await hostile.key();
  await secured(server);
  await hostile.hello();
  await hostile.reply(replyQueue("c2hvcnQ=", short.publicKey));
  await assertError(agent, "AGENT A_ENCRYPTION");
  await hostile.reply(replyQueue("Zmlyc3Q="));
  await until(() => agent.agent.connections()[0]!.canSend);
  await hostile.reply(replyQueue("b3RoZXI="), 2001);
  await assertError(agent, "AGENT A_PROHIBITED");
  await assertTalks(scene);
  assertEquals((await store.connections())[0]!.sending[0]!.keys.senderId, "Zmlyc3Q=");
});

Deno.test("a joiner follows no REPLY", async () => {
  await using server = await startServer();
  const store = new MemoryStore();
  await using agent = await TestAgent.start(server.address, { store });
  // The hostile agent makes the invitation, and gets what joins it.
  await using client = await SmpClient.connect(server.address);
  const { publicKey, privateKey } = (await keysOf("client", "decrypt"))[0]!;
  const queue = await client.createQueue({ keyPair: hostileKeys[2]! });
  const address = { host: "127.0.0.1", port: server.port, keyHash: server.keyHash };
  const events = client.events(queue);
  await agent.agent.join({ server: address, senderId: queue.senderId, encryptionKey: publicKey }, {
    alias: "x",
  });
  const read = async () => {
    const event = await next(events);
    assert(event.type === "MSG");
    const plaintext = await decryptBody(splitBody(event.body, { signature: 128, header: 256 }), privateKey);
    return parseAgentMessage(plaintext!)!;
  };
  const key = await read();
  assert(key.type === "KEY");
  await client.secureQueue(queue, key.senderKey);
  await client.acknowledge(queue);
  assertEquals((await read()).type, "HELLO");
  await client.acknowledge(queue);
  const reply = await read();
  assert(reply.type === "REPLY");
  await using hostile = await HostileAgent.connect(reply.queueInfo);
  await hostile.key();
  await until(() => server.metrics.commands.get("KEY OK") === 2);
  await hostile.hello();
  await agent.next("connected");
  await hostile.reply(replyQueue());
  await assertError(agent, "AGENT A_PROHIBITED");
  assertEquals((await store.connections())[0]!.sending[0]!.keys.senderId, queue.senderId);
});

testHostile(
  "what cannot be decrypted, verified or parsed is counted, told once and left behind",
  async (scene) => {
    const { server, agent, hostile } = scene;
    await hostile.body(textBytes("short"));
    await assertError(agent, "AGENT A_ENCRYPTION");
    await hostile.body(new Uint8Array(3584).fill(7));
    await assertError(agent, "AGENT A_ENCRYPTION");
    await hostile.plaintext(textBytes("not a message"));
    await assertError(agent, "AGENT A_MESSAGE");
    await hostile.key();
    await secured(server);
    await hostile.hello({ signingKey: hostileKeys[2]!.privateKey });
    await assertError(agent, "AGENT A_SIGNATURE");
    await hostile.hello();
    await hostile.text("forged", { signingKey: hostileKeys[2]!.privateKey });
    await assertError(agent, "AGENT A_SIGNATURE");
    await hostile.plaintext(textBytes("\n1 x y\n"));
    await assertError(agent, "AGENT A_MESSAGE");
    await assertTalks(scene);
    assertEquals(agent.agent.connections()[0]!.unreadable, 6);
    assertEquals(agent.events.filter(({ type }) => type === "error"), []);
  },
);

testHostile("gaps, repetitions and wrong hashes are told with the message", async (scene) => {
  const { server, agent, hostile } = scene;
  await hostile.key();
  await secured(server);
  await hostile.hello();
  const sent = async (id: number, previousHash?: Uint8Array<ArrayBuffer>) => {
    await hostile.text(`${id}`, { id, ...(previousHash && { previousHash }) });
    return (await agent.next("message")).message.integrity;
  };
  assertEquals(await sent(1), { type: "OK" });
  assertEquals(await sent(4), { type: "NO_ID", from: 2, to: 3 });
  assertEquals(await sent(4, new Uint8Array(32)), { type: "DUPLICATE" });
  assertEquals(await sent(2, new Uint8Array(32)), { type: "ID", id: 2 });
  assertEquals(await sent(5, new Uint8Array(32)), { type: "HASH" });
  assertEquals(await sent(6), { type: "OK" });
});

Deno.test("whatever order of whatever messages comes, the agent neither stops nor gets stuck", async () => {
  await using server = await startServer({
    limits: { newQueuesPerHourPerIp: 0, handshakesPerSecondPerIp: 0 },
  });
  const store = new MemoryStore();
  await using agent = await TestAgent.start(server.address, { store });
  const numbered = { id: 1, timestamp: new Date(0), previousHash: new Uint8Array(0) };
  const valid = ([
    { type: "KEY", senderKey: hostileKeys[0]!.publicKey },
    { type: "HELLO", verificationKey: hostileKeys[1]!.publicKey, noAck: false, ...numbered },
    { type: "REPLY", queueInfo: replyQueue(), ...numbered },
    { type: "MSG", body: textBytes("hello"), ...numbered },
  ] as const).map(encodeAgentMessage);
  const words = ["KEY ", "HELLO ", "REPLY ", "MSG ", "NO_ACK", "smp::", "\n", " ", "5"];
  const mutated = (seed: number) => {
    const random = randomOf(seed);
    const [one, other] = [0, 1].map(() => valid[Math.floor(random() * valid.length)]!);
    return mutate(one!, other!, { words, random }).slice(0, 2000);
  };
  const actions: Record<string, (hostile: HostileAgent, seed: number) => Promise<void>> = {
    mutated: (hostile, seed) => hostile.plaintext(mutated(seed)),
    unsignedMutated: (hostile, seed) => hostile.plaintext(mutated(seed), { senderKey: null }),
    redirect: (hostile) => hostile.reply(replyQueue("b3RoZXI="), 2001),
    key: (hostile) => hostile.key(),
    hello: (hostile) => hostile.hello(),
    anotherHello: (hostile) => hostile.hello(undefined, 1001),
    forgedHello: (hostile) => hostile.hello({ signingKey: hostileKeys[2]!.privateKey }),
    reply: (hostile) => hostile.reply(replyQueue()),
    text: (hostile) => hostile.text("text"),
    forged: (hostile) => hostile.text("forged", { signingKey: hostileKeys[2]!.privateKey }),
    junk: (hostile) => hostile.body(new Uint8Array(3000)),
    unparsable: (hostile) => hostile.plaintext(textBytes("\n\n\n")),
  };
  let runs = 0;
  const action = fc.record({
    name: fc.constantFrom("mutated", ...Object.keys(actions)),
    seed: fc.nat(),
  });
  // As far as a proper peer would come, then anything.
  const proper = ["key", "hello", "reply"].map((name) => ({ name, seed: 0 }));
  const order = fc.tuple(fc.nat({ max: proper.length }), fc.array(action, { maxLength: 8 }))
    .map(([count, rest]) => [...proper.slice(0, count), ...rest]);
  let redirectable = 0;
  await fc.assert(
    fc.asyncProperty(order, async (sent) => {
      const alias = `${runs++}`;
      const { invitation } = await agent.agent.create(alias);
      await using hostile = await HostileAgent.connect(invitation);
      let sending: string | null = null;
      for (const { name, seed } of sent) {
        // What the server refuses has not come.
        await actions[name]!(hostile, seed).catch((error) => {
          if (!(error instanceof SmpError && error.code === "AUTH")) throw error;
        });
        // The agent's acknowledgements have emptied the queue.
        await until(() => server.gauges().messages === 0);
        const queue = (await store.connections()).find(({ record }) => record.alias === alias)!.sending[0]
          ?.keys;
        const now = queue === undefined ? null : `${queue.server.host} ${queue.senderId}`;
        assert(sending === null || now === sending, `it now sends to ${now}, not to ${sending}`);
        sending = now;
      }
      if (sending !== null) redirectable++;
      await agent.agent.delete(alias);
    }),
    { numRuns: 20 },
  );
  assert(redirectable > 0);
});
