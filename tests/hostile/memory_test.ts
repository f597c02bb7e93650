import { assert, assertEquals, assertRejects } from "@std/assert";
import { setTimeout as pause } from "node:timers/promises";
import { textBytes } from "../../protocol/mod.ts";
import {
  type ClientCommand,
  encodeClientTransmission,
  encodeSigned,
  generateKeyPair,
  memoryChannelPair,
  signPss,
  SmpError,
} from "../../mod.ts";
import { MemoryMessageStore } from "../../server/mod.ts";
import { RawClient } from "../support/raw_client.ts";
import { connect, identity, startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

const keyPair = await generateKeyPair("sign", 1024);
const { publicKey, privateKey } = keyPair;
const blockSize = 65536;
const mib = 2 ** 20;

async function signed(queueId: string, command: ClientCommand): Promise<Uint8Array> {
  const bytes = encodeSigned(textBytes("1"), queueId, command);
  return encodeClientTransmission(await signPss(privateKey, bytes), bytes);
}

function unsigned(queueId: string, body: Uint8Array<ArrayBuffer>): Uint8Array {
  return encodeClientTransmission(
    new Uint8Array(0),
    encodeSigned(textBytes("1"), queueId, { type: "SEND", body }),
  );
}

Deno.test("memory filled by large messages refuses NEW and SEND, and takes them again once those are gone", async () => {
  const { heapUsed, external } = Deno.memoryUsage();
  await using server = await startServer({
    identity,
    limits: { memory: heapUsed + external + 16 * mib, messagesPerQueue: 1_000_000 },
  });
  await using owner = await RawClient.connect(server, "tcp", blockSize);
  await owner.send(await signed("", { type: "NEW", recipientKey: publicKey }));
  const [, recipientId, senderId] = / IDS (\S+) (\S+) /.exec((await owner.receive())!)!;
  const message = unsigned(senderId!, new Uint8Array(60_000));
  // One known address alone cannot fill it.
  const attackers = await Promise.all(Array.from({ length: 20 }, () => {
    const [near, far] = memoryChannelPair();
    void server.handle(far);
    return RawClient.handshake(near, blockSize);
  }));
  const answers = new Set<string>();
  await Promise.all(attackers.map(async (attacker) => {
    while (!answers.has(`ERR INTERNAL`)) {
      await attacker.send(message);
      answers.add((await attacker.receive())!.split(" ").slice(3).join(" ").trim());
    }
  }));
  assertEquals(answers, new Set(["OK", "ERR INTERNAL"]));
  assertEquals(server.notReady(), "memory is short");
  await using honest = await connect(server);
  await assertRejects(() => soon(honest.createQueue({ keyPair })), SmpError, "INTERNAL");
  assert(server.metrics.refusals("memory") > 0);

  for (const attacker of attackers) await attacker.channel.close();
  await owner.send(await signed(recipientId!, { type: "DEL" }));
  // A message was delivered to the owner before.
  while (!(await owner.receive())!.includes(" OK")) continue;
  // What is counted has fallen; the heap may still be looked at before its garbage is collected.
  await until(async () => {
    try {
      await honest.createQueue({ keyPair });
      return true;
    } catch (error) {
      assert(error instanceof SmpError && error.code === "INTERNAL", `${error}`);
      // It looks once a second.
      await pause(50);
      return false;
    }
  });
  await until(() => server.notReady() === null);
});

Deno.test("one address that sends all it may leaves room for the queues and messages of others", async () => {
  const memory = 512 * mib;
  const messages = new MemoryMessageStore();
  // Counted as often as it is there.
  const body = new Uint8Array(mib);
  for (let i = 0; messages.bytes < memory - 16 * mib; i++) {
    await messages.append("AAAA", { id: `${i}`, timestamp: new Date(), body });
  }
  await using server = await startServer({
    identity,
    messages,
    limits: { memory, messagesPerQueue: 1_000_000 },
  });
  await using owner = await RawClient.connect(server, "tcp", blockSize);
  await owner.send(await signed("", { type: "NEW", recipientKey: publicKey }));
  const [, , senderId] = / IDS (\S+) (\S+) /.exec((await owner.receive())!)!;
  await using attacker = await RawClient.connect(server, "tcp", blockSize);
  let answer = "";
  while (!answer.includes(" ERR ")) {
    await attacker.send(unsigned(senderId!, new Uint8Array(60_000)));
    answer = (await attacker.receive())!;
  }
  assert(answer.includes(" ERR QUOTA"));
  assert(server.metrics.refusals("memory_share") > 0);
  const [near, far] = memoryChannelPair();
  void server.handle(far, { address: "192.0.2.1" });
  const honest = await RawClient.handshake(near, blockSize);
  await honest.send(await signed("", { type: "NEW", recipientKey: publicKey }));
  const [, , other] = / IDS (\S+) (\S+) /.exec((await honest.receive())!)!;
  await honest.send(unsigned(other!, new Uint8Array(60_000)));
  assert((await honest.receive())!.includes(" OK"));
  await honest.channel.close();
});

Deno.test("one address whose connections take nothing of what they are sent leaves room for the queues and messages of others", async () => {
  const memory = 512 * mib;
  const messages = new MemoryMessageStore();
  // Counted as often as it is there.
  const body = new Uint8Array(mib);
  for (let i = 0; messages.bytes < 0.82 * memory; i++) {
    await messages.append("AAAA", { id: `${i}`, timestamp: new Date(), body });
  }
  // As if each of the connections took a block now and then.
  const limits = { memory, writeTimeout: 3_600_000 };
  await using server = await startServer({ identity, messages, limits });
  const serving: Promise<void>[] = [];
  const from = async (address: string) => {
    const [near, far] = memoryChannelPair();
    let takes = true;
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    serving.push(server.handle({
      read: (size) => far.read(size),
      write: (units) => takes ? far.write(units) : closed,
      end: () => far.end(),
      close: () => (resolve(), far.close()),
    }, { address }));
    const client = await RawClient.handshake(near, blockSize);
    return { client, stop: () => void (takes = false) };
  };
  const { client: owner } = await from("203.0.113.1");
  await owner.send(await signed("", { type: "NEW", recipientKey: publicKey }));
  const [, recipientId, senderId] = / IDS (\S+) (\S+) /.exec((await owner.receive())!)!;
  const message = unsigned(senderId!, new Uint8Array(60_000));
  await owner.send(...new Array(6).fill(message));
  const subscribe = await signed(recipientId!, { type: "SUBN", window: 128 });
  const { client: honest } = await from("192.0.2.1");
  const isShort = () => server.notReady() !== null || server.metrics.refusals("memory_held") > 0;
  for (let i = 0; i < 1000 && !isShort(); i++) {
    const { client, stop } = await from("203.0.113.1");
    stop();
    await client.send(subscribe);
  }
  await until(() => server.metrics.refusals("memory_held") > 0);
  await until(() => server.notReady() === null);
  await honest.send(await signed("", { type: "NEW", recipientKey: publicKey }));
  const [, , other] = / IDS (\S+) (\S+) /.exec((await honest.receive())!)!;
  await honest.send(unsigned(other!, new Uint8Array(60_000)));
  while (!(await honest.receive())!.includes(" OK")) continue;
  await server.stop();
  await Promise.all(serving);
});

Deno.test("what connections hold is counted, and forgotten when they are gone", async () => {
  await using server = await startServer({ identity });
  const before = server.gauges().memoryHeld;
  const serving: Promise<void>[] = [];
  const attackers = await Promise.all(Array.from({ length: 20 }, () => {
    const [near, far] = memoryChannelPair();
    serving.push(server.handle(far));
    return RawClient.handshake(near, blockSize);
  }));
  const wrong = `${btoa("x".repeat(128))} 1 AAAA SUB `;
  const sending = attackers.map(async (attacker) => {
    for (;;) await attacker.send(" 1  PING ", wrong, "no block", unsigned("AAAA", new Uint8Array(60_000)));
  }).map((one) => one.catch(() => {}));
  // Nobody reads: in each connection a block is being read and another written.
  await until(() => server.gauges().memoryHeld - before > attackers.length * 2 * blockSize);
  for (const attacker of attackers) await attacker.channel.close();
  await soon(Promise.all([...sending, ...serving]));
  await until(() => server.gauges().memoryHeld === before);
});
