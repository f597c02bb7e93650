import { assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { textBytes } from "../../protocol/mod.ts";
import {
  generateKeyPair,
  keySizes,
  makePublicKey,
  type RecipientQueue,
  type SmpClient,
  SmpError,
  smpErrorCodes,
  TransportError,
} from "../../mod.ts";
import { MemoryMessageStore } from "../../server/mod.ts";
import { FakeServer, queueIds, rejection } from "../support/fake_server.ts";
import { connect, startServer, transportNames } from "../support/server.ts";
import { keyOf } from "../support/test_keys.ts";
import { uncheckedKey } from "../support/unchecked_key.ts";
import { next, soon } from "../support/wait.ts";

const keyPair = await generateKeyPair("sign", 1024);
const senderPair = await generateKeyPair("sign", 1024);
const body = textBytes("hello");
const fakeQueue: RecipientQueue = {
  recipientId: queueIds[0],
  senderId: queueIds[1],
  recipientKey: keyPair.privateKey,
};

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await rejection(promise);
  assertInstanceOf(error, SmpError);
  return error.code;
}

for (const transport of transportNames) {
  Deno.test(`over ${transport}, every command does what it says`, async () => {
    await using server = await startServer();
    await using client = await connect(server, transport);
    assertEquals(await client.ping(), undefined);
    const queue = await client.createQueue({ keyPair });
    const { recipientId, senderId } = queue;
    assertEquals(queue, { recipientId, senderId, recipientKey: keyPair.privateKey });
    assertEquals([recipientId.length, senderId.length, recipientId === senderId], [16, 16, false]);
    assertEquals(await client.send({ senderId }, body), undefined);
    assertEquals(await client.secureQueue(queue, senderPair.publicKey), undefined);
    const secured = { senderId, senderKey: senderPair.privateKey };
    assertEquals(await client.send(secured, new Uint8Array(0)), undefined);
    const before = Date.now();
    const events = client.events(queue);
    const first = await next(events);
    if (first.type !== "MSG") throw new Error("END is not expected");
    assertEquals([first.recipientId, first.body, first.messageId.length], [recipientId, body, 8]);
    assertEquals(first.sequence, 0);
    assertEquals(Math.abs(first.timestamp.getTime() - before) < 60_000, true);
    assertEquals(await client.acknowledge(queue), undefined);
    const second = await next(events);
    assertEquals(second.type === "MSG" && second.body, new Uint8Array(0));
    assertEquals(await client.subscribe(queue), 1);
    assertEquals(await next(events), { ...second, sequence: 1 });
    assertEquals(await client.acknowledge(queue), undefined);
    assertEquals(await client.suspendQueue(queue), undefined);
    assertEquals(await client.suspendQueue(queue), undefined);
    assertEquals(await client.deleteQueue(queue), undefined);
  });

  Deno.test(`over ${transport}, the server's refusals are SmpError with their code`, async () => {
    class FailingStore extends MemoryMessageStore {
      override append(): Promise<void> {
        return Promise.reject(new Error("the disk is full"));
      }
    }
    await using server = await startServer({ messages: new FailingStore() });
    await using client = await connect(server, transport);
    const queue = await client.createQueue({ keyPair });
    const { recipientId, senderId } = queue;
    const unknown = { ...queue, recipientId: queueIds[0], senderId: queueIds[1] };
    const swapped = { ...queue, recipientId: senderId, senderId: recipientId };
    const forged = { ...queue, recipientKey: senderPair.privateKey };
    const oddKey = makePublicKey((1n << 1535n) + 1n, 65537n);
    for (const wrong of [unknown, swapped, forged]) {
      const refused = [
        client.subscribe(wrong),
        client.secureQueue(wrong, senderPair.publicKey),
        client.acknowledge(wrong),
        client.suspendQueue(wrong),
        client.deleteQueue(wrong),
        client.send({ ...wrong, ...(wrong === forged && { senderKey: senderPair.privateKey }) }, body),
      ];
      assertEquals(await Promise.all(refused.map(codeOf)), refused.map(() => "AUTH"));
    }
    assertEquals(await codeOf(client.acknowledge(queue)), "NO_MSG");
    assertEquals(await codeOf(client.secureQueue(queue, oddKey)), "CMD KEY_SIZE");
    assertEquals(await codeOf(client.send({ senderId }, body)), "INTERNAL");
    await client.secureQueue(queue, senderPair.publicKey);
    assertEquals(await codeOf(client.secureQueue(queue, keyPair.publicKey)), "AUTH");
    for (const senderKey of [undefined, keyPair.privateKey]) {
      assertEquals(await codeOf(client.send({ senderId, ...(senderKey && { senderKey }) }, body)), "AUTH");
    }
    await client.suspendQueue(queue);
    assertEquals(await codeOf(client.send({ senderId, senderKey: senderPair.privateKey }, body)), "AUTH");
  });

  // transport.md RSA keys: any odd exponent from 3 to 1024 bits, for every size
  Deno.test(`over ${transport}, NEW and KEY take exponents of up to 1024 bits and no longer ones`, async () => {
    await using server = await startServer();
    await using client = await connect(server, transport);
    const { privateKey } = keyPair;
    for (const bits of keySizes) {
      const modulus = 2n ** BigInt(bits - 1) + 1n;
      const queue = await client.createQueue({ keyPair });
      const longer = [2n ** 1024n + 1n, 2n ** BigInt(bits) + 1n, 2n ** 2048n + 1n];
      for (const exponent of [1n, 2n ** 1024n - 2n, ...longer]) {
        const publicKey = uncheckedKey(modulus, exponent);
        assertEquals(await codeOf(client.createQueue({ keyPair: { publicKey, privateKey } })), "CMD SYNTAX");
        assertEquals(await codeOf(client.secureQueue(queue, publicKey)), "CMD SYNTAX");
      }
      const longest = uncheckedKey(modulus, 2n ** 1024n - 1n);
      // It is read, and the signature is by another key.
      assertEquals(await codeOf(client.createQueue({ keyPair: { publicKey: longest, privateKey } })), "AUTH");
      await client.secureQueue(queue, longest);
    }
  });

  Deno.test(`over ${transport}, hundreds of commands at once each get their own answer`, async () => {
    await using server = await startServer();
    await using client = await connect(server, transport, { inFlight: 50 });
    const queues = await soon(Promise.all(Array.from({ length: 20 }, () => client.createQueue({ keyPair }))));
    assertEquals(new Set(queues.flatMap((queue) => [queue.recipientId, queue.senderId])).size, 40);
    const outcomes = await soon(Promise.all(queues.flatMap((queue, i) => [
      client.ping().then(() => "ok"),
      client.send(queue, textBytes(`${i}`)).then(() => "ok"),
      codeOf(client.subscribe({ ...queue, recipientId: queue.senderId })),
      client.secureQueue(queue, senderPair.publicKey).then(() => "ok"),
      codeOf(client.send(queue, body)),
      client.acknowledge(queue).then(() => "ok"),
      codeOf(client.acknowledge(queue)),
      client.subscribe(queue).then(() => "ok"),
      client.deleteQueue(queue).then(() => "ok"),
      codeOf(client.subscribe(queue)),
    ])));
    const expected = ["ok", "ok", "AUTH", "ok", "AUTH", "ok", "NO_MSG", "ok", "ok", "AUTH"];
    assertEquals(outcomes, queues.flatMap(() => expected));
  });
}

