import { assertEquals } from "@std/assert";
import { blockSizes } from "../../protocol/mod.ts";
import { parseIdentity } from "../../server/mod.ts";
import { openSslLack } from "../support/openssl.ts";
import { extensionSettings } from "../support/extension_settings.ts";
import { requiring } from "../support/requires.ts";
import type { PeerLine } from "../support/node_peer.ts";
import { PeerClients } from "../support/peer_clients.ts";
import { startServer } from "../support/server.ts";
import { ServerProcess, temporaryFolder } from "../support/server_process.ts";
import { rsaVector } from "../support/vectors.ts";

// The server against tests/peers/client.mjs, which checks every answer itself: it was written from the specification
// alone and takes its cryptography from OpenSSL.

let client: PeerClients;

Deno.test.beforeAll(() => {
  client = new PeerClients("client.mjs");
});

Deno.test.afterAll(() => client[Symbol.asyncDispose]());

/** Tests of one scenario, each against a server of its own. */
function testPeer(
  name: string,
  scenario: string,
  options: PeerLine = {},
): void {
  for (const { suffix, extensions } of extensionSettings) {
    Deno.test(`${name}${suffix}`, async () => {
      await using server = await startServer({ extensions, limits: { messagesPerQueue: 200 } });
      await client.run(server, scenario, options);
    });
  }
}

for (const webSocket of [false, true]) {
  const over = webSocket ? "over a WebSocket " : "";

  for (const { suffix, extensions } of extensionSettings) {
    Deno.test(`an independent client ${over}shakes hands with the server at its every block size${suffix}`, async () => {
      for (const blockSize of blockSizes) {
        await using server = await startServer({ blockSize, extensions });
        const lines = await client.run(server, "handshake", { webSocket });
        const handshake = lines.find((line) => line.step === "handshake");
        const { serverBlockSize, blockSize: used, version, extra } = handshake!;
        assertEquals({ serverBlockSize, used, version, extra }, {
          serverBlockSize: blockSize,
          used: blockSize,
          version: "0.3.2.0",
          extra: extensions.length === 0 ? "" : `ext=${extensions.join(",")} `,
        });
      }
    });
  }

  Deno.test(`an independent client ${over}lives the life of a queue at every block size it asks for`, async () => {
    await using server = await startServer();
    for (const blockSize of blockSizes) {
      const lines = await client.run(server, "life", { webSocket, blockSize });
      const handshakes = lines.filter((line) => line.step === "handshake");
      assertEquals(new Set(handshakes.map((line) => line.serverBlockSize)), new Set([4096]));
      assertEquals(new Set(handshakes.map((line) => line.blockSize)), new Set([blockSize]));
    }
  });

  testPeer(`an independent client ${over}lives the life of a queue`, "life", { webSocket });
  testPeer(`SUB from another connection ${over}ends the former one's subscription`, "takeover", {
    webSocket,
  });
  testPeer(`a message that was not acknowledged is delivered again ${over}`.trim(), "redelivery", {
    webSocket,
  });
  testPeer(`a suspended queue ${over}refuses messages and can be read`, "suspended", { webSocket });
  testPeer(`a deleted queue ${over}is AUTH for every command`, "deleted", { webSocket });
  testPeer(`a tampered or repeated block ${over}gets one ERR BLOCK and the end`, "tampered", { webSocket });
  testPeer(`a handshake that is not right ${over}is not answered`, "refusedHandshakes", { webSocket });
  testPeer(`bodies ${over}are bytes of every value and up to 4015`, "bodies", { webSocket });
  testPeer(`wrong transmissions ${over}get the error of the first failure`, "errors", { webSocket });
  testPeer(`200 SENDs at once ${over}are accepted and delivered in order`, "pipeline", {
    webSocket,
    count: 200,
    queues: 1,
  });
}

const lifeKeys = ["rsa1024", "rsa3072", "rsa4096", "rsa1024BigExponent", "rsa2048BigExponent"];
lifeKeys.push("rsa1024GreaterExponent");

for (const name of lifeKeys) {
  testPeer(`an independent client lives the life of a queue with both keys ${name}`, "life", {
    recipientKey: name,
    senderKey: name,
  });
}

const keyPairs = [
  ["rsa2048", "rsa2048"],
  ["rsa4096", "rsa3072"],
  ["rsa1024BigExponent", "rsa4096"],
  ["rsa3072", "rsa1024BigExponent"],
  ["rsa2048BigExponent", "rsa2048"],
  ["rsa1024", "rsa2048BigExponent"],
  ["rsa2048BigExponent", "rsa1024BigExponent"],
  ["rsa1024GreaterExponent", "rsa2048"],
  ["rsa4096", "rsa1024GreaterExponent"],
] as const;

for (const [recipientKey, senderKey] of keyPairs) {
  testPeer(
    `only the right signature is accepted, with recipient key ${recipientKey} and sender key ${senderKey}`,
    "wrongSignatures",
    { recipientKey, senderKey },
  );
}

const testOpenSsl = requiring(openSslLack);

testOpenSsl("a server on OpenSSL takes exponents of 1024 bits, also greater than the modulus", async () => {
  await using folder = await temporaryFolder();
  await using server = await ServerProcess.start({ folder: folder.path, openSsl: true });
  const peer = { port: server.port("TCP"), keyHash: server.keyHash };
  for (const name of ["rsa1024GreaterExponent", "rsa1024BigExponent", "rsa2048BigExponent"]) {
    await client.run(peer, "life,wrongSignatures", { recipientKey: name, senderKey: name });
  }
});

testPeer(
  "200 SENDs at once to three queues, signed with a big exponent, keep each queue's order",
  "pipeline",
  {
    count: 200,
    queues: 3,
    senderKey: "rsa2048BigExponent",
  },
);

testPeer(
  "a signed full-size body from a larger block reaches a block of 4096, one byte more is SIZE",
  "fullSize",
  {
    senderBlockSize: 8192,
  },
);

for (const name of ["rsa2048", "rsa3072", "rsa4096"]) {
  Deno.test(`an independent client shakes hands with a server whose OpenSSL-made key is ${name}`, async () => {
    const identity = await parseIdentity(rsaVector(name).pkcs1Pem);
    assertEquals(identity.keyHash, rsaVector(name).hash);
    await using server = await startServer({ identity });
    await client.run(server, "handshake,refusedHandshakes");
  });
}

testPeer("a WebSocket message in fragments is one block", "fragments", { webSocket: true });
testPeer("a WebSocket message in fragments is one block of 65536", "fragments", {
  webSocket: true,
  blockSize: 65536,
});
testPeer("a WebSocket text message gets ERR BLOCK and the end", "text", { webSocket: true });
testPeer("a WebSocket message of another length gets ERR BLOCK and the end", "wrongLength", {
  webSocket: true,
});
testPeer("a WebSocket message longer than the largest block gets ERR BLOCK and the end", "tooLong", {
  webSocket: true,
});

testPeer("a WebSocket message of a million bytes ends its connection and no other", "huge", {
  webSocket: true,
});

Deno.test("nothing of an independent client is left in the server when it has closed", async () => {
  await using server = await startServer();
  await client.run(server, "life,takeover,tampered,refusedHandshakes");
  await client.run(server, "life,takeover,tampered,text,wrongLength", { webSocket: true });
  await server.stop();
  assertEquals(server.connections, 0);
  assertEquals(server.metrics.internalErrors, 0);
});
