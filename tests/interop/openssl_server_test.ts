import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  blockSizes,
  decodePublicKey,
  generateKeyPair,
  importPrivateKey,
  type KeyPair,
  type PublicKey,
  SmpError,
  TransportError,
} from "../../protocol/mod.ts";
import { type QueueEvent, SmpClient } from "../../client/mod.ts";
import { NodePeer, type PeerLine, PeerServer } from "../support/node_peer.ts";
import { startServer } from "../support/server.ts";
import { base64, rsaVector } from "../support/vectors.ts";
import { next, soon } from "../support/wait.ts";

// The client against tests/peers/server.mjs, and next to tests/peers/client.mjs: they were written from the
// specification alone and take their cryptography from OpenSSL.

/** A client.mjs that runs a scenario against a server. */
function peerClient(
  server: { readonly port: number; readonly keyHash: string },
  scenario: string,
  options: PeerLine = {},
): NodePeer {
  return new NodePeer("client.mjs", [
    "127.0.0.1",
    String(server.port),
    server.keyHash,
    scenario,
    JSON.stringify(options),
  ]);
}

function signingKey(name: string): Promise<KeyPair<"sign">> {
  return importPrivateKey(base64(rsaVector(name).pkcs8), "sign");
}

function publicKey(name: string): PublicKey {
  return decodePublicKey(base64(rsaVector(name).spki));
}

const bytes = (text: string) => new TextEncoder().encode(text);

/** What an event says: the text of a message, or its type. */
function told(event: QueueEvent): string {
  return event.type === "MSG" ? `MSG ${new TextDecoder().decode(event.body)}` : event.type;
}

async function assertSmpError(task: Promise<unknown>, code: SmpError["code"]): Promise<void> {
  assertEquals((await assertRejects(() => task, SmpError)).code, code);
}

/** Every command, with keys of the client's own side, all answers included. */
async function liveLife(
  server: PeerServer,
  recipientKey: KeyPair<"sign">,
  senderKey: KeyPair<"sign">,
): Promise<void> {
  await using recipient = await server.connect();
  await using sender = await server.connect();
  const queue = await recipient.createQueue({ keyPair: recipientKey });
  const { senderId } = queue;
  const secured = { senderId, senderKey: senderKey.privateKey };
  const events = recipient.events(queue);

  await recipient.ping();
  await assertSmpError(sender.send(secured, bytes("signed too early")), "AUTH");
  await sender.send({ senderId }, bytes("hello"));
  assertEquals(told(await next(events)), "MSG hello");
  await recipient.secureQueue(queue, senderKey.publicKey);
  await assertSmpError(recipient.secureQueue(queue, senderKey.publicKey), "AUTH");
  await assertSmpError(sender.send({ senderId }, bytes("unsigned")), "AUTH");
  await assertSmpError(
    sender.send({ senderId, senderKey: recipientKey.privateKey }, bytes("forged")),
    "AUTH",
  );
  await sender.send(secured, bytes("one"));
  await recipient.subscribe(queue);
  assertEquals(told(await next(events)), "MSG hello");
  await recipient.acknowledge(queue);
  assertEquals(told(await next(events)), "MSG one");
  await recipient.acknowledge(queue);
  await assertSmpError(recipient.acknowledge(queue), "NO_MSG");
  await sender.send(secured, bytes("two"));
  assertEquals(told(await next(events)), "MSG two");
  await recipient.suspendQueue(queue);
  await recipient.suspendQueue(queue);
  await assertSmpError(sender.send(secured, bytes("too late")), "AUTH");
  await recipient.acknowledge(queue);
  await recipient.deleteQueue(queue);
  assertEquals(await soon(events.next()), { done: true, value: undefined });
  await assertSmpError(recipient.subscribe(queue), "AUTH");
  await assertSmpError(sender.send(secured, bytes("gone")), "AUTH");
}

const otherKey = await generateKeyPair("sign", 1024);

for (const key of ["rsa2048", "rsa2048BigExponent", "rsa3072", "rsa4096"]) {
  Deno.test(`the client lives the life of a queue on an independent server with key ${key}`, async () => {
    await using server = await PeerServer.start({ key });
    assertEquals(server.keyHash, rsaVector(key).hash);
    await liveLife(server, otherKey, await signingKey("rsa1024"));
  });
}

for (const key of ["rsa1024", "rsa1024BigExponent", "rsa1024GreaterExponent"]) {
  Deno.test(`the client says RSA_KEY to an independent server whose key ${key} is too short`, async () => {
    // transport.md Handshake, 3: 102 bytes, of which RSA-OAEP with SHA-256 takes 62 in 1024 bits
    await using server = await PeerServer.start({ key });
    const error = await assertRejects(() => soon(server.connect()), TransportError);
    assertEquals(error.code, "RSA_KEY");
    await server.line("event", "disconnected");
  });
}

