import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { asciiText, textBytes } from "../../protocol/bytes.ts";
import {
  BlockChannel,
  blockSizes,
  type Channel,
  clientHandshake,
  type ClientHandshakeOptions,
  decodeClientHandshake,
  decodeServerHeader,
  decryptOaep,
  encodeClientHandshake,
  encodeServerHeader,
  encryptOaep,
  importPrivateKey,
  makePublicKey,
  memoryChannelPair,
  type PublicKey,
  serverHandshake,
  type SessionKeys,
  TransportError,
} from "../../protocol/mod.ts";
import { openOaep } from "../support/rsa_private.ts";
import { base64, rsaVector, vectors } from "../support/vectors.ts";

const identity = await importPrivateKey(base64(rsaVector("rsa2048").pkcs8), "decrypt");
const der = identity.publicKey.der;
const { serverHeader, clientHandshake: vector } = vectors.transport;

function decodePlain(
  bytes: Uint8Array<ArrayBuffer>,
): { readonly blockSize: number; readonly keys: SessionKeys } {
  const keys = {
    sndKey: bytes.slice(6, 38),
    sndBaseIv: bytes.slice(38, 54),
    rcvKey: bytes.slice(54, 86),
    rcvBaseIv: bytes.slice(86, 102),
  };
  return { blockSize: new DataView(bytes.buffer).getUint32(0), keys };
}

function swap({ sndKey, sndBaseIv, rcvKey, rcvBaseIv }: SessionKeys): SessionKeys {
  return { sndKey: rcvKey, sndBaseIv: rcvBaseIv, rcvKey: sndKey, rcvBaseIv: sndBaseIv };
}

/** Four bytes of block size, two of protocol, two of key length. */
function header(blockSize: number, protocol = 0, keyLength = der.length): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, blockSize);
  view.setUint16(4, protocol);
  view.setUint16(6, keyLength);
  return bytes;
}

// transport.md Handshake, 1 and 3
Deno.test("The handshake is encoded as in the vectors", { permissions: "none" }, async () => {
  assertEquals(encodeServerHeader({ blockSize: 4096, keyLength: der.length }), base64(serverHeader));
  assertEquals(decodeServerHeader(base64(serverHeader)), { blockSize: 4096, keyLength: 294 });
  const plaintext = base64(vector.plaintext);
  assertEquals(plaintext.length, 102);
  assertEquals(decodeClientHandshake(plaintext), decodePlain(plaintext));
  assertEquals(encodeClientHandshake(decodePlain(plaintext)), plaintext);
  assertEquals(await decryptOaep(identity.privateKey, base64(vector.encrypted)), plaintext);
});

// transport.md Handshake, 5
Deno.test("A client handshake has a known length, block size and protocol", { permissions: "none" }, () => {
  const plaintext = base64(vector.plaintext);
  const withSize = (size: number) => Uint8Array.of(...header(size).subarray(0, 4), ...plaintext.subarray(4));
  for (const size of blockSizes) assertEquals(decodeClientHandshake(withSize(size))?.blockSize, size);
  for (const size of [0, 1, 4095, 4097, 5000, 12288, 65535, 65537, 131072, 2 ** 32 - 4096]) {
    assertEquals(decodeClientHandshake(withSize(size)), null, `${size}`);
  }
  for (const at of [4, 5]) assertEquals(decodeClientHandshake(plaintext.with(at, 1)), null);
  for (const length of [0, 4, 6, 101]) assertEquals(decodeClientHandshake(plaintext.slice(0, length)), null);
  assertEquals(decodeClientHandshake(new Uint8Array([...plaintext, 0])), null);
});

// transport.md Handshake, 2
const wrongHeaders: Record<string, Uint8Array<ArrayBuffer>> = {
  "block size 4095": header(4095),
  "block size 65537": header(65537),
  "block size 0": header(0),
  "block size 4294967295": header(2 ** 32 - 1),
  "protocol 1": header(4096, 1),
  "protocol 256": header(4096, 256),
  "a key of 0 bytes": header(4096, 0, 0),
  "a key of 65535 bytes": header(4096, 0, 65535),
};

