import { assert, assertEquals } from "@std/assert";
import { textBytes } from "../../protocol/mod.ts";
import { generateKeyPair } from "../../mod.ts";
import { extensionSettings } from "../support/extension_settings.ts";
import { opcodes, RawClient, RawWebSocket, socketNames } from "../support/raw_client.ts";
import { connect, startServer } from "../support/server.ts";
import { soon, until } from "../support/wait.ts";

const blockError = "   ERR BLOCK ";
const ping = (corrId: number) => ` ${corrId}  PING `;

/** After one ERR BLOCK, the end. */
async function refused(client: RawClient): Promise<void> {
  assertEquals(await client.receive(), blockError);
  assertEquals(await client.receive(), null);
}

/** The blocks of an attack on a connection that has sent nothing since its handshake. */
const attacks: Readonly<Record<string, (client: RawClient) => Promise<Uint8Array<ArrayBuffer>[]>>> = {
  "a changed first byte": async (client) => [flip(await client.seal(ping(1)), 0)],
  "a changed tag": async (client) => [flip(await client.seal(ping(1)), 15)],
  "a changed ciphertext": async (client) => [flip(await client.seal(ping(1)), 16)],
  "a changed last byte": async (client) => [flip(await client.seal(ping(1)), 4095)],
  "noughts": () => Promise.resolve([new Uint8Array(4096)]),
  "a later block first": async (client) => [await client.seal(ping(1)), await client.seal(ping(2))].slice(1),
};

function flip(block: Uint8Array<ArrayBuffer>, at: number): Uint8Array<ArrayBuffer> {
  block[at]! ^= 1;
  return block;
}

for (const socket of socketNames) {
  for (const { suffix, extensions } of extensionSettings) {
    for (const [name, make] of Object.entries(attacks)) {
      Deno.test(`over ${socket}, ${name} gets one ERR BLOCK, then the end${suffix}`, async () => {
        await using server = await startServer({ extensions });
        await using client = await RawClient.connect(server, socket);
        await client.channel.write(await make(client));
        await refused(client);
        await client[Symbol.asyncDispose]();
        await until(() => server.connections === 0);
      });
    }

    Deno.test(`over ${socket}, a replayed block gets one ERR BLOCK after the answers before it${suffix}`, async () => {
      await using server = await startServer({ extensions });
      await using client = await RawClient.connect(server, socket);
      const [first, second] = [await client.seal(ping(1)), await client.seal(ping(2))];
      await client.channel.write([first, second, first, second, await client.seal(ping(3))]);
      assertEquals([await client.receive(), await client.receive()], [" 1  PONG ", " 2  PONG "]);
      await refused(client);
    });

    Deno.test(`over ${socket}, a block of another connection gets ERR BLOCK, and the other goes on${suffix}`, async () => {
      await using server = await startServer({ extensions });
      await using victim = await RawClient.connect(server, socket);
      await using thief = await RawClient.connect(server, socket);
      const stolen = await victim.seal(ping(1));
      await thief.channel.write([stolen]);
      await refused(thief);
      await victim.channel.write([stolen]);
      assertEquals(await victim.receive(), " 1  PONG ");
    });

    Deno.test(`over ${socket}, a peer that keeps sending still gets its ERR BLOCK${suffix}`, async () => {
      await using server = await startServer({ extensions });
      await using client = await RawClient.connect(server, socket);
      let sent = 0, isOver = false;
      const sending = (async () => {
        for (;; sent++) await client.channel.write([new Uint8Array(4096)]);
      })().catch(() => isOver = true);
      // Of a slow one the server takes fewer before it closes.
      await until(() => sent > 500 || isOver);
      assertEquals(await client.receive(), blockError);
      await client[Symbol.asyncDispose]();
      await soon(sending);
      await until(() => server.connections === 0);
    });

    Deno.test(`over ${socket}, no command is executed after a bad block${suffix}`, async () => {
      await using server = await startServer({ extensions });
      await using honest = await connect(server);
      const queue = await honest.createQueue({ keyPair: await generateKeyPair("sign", 1024) });
      await using client = await RawClient.connect(server, socket);
      const send = await client.seal(` 1 ${queue.senderId} SEND 1 x  `);
      await client.channel.write([new Uint8Array(4096), send, send]);
      await refused(client);
      await honest.ping();
      assertEquals(server.metrics.messagesAccepted, 0);
    });

    Deno.test(`over ${socket}, contents that are no transmissions are answered, and the connection goes on${suffix}`, async () => {
      await using server = await startServer({ extensions });
      await using client = await RawClient.connect(server, socket);
      await client.send("", " ", "x".repeat(4000), "a b c d ", " 1  NONSENSE ", " 2  PONG ", ping(3));
      const answers = [];
      for (let i = 0; i < 7; i++) answers.push(await client.receive());
      assertEquals(answers, [
        blockError,
        blockError,
        blockError,
        " b  ERR BLOCK ",
        " 1  ERR CMD SYNTAX ",
        " 2  ERR CMD PROHIBITED ",
        " 3  PONG ",
      ]);
    });
  }
}

for (const bytes of [1, 15, 4095]) {
  Deno.test(`a peer that goes after ${bytes} bytes of a block leaves nothing`, async () => {
    await using server = await startServer();
    const client = await RawClient.connect(server);
    await client.send(ping(1));
    await client.channel.write([(await client.seal(ping(2))).subarray(0, bytes)]);
    assertEquals(await client.receive(), " 1  PONG ");
    await client[Symbol.asyncDispose]();
    await until(() => server.connections === 0);
  });
}

const messages: readonly (readonly [string, number, Uint8Array<ArrayBuffer>])[] = [
  ["an empty message", opcodes.binary, new Uint8Array(0)],
  ["a short message", opcodes.binary, new Uint8Array(4095)],
  ["a long message", opcodes.binary, new Uint8Array(4097)],
  ["a text message", opcodes.text, textBytes("x".repeat(4096))],
];
for (const [name, opcode, payload] of messages) {
  for (const count of [1, 10, 2_000]) {
    Deno.test(`over websocket, ${count} times ${name} gets one ERR BLOCK, then the end`, async () => {
      await using server = await startServer();
      const socket = await RawWebSocket.connect(server.webSocketPort!);
      await using client = await RawClient.handshake(socket);
      for (let i = 0; i < count; i++) {
        await socket.writeFrame(opcode, payload).catch((error) => assert(i > 0, error.message));
      }
      await refused(client);
    });
  }
}

Deno.test("over websocket, a message larger than any block closes the connection", async () => {
  await using server = await startServer();
  const socket = await RawWebSocket.connect(server.webSocketPort!);
  await using client = await RawClient.handshake(socket);
  await socket.writeFrame(opcodes.binary, new Uint8Array(1 << 20)).catch(() => {});
  assertEquals(await soon(client.channel.read(4096).catch(() => null)), null);
  await until(() => server.connections === 0);
});