Deno.test("the client refuses an independent server of another key hash with BAD_HASH and closes", async () => {
  await using server = await PeerServer.start();
  const address = `127.0.0.1:${server.port}#${rsaVector("rsa3072").hash}`;
  const error = await assertRejects(() => soon(SmpClient.connect(address)), TransportError);
  assertEquals(error.code, "BAD_HASH");
  assertEquals(await server.line("event", "connected"), { event: "connected" });
  // Without `welcomed` between the two: the client has not sent its keys.
  assertEquals(await server.line("event"), { event: "disconnected" });
});

Deno.test("the client takes every block size that an independent server proposes", async () => {
  for (const blockSize of blockSizes) {
    await using server = await PeerServer.start({ blockSize });
    await using client = await server.connect();
    await client.ping();
    assertEquals((await server.line("event", "welcomed")).blockSize, blockSize);
  }
});

Deno.test("the client asks an independent server for every block size, whatever it proposes", async () => {
  await using server = await PeerServer.start({ blockSize: 8192 });
  for (const blockSize of blockSizes) {
    await using client = await server.connect({ blockSize });
    await client.ping();
    assertEquals((await server.line("event", "welcomed")).blockSize, blockSize);
  }
});

Deno.test("OpenSSL accepts the client's signatures of every key size", async () => {
  await using server = await PeerServer.start();
  const names = ["rsa1024", "rsa2048", "rsa3072", "rsa4096"];
  for (const name of names) await liveLife(server, await signingKey(name), otherKey);
  for (const name of names) await liveLife(server, otherKey, await signingKey(name));
});

Deno.test("100 messages through an independent server come in order", async () => {
  await using server = await PeerServer.start();
  await using recipient = await server.connect();
  await using sender = await server.connect();
  const queue = await recipient.createQueue({ keyPair: otherKey });
  const texts = Array.from({ length: 100 }, (_, index) => `message ${index}`);
  const sent = Promise.all(texts.map((text) => sender.send(queue, bytes(text))));
  const events = recipient.events(queue);
  const received: string[] = [];
  while (received.length < texts.length) {
    received.push(told(await next(events)));
    await recipient.acknowledge(queue);
  }
  await sent;
  assertEquals(received, texts.map((text) => `MSG ${text}`));
  await assertSmpError(recipient.acknowledge(queue), "NO_MSG");
});

Deno.test("bodies of every byte value and of the full size pass an independent server", async () => {
  await using server = await PeerServer.start();
  await using client = await server.connect();
  const queue = await client.createQueue({ keyPair: otherKey });
  const events = client.events(queue);
  const bodies = [
    new Uint8Array(0),
    Uint8Array.from({ length: 256 }, (_, byte) => byte),
    bytes("  "),
    bytes("##"),
    bytes("5 hello  "),
    crypto.getRandomValues(new Uint8Array(4015)),
    new Uint8Array(4015).fill(0x20),
    new Uint8Array(4015).fill(0x23),
  ];
  for (const body of bodies) {
    await client.send({ senderId: queue.senderId }, body);
    const event = await next(events);
    assert(event.type === "MSG");
    assertEquals(event.body, body);
    assertEquals(event.recipientId, queue.recipientId);
    await client.acknowledge(queue);
  }
});

Deno.test("an independent server's takeover ends the former client's events with END", async () => {
  await using server = await PeerServer.start();
  await using former = await server.connect();
  await using other = await server.connect();
  const queue = await former.createQueue({ keyPair: otherKey });
  await other.send({ senderId: queue.senderId }, bytes("for both"));
  const events = former.events(queue);
  const message = await next(events);
  await other.subscribe(queue);
  const again = await next(other.events(queue));
  // One has created the queue, the other subscribed to it.
  assertEquals([message.sequence, again.sequence], [0, 1]);
  assertEquals({ ...again, sequence: 0 }, message);
  assertEquals(told(await next(events)), "END");
  assertEquals(await soon(events.next()), { done: true, value: undefined });
  await assertSmpError(former.acknowledge(queue), "NO_MSG");
  await other.acknowledge(queue);
});

Deno.test("the client keeps a connection to an independent server alive with PINGs", async () => {
  await using server = await PeerServer.start();
  await using client = await server.connect({ keepAliveInterval: 10, keepAliveCount: 10_000 });
  for (let pings = 0; pings < 3; pings++) await server.line("name", "PING");
  await client.createQueue({ keyPair: otherKey });
});

