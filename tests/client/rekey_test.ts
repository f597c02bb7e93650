import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  type ForwardSecrecy,
  generateKeyPair,
  type ServerResponse,
  SmpError,
  TransportError,
} from "../../mod.ts";
import { answerRekey, serverExtensions, textBytes } from "../../protocol/mod.ts";
import { corrIdOf, FakePeer, FakeServer, queueIds, rejection } from "../support/fake_server.ts";
import { connect, startServer, transportNames } from "../support/server.ts";
import { next, soon } from "../support/wait.ts";

const keyPair = await generateKeyPair("sign", 1024);
const modes: readonly ForwardSecrecy[] = ["preferred", "required", "off"];
const reason = new Error("never mind");

async function errorOf(promise: Promise<unknown>): Promise<TransportError> {
  const error = await rejection(promise);
  assertInstanceOf(error, TransportError);
  return error;
}

for (const transport of transportNames) {
  for (const forwardSecrecy of modes) {
    Deno.test(`over ${transport}, forwardSecrecy ${forwardSecrecy} does what it says where rekey1 is listed`, async () => {
      await using server = await startServer();
      await using client = await connect(server, transport, { forwardSecrecy });
      assertEquals(client.isForwardSecret, forwardSecrecy !== "off");
      assertEquals(client.extensions, serverExtensions);
      const queue = await client.createQueue({ keyPair });
      await client.send(queue, textBytes("x"));
      const event = await next(client.events(queue));
      assertEquals(event.type, "MSG");
    });
  }

  Deno.test(`over ${transport}, a server without rekey1 is used, unless forward secrecy is required`, async () => {
    await using server = await startServer({ extensions: ["open1", "window1", "blocks1"] });
    for (const forwardSecrecy of ["preferred", "off"] as const) {
      await using client = await connect(server, transport, { forwardSecrecy });
      assertEquals(client.isForwardSecret, false);
      await client.ping();
    }
    const { code, message } = await errorOf(connect(server, transport, { forwardSecrecy: "required" }));
    assertEquals(code, "FORWARD_SECRECY");
    assert(message.includes("does not list rekey1; its operator must"), message);
  });
}

Deno.test("REKEY is the first command, has no credentials, and names among unknown extensions count", async () => {
  await using server = await FakeServer.start("memory", ["later9", "rekey1", "other1"]);
  const connecting = server.connect();
  const peer = await FakePeer.handshake(await server.accept(), server.extensions);
  const before = peer.blocks.binding;
  await peer.rekey();
  await using client = await soon(connecting);
  assert(client.isForwardSecret);
  assert(before.join() !== peer.blocks.binding.join());
  const ping = client.ping();
  await peer.answer(await peer.take(), { type: "PONG" });
  await soon(ping);
});

Deno.test("a server that refuses a connection without forward secrecy is left before any command", async () => {
  await using server = await FakeServer.start("memory", ["open1"]);
  const connecting = errorOf(server.connect({ forwardSecrecy: "required" }));
  const peer = await FakePeer.handshake(await server.accept(), server.extensions);
  assertEquals((await connecting).code, "FORWARD_SECRECY");
  assertEquals(await soon(peer.takeLater()), null);
});

/** What a server that lists rekey1 says instead, and what that is for the client. */
const wrongs: Readonly<Record<string, readonly [code: string, says: (peer: FakePeer) => Promise<void>]>> = {
  "ERR CMD SYNTAX": ["UNEXPECTED", answering({ type: "ERR", error: "CMD SYNTAX" })],
  "ERR CMD PROHIBITED": ["UNEXPECTED", answering({ type: "ERR", error: "CMD PROHIBITED" })],
  "ERR AUTH": ["UNEXPECTED", answering({ type: "ERR", error: "AUTH" })],
  "PONG": ["UNEXPECTED", answering({ type: "PONG" })],
  "REKEY with nothing": ["RESPONSE", answering({ type: "REKEY", payload: new Uint8Array(0) })],
  "REKEY with one byte too few": ["RESPONSE", answering({ type: "REKEY", payload: key(1119) })],
  "REKEY with one byte too many": ["RESPONSE", answering({ type: "REKEY", payload: key(1121) })],
  "REKEY with a key of zeros": ["RESPONSE", answering({ type: "REKEY", payload: new Uint8Array(1120) })],
  "what is no answer": ["RESPONSE", async (peer) => {
    await peer.send(` ${corrIdOf(await peer.take())}  NONSENSE `);
  }],
  "another command's answer": ["UNEXPECTED", async (peer) => {
    await peer.take();
    await peer.send(` other  PONG `);
  }],
  "the answer to another REKEY": ["UNEXPECTED", async (peer) => {
    const { command } = await peer.take();
    assert(command.type === "REKEY");
    const { payload } = (await answerRekey(command.payload, peer.blocks.binding))!;
    await peer.answer({ ...noCommand, corrId: textBytes("other") }, { type: "REKEY", payload });
  }],
  "a message before the answer": ["UNEXPECTED", async (peer) => {
    await peer.take();
    await peer.push(queueIds[0], { type: "END" });
  }],
  "nothing any more": ["TERMINATED", async (peer) => {
    await peer.take();
    await peer.channel.end();
  }],
};