Deno.test("A server header has a block size of 4096 to 65536 and protocol 0", { permissions: "none" }, () => {
  for (const [what, bytes] of Object.entries(wrongHeaders)) {
    assertEquals(assertThrows(() => decodeServerHeader(bytes), TransportError, what).code, "HEADER");
  }
  for (const blockSize of [4096, 4097, 5000, 65536]) {
    assertEquals(decodeServerHeader(header(blockSize, 0, 1)), { blockSize, keyLength: 1 });
  }
  for (const length of [0, 7, 9]) {
    const error = assertThrows(() => decodeServerHeader(new Uint8Array(length)), TransportError);
    assertEquals(error.code, "HEADER");
  }
});

/** Runs both sides and checks that each reads what the other writes. */
async function assertConnected(client: BlockChannel, server: BlockChannel): Promise<void> {
  for (const [from, to] of [[client, server], [server, client], [client, server]] as const) {
    await from.write([textBytes("hello ")]);
    assertEquals(asciiText((await to.read())!), "hello ".padEnd(to.blockSize - 16, "#"));
  }
}

// transport.md Handshake, 5: the server uses the client's choice from the first block on
for (const blockSize of blockSizes) {
  Deno.test(`A handshake succeeds with blocks of ${blockSize} bytes`, { permissions: "none" }, async () => {
    for (const sizes of [{ server: blockSize }, { server: 4096, client: blockSize }, { client: blockSize }]) {
      const [clientEnd, serverEnd] = memoryChannelPair();
      const [client, server] = await Promise.all([
        clientHandshake(clientEnd, {
          keyHash: rsaVector("rsa2048").hash,
          ...(sizes.client && { blockSize: sizes.client }),
        }),
        serverHandshake(serverEnd, { ...identity, ...(sizes.server && { blockSize: sizes.server }) }),
      ]);
      assertEquals([client.blockSize, server.blockSize], [blockSize, blockSize]);
      await assertConnected(client, server);
    }
  });
}

/** What a raw server does after it has sent what it has to send. */
type RawServer = (end: Channel) => Promise<void>;

/** Runs a client against a server that is played by hand; gives its error and how many units it has written. */
async function runClient(
  units: readonly Uint8Array<ArrayBuffer>[],
  options: ClientHandshakeOptions & { readonly then?: RawServer } = {},
): Promise<{ readonly outcome: unknown; readonly written: boolean }> {
  const { then, ...clientOptions } = options;
  const [clientEnd, serverEnd] = memoryChannelPair();
  const running = clientHandshake(clientEnd, clientOptions).then(() => "success", (error) => error);
  await serverEnd.write(units);
  if (then === undefined) await serverEnd.end();
  else await then(serverEnd);
  const outcome = await running;
  await clientEnd.close();
  // A unit of another size than asked for is a BLOCK error, none is the end.
  const written = then === undefined && await serverEnd.read(1).then((unit) => unit !== null, () => true);
  return { outcome: outcome instanceof TransportError ? outcome.code : outcome, written };
}

Deno.test(
  "A client sends nothing to a server whose header or key is wrong",
  { permissions: "none" },
  async () => {
    const key = (der: Uint8Array<ArrayBuffer>) => [header(4096, 0, der.length), der];
    const cases: Record<string, Uint8Array<ArrayBuffer>[][]> = {
      HEADER: Object.values(wrongHeaders).map((bytes) => [bytes]),
      RSA_KEY: [
        key(new Uint8Array(294)),
        key(der.slice(0, -1)),
        key(new Uint8Array([...der, 0])),
        key(Uint8Array.of(0x30, 0x83, 0, ...der.subarray(2))),
        key(der.with(-1, 2)),
        key(base64(rsaVector("rsa1024").spki)),
      ],
      TERMINATED: [[], [header(4096)]],
      // transport.md Channels: a message of another length than the one expected is a bad block
      BLOCK: [
        [header(4096).slice(1)],
        [new Uint8Array([...header(4096), ...der])],
        [header(4096), der.slice(1)],
      ],
    };
    for (const [outcome, scripts] of Object.entries(cases)) {
      for (const [i, units] of scripts.entries()) {
        assertEquals(await runClient(units), { outcome, written: false }, `${outcome} ${i}`);
      }
    }
    for (const keyHash of [rsaVector("rsa1024").hash, "AAAA", ""]) {
      assertEquals(await runClient(key(der), { keyHash }), { outcome: "BAD_HASH", written: false });
    }
  },
);