Deno.test("the client gives up an independent server that does not answer PINGs", async () => {
  await using server = await PeerServer.start({ mute: ["PING"] });
  await using client = await server.connect({ keepAliveInterval: 100, keepAliveCount: 2 });
  assertEquals((await soon(client.closed)).code, "TIMEOUT");
  // On a busy machine the second one is not written before the end.
  await server.line("name", "PING");
  await server.line("event", "disconnected");
});

Deno.test("all iterators of a client fail when an independent server is killed", async () => {
  await using server = await PeerServer.start();
  await using client = await server.connect();
  const queue = await client.createQueue({ keyPair: otherKey });
  const waiting = [client.events(queue).next(), client.events().next()];
  server.kill();
  for (const result of await soon(Promise.allSettled(waiting))) {
    assert(result.status === "rejected");
    assertInstanceOf(result.reason, TransportError);
    assertEquals(result.reason.code, "NETWORK");
  }
  assertEquals((await soon(client.closed)).code, "NETWORK");
  const late = await assertRejects(() => soon(client.ping()), TransportError);
  assertEquals(late.code, "NETWORK");
});

Deno.test("all pending commands fail when an independent server is killed, their outcome unknown", async () => {
  await using server = await PeerServer.start({ mute: ["SUB", "SEND", "ACK"] });
  await using client = await server.connect();
  const queue = await client.createQueue({ keyPair: otherKey });
  const { senderId } = queue;
  const pending = [
    client.subscribe(queue),
    client.acknowledge(queue),
    ...Array.from({ length: 30 }, () => client.send({ senderId }, bytes("hello"))),
  ];
  await server.line("name", "SUB");
  for (let sends = 0; sends < 30; sends++) await server.line("name", "SEND");
  server.kill();
  for (const result of await soon(Promise.allSettled(pending))) {
    assert(result.status === "rejected");
    assertInstanceOf(result.reason, TransportError);
    assertEquals(result.reason.code, "NETWORK");
    assert(result.reason.message.includes("whether it was executed is unknown"), result.reason.message);
  }
  assertEquals((await soon(client.closed)).code, "NETWORK");
});

const bodies = ["hello", "", " ", "#", "a body with several words", "\u00ff\u0000\n"];

const largeKeys = ["rsa1024BigExponent", "rsa2048BigExponent", "rsa4096"];

/** The client receives from client.mjs, whose key has a big exponent, and the other way round. */
async function assertExchange(
  server: { readonly port: number; readonly keyHash: string },
  keys: readonly string[] = largeKeys,
): Promise<void> {
  await using client = await SmpClient.connect(`127.0.0.1:${server.port}#${server.keyHash}`);
  for (const senderKey of keys) {
    const queue = await client.createQueue({ keyPair: otherKey });
    await client.secureQueue(queue, publicKey(senderKey));
    await using sender = peerClient(server, "send", { senderKey, senderId: queue.senderId, bodies });
    const events = client.events(queue);
    for (const body of bodies) {
      const event = await next(events);
      assert(event.type === "MSG");
      assertEquals(event.body, latin1(body));
      await client.acknowledge(queue);
    }
    await sender.line("done", "send");
    assertEquals(await sender.ended(), 0);
  }
  for (const recipientKey of keys) {
    await using recipient = peerClient(server, "receive", { recipientKey, senderKey: "rsa3072", bodies });
    const { senderId } = await recipient.line("senderId");
    const { privateKey } = await signingKey("rsa3072");
    const queue = { senderId: String(senderId), senderKey: privateKey };
    for (const body of bodies) await client.send(queue, latin1(body));
    await recipient.line("done", "receive");
    assertEquals(await recipient.ended(), 0);
  }
}

function latin1(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

Deno.test("the client exchanges messages with an independent client through an independent server", async () => {
  await using server = await PeerServer.start({ key: "rsa2048BigExponent" });
  await assertExchange(server);
});

Deno.test("the client exchanges messages with an independent client through the server", async () => {
  await using server = await startServer();
  // OpenSSL verifies nothing by such a key, so that the independent server cannot take it.
  await assertExchange(server, [...largeKeys, "rsa1024GreaterExponent"]);
});

Deno.test("the independent client and server agree with each other", async () => {
  const scenarios =
    "handshake,refusedHandshakes,life,takeover,redelivery,suspended,deleted,wrongSignatures," +
    "tampered,pipeline,bodies,errors";
  await using server = await PeerServer.start({ key: "rsa2048BigExponent" });
  for (const [recipientKey, senderKey] of [["rsa2048BigExponent", "rsa1024"], ["rsa1024", "rsa4096"]]) {
    const options = { recipientKey, senderKey, count: 50, queues: 2 };
    await using client = peerClient(server, scenarios, options);
    await client.line("done", scenarios);
    assertEquals(await client.ended(), 0);
  }
});
