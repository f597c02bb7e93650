import { assert, assertEquals } from "@std/assert";
import {
  answerRekey,
  asciiText,
  BlockChannel,
  clientHandshake,
  contentLimit,
  decodeBase64,
  decodeClientHandshake,
  decodeClientTransmission,
  decodePublicKey,
  decodeServerTransmission,
  decryptBody,
  encodeBase64,
  encodeClientHandshake,
  encodeClientTransmission,
  encodePublicKeyText,
  encodeServerTransmission,
  encodeSigned,
  formatAddress,
  formatQueueInfo,
  importPrivateKey,
  largestWindow,
  memoryChannelPair,
  parseAddress,
  ParseError,
  parsePrivateKeyPem,
  parsePublicKeyText,
  parseQueueInfo,
  parseServer,
  type ServerResponse,
  splitBody,
  startRekey,
  textBytes,
  TransportError,
} from "../../protocol/mod.ts";
import { base64, rsaVector, vectors } from "../support/vectors.ts";
import { channelOf, expecting, expectingAsync, type Target } from "./target.ts";

const small = rsaVector("rsa1024"), large = rsaVector("rsa2048BigExponent");
const id = encodeBase64(new Uint8Array(12).fill(7));
const keyHash = encodeBase64(new Uint8Array(32).fill(9));
const noId = new Uint8Array(0);
const binding = new Uint8Array(32).fill(3);
const rekey = await startRekey();
const rekeyAnswer = (await answerRekey(rekey.payload, binding))!.payload;

function clientTransmissions(): Uint8Array[] {
  const [recipientKey, senderKey] = [small, large].map(({ text }) => parsePublicKeyText(text));
  const corrId = textBytes("1");
  const body = textBytes("hello");
  return [
    encodeSigned(corrId, "", { type: "NEW", recipientKey: recipientKey! }),
    encodeSigned(corrId, id, { type: "KEY", senderKey: senderKey! }),
    ...(["SUB", "ACK", "OFF", "DEL"] as const).map((type) => encodeSigned(corrId, id, { type })),
    encodeSigned(corrId, id, { type: "SEND", body }),
  ].map((signed) => encodeClientTransmission(new Uint8Array(128), signed)).concat([
    encodeClientTransmission(noId, encodeSigned(corrId, id, { type: "SEND", body })),
    encodeClientTransmission(noId, encodeSigned(corrId, "", { type: "PING" })),
  ]);
}

function extensionTransmissions(): Uint8Array[] {
  const corrId = textBytes("1");
  const open = encodeSigned(corrId, id, { type: "OPEN", binding: keyHash });
  const others: Uint8Array<ArrayBuffer>[] = [
    encodeSigned(corrId, id, { type: "SUBN", window: largestWindow }),
    encodeSigned(corrId, id, { type: "ACKM", messageId: "AAAAAAAA" }),
    encodeSigned(corrId, "", { type: "REKEY", payload: rekey.payload }),
    encodeSigned(corrId, "", { type: "PASS", proof: binding }),
  ];
  return [
    encodeClientTransmission(new Uint8Array(128), open),
    ...others.map((signed) => encodeClientTransmission(noId, signed)),
  ];
}

function serverTransmissions(): Uint8Array[] {
  const responses: readonly (readonly [queueId: string, response: ServerResponse])[] = [
    ["", { type: "IDS", recipientId: id, senderId: id }],
    ["", { type: "PONG" }],
    ["", { type: "REKEY", payload: rekeyAnswer }],
    [id, { type: "OK" }],
    [id, { type: "END" }],
    [id, { type: "ERR", error: "CMD KEY_SIZE" }],
    [id, { type: "MSG", messageId: id, timestamp: new Date(0), body: textBytes("hello") }],
  ];
  return responses.map(([queueId, response]) =>
    encodeServerTransmission({ corrId: textBytes("1"), queueId, response })
  );
}

const decryption = await importPrivateKey(base64(rsaVector("rsa2048").pkcs8), "decrypt");
const session = { key: new Uint8Array(32).fill(1), iv: new Uint8Array(16).fill(2) };