/** Reads and opens a client's handshake, then answers with a welcome. */
function welcoming(
  text: string,
  open = (bytes: Uint8Array<ArrayBuffer>) => decryptOaep(identity.privateKey, bytes),
  change = (block: Uint8Array<ArrayBuffer>) => block,
): RawServer {
  return async (end) => {
    const { blockSize, keys } = decodePlain((await open((await end.read(256))!))!);
    const [inner, outer] = memoryChannelPair();
    await (await BlockChannel.create(inner, blockSize, swap(keys))).write([textBytes(text)]);
    await end.write([change((await outer.read(blockSize))!)]);
  };
}

// transport.md Handshake, 6
Deno.test("A client takes or refuses a server by its version", { permissions: "none" }, async () => {
  const cases: Record<string, string[]> = {
    success: [
      "0.3.2.0 ",
      "0.3.0.0 ",
      "0.3.99.7 ",
      "0.2.9.9 ",
      "0.0.0.0 ",
      "0.3.2.0 anything ###",
      "0.3.2.0  ",
    ],
    MAJOR_VERSION: ["0.4.0.0 ", "1.0.0.0 ", "1.3.2.0 ", "0.10.0.0 ", "2.0.0.0 ", "5.3.2.0 ", "0.4.0.0 more"],
    VERSION: [
      "",
      " ",
      "0.3.2.0",
      "0.3.2 ",
      "v0.3.2.0 ",
      "0.3.2.0.1 ",
      "0.3.2.x ",
      " 0.3.2.0 ",
      "0,3,2,0 ",
      "hello ",
    ],
  };
  for (const [outcome, texts] of Object.entries(cases)) {
    for (const text of texts) {
      const result = await runClient([header(4096), der], { then: welcoming(text) });
      assertEquals(result.outcome, outcome, text);
    }
  }
});