const noCommand = {
  signature: new Uint8Array(0),
  signed: new Uint8Array(0),
  queueId: "",
  command: { type: "PING" },
} as const;

function answering(response: ServerResponse) {
  return async (peer: FakePeer) => await peer.answer(await peer.take(), response, "");
}

/** A key that is one, and zeros. */
function key(length: number): Uint8Array {
  return new Uint8Array(length).fill(9, 0, 1);
}

for (const [what, [code, say]] of Object.entries(wrongs)) {
  for (const forwardSecrecy of ["preferred", "required"] as const) {
    Deno.test(`a server that lists rekey1 and says ${what} is not used (${forwardSecrecy})`, async () => {
      await using server = await FakeServer.start("memory", serverExtensions);
      const connecting = errorOf(server.connect({ forwardSecrecy }));
      const peer = await FakePeer.handshake(await server.accept(), server.extensions);
      await say(peer);
      const error = await connecting;
      assertEquals(error.code, code, error.message);
      if (what.startsWith("ERR")) assertInstanceOf(error.cause, SmpError);
      // It has closed the connection, and sent nothing more.
      assertEquals(await soon(peer.takeLater()), null);
    });
  }
}

Deno.test("a server that does not know the secret can say nothing", async () => {
  await using server = await FakeServer.start("memory", serverExtensions);
  const connecting = server.connect();
  const peer = await FakePeer.handshake(await server.accept(), server.extensions);
  await answering({ type: "REKEY", payload: key(1120) })(peer);
  await using client = await soon(connecting);
  const ping = errorOf(client.ping());
  await peer.send(" x  PONG ");
  assertEquals((await ping).code, "AES_DECRYPT");
  assertEquals((await soon(client.closed)).code, "AES_DECRYPT");
});

Deno.test("connecting times out, and is aborted, while the answer to REKEY does not come", async () => {
  await using server = await FakeServer.start("memory", serverExtensions);
  const late = errorOf(server.connect({ connectTimeout: 1000 }));
  const channel = await server.accept();
  // On a busy machine the time may be over before.
  const first = await FakePeer.handshake(channel, server.extensions).catch(() => null);
  assertEquals((await late).code, "TIMEOUT");
  const end = async () => {
    while (await first?.takeLater().catch(() => null)) { /* REKEY */ }
  };
  await soon(end());
  const control = new AbortController();
  const aborted = rejection(server.connect({ signal: control.signal }));
  const second = await FakePeer.handshake(await server.accept(), server.extensions);
  await second.take();
  control.abort(reason);
  assertEquals(await aborted, reason);
  assertEquals(await soon(second.takeLater()), null);
});

Deno.test("without X25519 on its side a client goes without forward secrecy, unless that is required", async () => {
  const { generateKey } = crypto.subtle;
  await using server = await startServer();
  const lacking = (algorithm: unknown, ...rest: unknown[]) =>
    algorithm === "X25519"
      ? Promise.reject(new DOMException("unknown algorithm", "NotSupportedError"))
      : Reflect.apply(generateKey, crypto.subtle, [algorithm, ...rest]);
  Object.assign(crypto.subtle, { generateKey: lacking });
  try {
    await using client = await connect(server, "memory");
    assertEquals(client.isForwardSecret, false);
    await client.ping();
    const { code, message } = await errorOf(connect(server, "memory", { forwardSecrecy: "required" }));
    assertEquals(code, "FORWARD_SECRECY");
    assert(message.includes("no X25519"), message);
  } finally {
    Object.assign(crypto.subtle, { generateKey });
  }
});

Deno.test("option forwardSecrecy is one of three words", async () => {
  for (const forwardSecrecy of ["", "yes", true, null] as unknown as ForwardSecrecy[]) {
    await using server = await FakeServer.start();
    await assertRejects(() => server.connect({ forwardSecrecy }), RangeError, "forwardSecrecy");
  }
});