/** Everything in `protocol` that takes bytes from a peer. */
export const protocolTargets: readonly Target[] = [
  {
    name: "client transmission",
    seeds: clientTransmissions(),
    words: ["NEW ", "SUB ", "KEY ", "ACK ", "OFF ", "DEL ", "SEND ", "PING ", " ", "rsa:", "AAAA", "5 ", "#"],
    run(input) {
      const decoded = decodeClientTransmission(input);
      if (!decoded.ok) return;
      const { signature, corrId, queueId, command } = decoded.value;
      const again = encodeClientTransmission(signature, encodeSigned(corrId, queueId, command));
      assertEquals(decodeClientTransmission(again), decoded);
    },
  },
  {
    name: "client transmission with extensions",
    seeds: [...clientTransmissions(), ...extensionTransmissions()],
    words: ["OPEN ", "SUBN ", "ACKM ", "REKEY ", "PASS ", "SUB ", " ", "128 ", "129 ", "0", "AAAA", "#"],
    run(input) {
      const isOpened = (queueId: string) => queueId === id;
      const decoded = decodeClientTransmission(input, { has: () => true, isOpened });
      const usual = decodeClientTransmission(input);
      // A server without extensions knows what a signature needs, and none of the new commands.
      if (usual.ok) assertEquals(decoded, usual);
      if (!decoded.ok) return;
      const { signature, corrId, queueId, command } = decoded.value;
      const again = encodeClientTransmission(signature, encodeSigned(corrId, queueId, command));
      assertEquals(decodeClientTransmission(again, { has: () => true, isOpened }), decoded);
    },
  },
  {
    name: "a client's rekeying",
    seeds: [rekey.payload],
    words: ["\0".repeat(32)],
    async run(input) {
      const answer = await answerRekey(input, binding);
      if (answer === null) return;
      assertEquals([input.length, answer.payload.length], [rekey.payload.length, rekeyAnswer.length]);
      assertEquals(Object.values(answer.keys).map(({ length }) => length).sort(), [16, 16, 32, 32]);
    },
  },
  {
    name: "a server's rekeying",
    seeds: [rekeyAnswer],
    words: ["\0".repeat(32)],
    async run(input) {
      const keys = await (await startRekey()).finish(input, binding);
      if (keys !== null) assertEquals(input.length, rekeyAnswer.length);
    },
  },
  {
    name: "server transmission",
    seeds: serverTransmissions(),
    words: [
      "IDS ",
      "MSG ",
      "OK ",
      "ERR ",
      "PONG ",
      "END ",
      "REKEY ",
      "CMD ",
      "AUTH ",
      " ",
      "1970-01-01T00:00:00.000Z ",
    ],
    run(input) {
      const decoded = decodeServerTransmission(input);
      if (!decoded.ok) return;
      assertEquals(decodeServerTransmission(encodeServerTransmission(decoded.value)), decoded);
    },
  },
  {
    name: "address",
    seeds: ["smp.example.org", `smp.example.org:5223#${keyHash}`, `[::1]:1#${keyHash}`].map(textBytes),
    words: [":", "#", "[", "]", "::", "65535", keyHash],
    run(input) {
      const address = expecting(ParseError, () => parseAddress(asciiText(input)));
      if (address !== null) assertEquals(parseAddress(formatAddress(address)), address);
      const given = expecting(ParseError, () => parseServer(asciiText(input)));
      if (given?.password === undefined) return assertEquals(given?.server ?? null, address);
      assertEquals(address, null);
      assertEquals(parseServer(`${given.password}@${formatAddress(given.server)}`), given);
    },
  },
  {
    name: "queue info",
    seeds: [`smp::localhost:5223#${keyHash}::${id}::${small.text}`, `smp::a::${id}::${large.text}`].map(
      textBytes,
    ),
    words: ["smp::", "::", "rsa:", "#", ":", id],
    run(input) {
      const info = expecting(ParseError, () => parseQueueInfo(asciiText(input)));
      if (info !== null) assertEquals(parseQueueInfo(formatQueueInfo(info)), info);
    },
  },
  {
    name: "public key",
    seeds: [small, large].flatMap(({ spki, text }) => [base64(spki), textBytes(text)]),
    words: ["rsa:", "\x30\x82", "\x02\x81", "\x02\x01", "\x03\x82", "\x05\x00", "\x80"],
    run(input) {
      const key = expecting(ParseError, () => decodePublicKey(input));
      if (key !== null) assertEquals(key.der, input);
      const text = asciiText(input);
      const read = expecting(ParseError, () => parsePublicKeyText(text));
      if (read !== null) assertEquals(encodePublicKeyText(read), text);
    },
  },
  {
    name: "private key",
    seeds: [small, large].flatMap(({ pkcs1Pem, pkcs8 }) => [
      textBytes(pkcs1Pem),
      textBytes(`-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`),
    ]),
    words: ["-----BEGIN ", "-----END ", "RSA PRIVATE KEY-----", "PRIVATE KEY-----", "\n", "\r\n", "MII"],
    run(input) {
      expecting(ParseError, () => parsePrivateKeyPem(asciiText(input)));
    },
  },
  {
    name: "base64",
    seeds: ["", "AA==", "AAA=", "AAAA", id].map(textBytes),
    words: ["=", "==", "+", "/"],
    run(input) {
      const bytes = decodeBase64(asciiText(input));
      if (bytes !== null) assertEquals(encodeBase64(bytes), asciiText(input));
    },
  },
  {
    name: "what a server says in the handshake",
    seeds: [
      new Uint8Array([...base64(vectors.transport.serverHeader), ...base64(rsaVector("rsa2048").spki)]),
    ],
    words: ["\x00\x00\x10\x00\x00\x00\x01\x26", "\x00\x01\x00\x00"],
    async run(input) {
      const done = await expectingAsync(TransportError, () => clientHandshake(channelOf(input)));
      assertEquals(done, null, "a handshake went well without the session keys");
    },
  },
  {
    name: "what a client says in the handshake",
    seeds: [base64(vectors.transport.clientHandshake.plaintext)],
    words: ["\x00\x00\x10\x00\x00\x00", "\x00\x01\x00\x00\x00\x00"],
    run(input) {
      const handshake = decodeClientHandshake(input);
      if (handshake !== null) assertEquals(encodeClientHandshake(handshake), input);
    },
  },
  {
    name: "blocks that are not authentic",
    seeds: [new Uint8Array(4096), ...vectors.transport.blocks.map(({ block }) => base64(block))],
    words: [],
    async run(input) {
      const keys = { sndKey: session.key, sndBaseIv: session.iv, rcvKey: session.key, rcvBaseIv: session.iv };
      const channel = await BlockChannel.create(channelOf(input), 4096, keys);
      const content = await expectingAsync(TransportError, () => channel.read());
      assert(content === null, "a block was taken");
    },
  },
  {
    name: "contents of blocks",
    seeds: [new Uint8Array(0), textBytes("hello"), new Uint8Array(contentLimit(4096)).fill(35)],
    words: ["#", "##"],
    async run(input) {
      const [near, far] = memoryChannelPair();
      const keys = { sndKey: session.key, sndBaseIv: session.iv, rcvKey: session.key, rcvBaseIv: session.iv };
      const [sending, receiving] = [
        await BlockChannel.create(near, 4096, keys),
        await BlockChannel.create(far, 4096, keys),
      ];
      const isWritten = await expectingAsync(TransportError, () => sending.write([input]).then(() => true));
      assertEquals(isWritten === true, input.length <= contentLimit(4096));
      if (isWritten) {
        const read = (await receiving.read())!;
        assertEquals(read.subarray(0, input.length), input);
        assert(read.subarray(input.length).every((byte) => byte === 0x23));
      }
      await Promise.all([sending.close(), receiving.close()]);
    },
  },
  {
    name: "encrypted body",
    seeds: vectors.e2e.map(({ body }) => base64(body)),
    words: [],
    async run(input) {
      const lengths = { signature: 256, header: decryption.privateKey.modulusLength };
      const body = expecting(ParseError, () => splitBody(input, lengths));
      if (body !== null) await decryptBody(body, decryption.privateKey);
    },
  },
];