/** One call of each function, and the command that it sends. */
const calls: Readonly<Record<string, (client: SmpClient) => Promise<unknown>>> = {
  NEW: (client) => client.createQueue({ keyPair }),
  SUB: (client) => client.subscribe(fakeQueue),
  KEY: (client) => client.secureQueue(fakeQueue, senderPair.publicKey),
  ACK: (client) => client.acknowledge(fakeQueue),
  OFF: (client) => client.suspendQueue(fakeQueue),
  DEL: (client) => client.deleteQueue(fakeQueue),
  SEND: (client) => client.send(fakeQueue, body),
  PING: (client) => client.ping(),
};

Deno.test("every function rejects with every SmpError that a server may answer", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve();
  for (const [type, call] of Object.entries(calls)) {
    for (const error of smpErrorCodes) {
      const outcome = codeOf(call(client));
      const command = await peer.take();
      assertEquals(command.command.type, type);
      await peer.answer(command, { type: "ERR", error }, error === "BLOCK" ? "" : command.queueId);
      assertEquals(await outcome, error);
    }
  }
  await client.close();
});

Deno.test("every function rejects with UNEXPECTED when the answer is of another type", async () => {
  const message = { messageId: "bXNnaWRt", timestamp: new Date(0), body };
  const responses = [
    { type: "OK" },
    { type: "PONG" },
    { type: "IDS", recipientId: queueIds[0], senderId: queueIds[1] },
    { type: "MSG", ...message },
    { type: "END" },
  ] as const;
  const right: Readonly<Record<string, readonly string[]>> = {
    NEW: ["IDS"],
    SUB: ["OK", "MSG"],
    ACK: ["OK", "MSG"],
    PING: ["PONG"],
  };
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve();
  for (const [type, call] of Object.entries(calls)) {
    for (const response of responses) {
      // These need a queue ID, which NEW and PING do not have (smp.md Transmission).
      if ((type === "NEW" || type === "PING") && ["OK", "MSG", "END"].includes(response.type)) continue;
      const outcome = call(client).then(() => "ok", (error) => error);
      const command = await peer.take();
      await peer.answer(command, response, response.type === "PONG" ? "" : command.queueId);
      const result = await soon(outcome);
      if ((right[type] ?? ["OK"]).includes(response.type)) assertEquals(result, "ok");
      else {
        assertInstanceOf(result, TransportError);
        assertEquals(result.code, "UNEXPECTED", `${response.type} to ${type}`);
      }
    }
  }
  await client.close();
});