Deno.test("A client refuses a welcome that is changed, missing or of another size", {
  permissions: "none",
}, async () => {
  const open = (bytes: Uint8Array<ArrayBuffer>) => decryptOaep(identity.privateKey, bytes);
  const changes: [code: string, change: (block: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>][] = [
    ["AES_DECRYPT", (block) => block.with(0, block[0]! ^ 1)],
    ["AES_DECRYPT", (block) => block.with(-1, block.at(-1)! ^ 1)],
    ["BLOCK", (block) => block.slice(1)],
  ];
  for (const [code, change] of changes) {
    const then = welcoming("0.3.2.0 ", open, change);
    assertEquals((await runClient([header(4096), der], { then })).outcome, code);
  }
  const then = async (end: Channel) => void (await end.read(256), await end.end());
  assertEquals((await runClient([header(4096), der], { then })).outcome, "TERMINATED");
});

Deno.test("A client connects to a server key with a big exponent", { permissions: "none" }, async () => {
  const { spki, pkcs8, hash } = rsaVector("rsa2048BigExponent");
  const open = async (bytes: Uint8Array) => (await openOaep(base64(pkcs8), bytes)).plaintext;
  const key = base64(spki);
  const then = welcoming("0.3.2.0 ", open);
  assertEquals(
    (await runClient([header(5000, 0, key.length), key], { keyHash: hash, then })).outcome,
    "success",
  );
});

// transport.md Handshake, 3
Deno.test("A client echoes the server's block size and makes new keys each time", {
  permissions: "none",
}, async () => {
  const seen = new Set<string>();
  for (const [proposed, asked] of [[4096, undefined], [5000, undefined], [4096, 65536]]) {
    const then: RawServer = async (end) => {
      const plain = (await decryptOaep(identity.privateKey, (await end.read(256))!))!;
      assertEquals([plain.length, plain[4], plain[5]], [102, 0, 0]);
      const { blockSize, keys } = decodePlain(plain);
      assertEquals(blockSize, asked ?? proposed);
      for (const value of Object.values(keys)) seen.add(value.toHex());
      await end.end();
    };
    await runClient([header(proposed!), der], { then, ...(asked !== undefined && { blockSize: asked }) });
  }
  assertEquals(seen.size, 12);
});

Deno.test("A server sends its header, its key and, once it has the keys, the welcome", {
  permissions: "none",
}, async () => {
  const [clientEnd, serverEnd] = memoryChannelPair();
  const serving = serverHandshake(serverEnd, identity);
  assertEquals(await clientEnd.read(8), base64(serverHeader));
  assertEquals(await clientEnd.read(294), der);
  await clientEnd.write([base64(vector.encrypted)]);
  const { keys } = decodePlain(base64(vector.plaintext));
  const client = await BlockChannel.create(clientEnd, 4096, keys);
  assertEquals(asciiText((await client.read())!), "0.3.2.0 ".padEnd(4080, "#"));
  await assertConnected(client, await serving);
});

/** Sends a server what stands for a client's handshake; gives its error, and fails if anything comes back. */
async function serveError(encrypted: Uint8Array<ArrayBuffer> | null): Promise<TransportError> {
  const [clientEnd, serverEnd] = memoryChannelPair();
  const serving = assertRejects(() => serverHandshake(serverEnd, identity), TransportError);
  await clientEnd.read(8);
  await clientEnd.read(294);
  if (encrypted === null) await clientEnd.end();
  else await clientEnd.write([encrypted]);
  const error = await serving;
  await serverEnd.close();
  assertEquals(await clientEnd.read(1), null);
  return error;
}

// transport.md Handshake, 4: on any failure it closes without an answer
Deno.test("A server has one error for every client handshake that is wrong, and no answer", {
  permissions: "none",
}, async () => {
  const plaintext = base64(vector.plaintext);
  const other = makePublicKey(identity.publicKey.modulus - 2n, 65537n);
  const to = (key: PublicKey, plaintext: Uint8Array) => encryptOaep(key, plaintext);
  const withStart = (start: Uint8Array) => new Uint8Array([...start, ...plaintext.subarray(start.length)]);
  const wrong = [
    new Uint8Array(256),
    new Uint8Array(256).fill(255),
    crypto.getRandomValues(new Uint8Array(256)),
  ];
  wrong.push(
    base64(vector.encrypted).with(100, base64(vector.encrypted)[100]! ^ 1),
    await to(other, plaintext),
  );
  for (const length of [0, 6, 101]) wrong.push(await to(identity.publicKey, plaintext.subarray(0, length)));
  wrong.push(await to(identity.publicKey, new Uint8Array([...plaintext, 0])));
  for (const size of [0, 4095, 5000, 65537, 131072]) {
    wrong.push(await to(identity.publicKey, withStart(header(size).subarray(0, 6))));
  }
  for (const protocol of [1, 256]) {
    wrong.push(await to(identity.publicKey, withStart(header(4096, protocol).subarray(0, 6))));
  }
  const errors = await Promise.all(wrong.map(serveError));
  assertEquals(errors[0]!.code, "AES_KEYS");
  for (const { code, message, cause } of errors) {
    assertEquals([code, message, cause], [errors[0]!.code, errors[0]!.message, undefined]);
  }
});

Deno.test(
  "A server that is late with refusing a handshake sets no timer to the past",
  { permissions: "none" },
  async () => {
    const setTimer = globalThis.setTimeout;
    const delays: number[] = [];
    globalThis.setTimeout = ((run: () => void, delay: number) => {
      delays.push(delay);
      return setTimer(run, delay);
    }) as typeof setTimeout;
    try {
      const [clientEnd, serverEnd] = memoryChannelPair();
      const serving = serverHandshake(serverEnd, {
        ...identity,
        isNew: () => {
          const end = performance.now() + 50;
          while (performance.now() < end);
          return false;
        },
      });
      await clientEnd.read(8);
      await clientEnd.read(der.length);
      await clientEnd.write([base64(vector.encrypted)]);
      await assertRejects(() => serving, TransportError);
      await serverEnd.close();
    } finally {
      globalThis.setTimeout = setTimer;
    }
    assertEquals(delays, [0]);
  },
);

Deno.test(
  "A server tells a client that goes away or sends another length",
  { permissions: "none" },
  async () => {
    assertEquals((await serveError(null)).code, "TERMINATED");
    for (const length of [0, 1, 255, 257]) {
      assertEquals(
        (await serveError(new Uint8Array(length))).code,
        "BLOCK",
      );
    }
  },
);

Deno.test("A handshake on a closed channel fails with CLOSED", { permissions: "none" }, async () => {
  const [clientEnd, serverEnd] = memoryChannelPair();
  const client = assertRejects(() => clientHandshake(clientEnd), TransportError);
  await clientEnd.close();
  assertEquals((await client).code, "CLOSED");
  assertEquals(
    (await assertRejects(() => serverHandshake(serverEnd, identity), TransportError)).code,
    "NETWORK",
  );
});