Deno.test("commands go out in the order of the calls, also when the first takes longer to sign", async () => {
  const slow = await keyOf("client", "sign");
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve();
  const outcomes = [client.subscribe({ ...fakeQueue, recipientKey: slow.privateKey }).catch(() => {})];
  for (let round = 0; round < 5; round++) {
    for (const call of Object.values(calls)) outcomes.push(call(client).then(() => {}, () => {}));
  }
  const commands = await peer.takeAll(outcomes.length);
  const types = Object.keys(calls);
  assertEquals(
    commands.map(({ command }) => command.type),
    ["SUB", ...types, ...types, ...types, ...types, ...types],
  );
  await client.close();
  await Promise.all(outcomes);
});

Deno.test("answers in another order find their commands", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve({ inFlight: 300 });
  const settled: number[] = [];
  const sent = Array.from({ length: 300 }, async (_, i) => {
    const outcome = await rejection(client.send({ senderId: queueIds[i % 3]! }, textBytes(`${i}`)));
    settled.push(i);
    return outcome instanceof SmpError ? outcome.code : "OK";
  });
  const commands = await peer.takeAll(300);
  for (let i = 299; i >= 0; i--) {
    const { command } = commands[i]!;
    assertEquals(command.type === "SEND" && command.body, textBytes(`${i}`));
    await peer.answer(commands[i]!, i % 2 ? { type: "OK" } : { type: "ERR", error: "QUOTA" });
  }
  assertEquals(await Promise.all(sent), sent.map((_, i) => i % 2 ? "OK" : "QUOTA"));
  assertEquals(settled, sent.map((_, i) => 299 - i));
  await client.close();
});

Deno.test("a body that is too long for a block is a RangeError and is not sent", async () => {
  await using server = await FakeServer.start();
  const { client, peer } = await server.serve();
  const tooLong = await rejection(client.send({ senderId: queueIds[0] }, new Uint8Array(4079)));
  assertInstanceOf(tooLong, RangeError);
  const longest = 4096 - 16 - 1 - ` ${"x".repeat(16)} ${queueIds[0]} SEND 4000   `.length;
  for (const [excess, text] of [[1, "it is 1 byte too long"], [2, "it is 2 bytes too long"]] as const) {
    const error = await rejection(client.send({ senderId: queueIds[0] }, new Uint8Array(longest + excess)));
    assertInstanceOf(error, RangeError);
    assertStringIncludes(error.message, text);
  }
  const sending = client.send({ senderId: queueIds[0] }, new Uint8Array(longest));
  const command = await peer.take();
  assertEquals(command.command.type === "SEND" && command.command.body.length, longest);
  await peer.answer(command, { type: "OK" });
  await soon(sending);
  await client.close();
});
