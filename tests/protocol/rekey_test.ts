import { assert, assertEquals, assertRejects } from "@std/assert";
import { asciiText } from "../../protocol/bytes.ts";
import { hkdf } from "../../protocol/crypto/hkdf.ts";
import { decapsulate, encapsulate, generateKemKeyPair } from "../../protocol/crypto/ml_kem.ts";
import { x25519 } from "../../protocol/crypto/x25519.ts";
import {
  answerRekey,
  BlockChannel,
  type Channel,
  joinParts,
  memoryChannelPair,
  randomBytes,
  type SessionKeys,
  sha256,
  startRekey,
  textBytes,
  TransportError,
} from "../../protocol/mod.ts";
import { swapKeys } from "../../protocol/transport/block_channel.ts";
import { newKeys } from "../../protocol/transport/rekey.ts";
import { sessionKeys, sessionKeysHex } from "../support/session_keys.ts";
import { x25519PrivateKey } from "../support/x25519.ts";
import vector from "../vectors/rekey.json" with { type: "json" };
import x25519Vectors from "../vectors/x25519.json" with { type: "json" };

const permissions = "none";
const bytesOf = (name: Exclude<keyof typeof vector, "about" | "serverKey">) =>
  Uint8Array.fromHex(vector[name]);
const serverKey = bytesOf("serverKeyHash");
const x25519Length = 32;

interface Session {
  readonly client: BlockChannel;
  readonly server: BlockChannel;
  /** The channel below the server. */
  readonly raw: Channel;
}

/** Both ends of a session with the old keys of the vectors, or others. */
async function session(keys = sessionKeys(vector.oldKeys)): Promise<Session> {
  const [clientEnd, raw] = memoryChannelPair();
  return {
    client: await BlockChannel.create(clientEnd, 4096, keys, { serverKey, isClient: true }),
    server: await BlockChannel.create(raw, 4096, swapKeys(keys), { serverKey, isClient: false }),
    raw,
  };
}

async function assertFails(code: string, task: () => Promise<unknown>): Promise<void> {
  assertEquals((await assertRejects(task, TransportError)).code, code);
}

async function assertDelivers(from: BlockChannel, to: BlockChannel, text: string): Promise<void> {
  await from.write([textBytes(text)]);
  assertEquals(asciiText((await to.read())!).replace(/#+$/, ""), text);
}

/** The exchange of both ends over one binding. */
async function exchange(binding = randomBytes(32)) {
  const request = await startRekey();
  const answer = (await answerRekey(request.payload, binding))!;
  return { request, answer, client: await request.finish(answer.payload, binding) };
}

// extensions.md rekey1
Deno.test("The secrets, the salt and the new keys are those of the vectors", { permissions }, async () => {
  const [request, answer] = [bytesOf("request"), bytesOf("answer")];
  assertEquals([request.length, answer.length], [32 + 1184, 32 + 1088]);
  const kem = await generateKemKeyPair(bytesOf("kemSeed"));
  assertEquals(kem.encapsulationKey, request.subarray(x25519Length));
  const encapsulated = (await encapsulate(kem.encapsulationKey, bytesOf("kemRandom")))!;
  assertEquals(encapsulated.ciphertext, answer.subarray(x25519Length));
  assertEquals(encapsulated.secret.toHex(), vector.mlKemSecret);
  assertEquals(
    (await decapsulate(encapsulated.ciphertext, kem.decapsulationKey))!.toHex(),
    vector.mlKemSecret,
  );
  const sides = [[vector.clientSecret, answer], [vector.serverSecret, request]] as const;
  for (const [secret, payload] of sides) {
    const shared = await x25519(await x25519PrivateKey(secret), payload.slice(0, x25519Length));
    assertEquals(shared?.toHex(), vector.x25519Secret);
  }
  const bound = [bytesOf("oldBinding"), request, answer];
  const salt = await sha256(joinParts(bound));
  assertEquals(salt.toHex(), vector.salt);
  const secret = joinParts([bytesOf("mlKemSecret"), bytesOf("x25519Secret")]);
  assertEquals(
    (await hkdf(secret, { salt, info: textBytes("smp-rekey"), length: 96 })).toHex(),
    vector.newKeys,
  );
  const keys = await newKeys(bytesOf("mlKemSecret"), bytesOf("x25519Secret"), bound);
  assertEquals(sessionKeysHex(keys), vector.newKeys);
});

Deno.test("The blocks around a REKEY are those of the vectors", { permissions }, async () => {
  const { client, raw } = await session();
  assertEquals(client.binding.toHex(), vector.oldBinding);
  await client.write([textBytes(` 1  REKEY ${bytesOf("request").toBase64()} `)]);
  assertEquals((await sha256((await raw.read(4096))!)).toHex(), vector.requestBlockHash);
  await client.rekey(sessionKeys(vector.newKeys));
  assertEquals(client.binding.toHex(), vector.newBinding);
  await client.write([textBytes(" 2  PING ")]);
  const block = (await raw.read(4096))!;
  assertEquals(block.subarray(0, 32).toHex(), vector.pingBlockStart);
  assertEquals((await sha256(block)).toHex(), vector.pingBlockHash);
});

Deno.test("Both ends get the same keys, other ones in every session", { permissions }, async () => {
  const seen = new Set<string>();
  const binding = randomBytes(32);
  for (let run = 0; run < 12; run++) {
    const { request, answer, client } = await exchange(binding);
    assertEquals(client, swapKeys(answer.keys));
    const hex = sessionKeysHex(client!);
    for (const part of [hex.slice(0, 64), hex.slice(64, 96), hex.slice(96, 160), hex.slice(160)]) {
      seen.add(part);
    }
    for (const payload of [request.payload, answer.payload]) {
      seen.add(payload.subarray(0, x25519Length).toHex()).add(payload.subarray(x25519Length).toHex());
    }
  }
  assertEquals(seen.size, 12 * 8);
});

Deno.test("The keys depend on the binding and on every part of both payloads", { permissions }, async () => {
  const bound = [bytesOf("oldBinding"), bytesOf("request"), bytesOf("answer")];
  const seen = new Set([vector.newKeys]);
  for (const [index, part] of bound.entries()) {
    for (const at of index === 0 ? [0, 31] : [0, 31, 32, part.length - 1]) {
      const other = bound.with(index, part.with(at, part[at]! ^ 1));
      seen.add(sessionKeysHex(await newKeys(bytesOf("mlKemSecret"), bytesOf("x25519Secret"), other)));
    }
  }
  for (const changed of ["mlKemSecret", "x25519Secret"] as const) {
    const secrets = { mlKemSecret: bytesOf("mlKemSecret"), x25519Secret: bytesOf("x25519Secret") };
    secrets[changed][0]! ^= 1;
    seen.add(sessionKeysHex(await newKeys(secrets.mlKemSecret, secrets.x25519Secret, bound)));
  }
  assertEquals(seen.size, 1 + 2 + 4 + 4 + 2);
});

Deno.test("Secrets are overwritten once there are keys of them", { permissions }, async () => {
  const secrets = [bytesOf("mlKemSecret"), bytesOf("x25519Secret")] as const;
  await newKeys(...secrets, [bytesOf("oldBinding")]);
  for (const secret of secrets) assertEquals(secret, new Uint8Array(32));
});

Deno.test("An answer is taken once: what opens it is overwritten", { permissions }, async () => {
  const binding = randomBytes(32);
  const { request, answer, client } = await exchange(binding);
  const again = await request.finish(answer.payload, binding);
  assert(again === null || sessionKeysHex(again) !== sessionKeysHex(client!));
});

// extensions.md rekey1: wrong lengths
Deno.test("A payload of another length is refused at either end", { permissions }, async () => {
  const binding = randomBytes(32);
  const lengths = (right: number) =>
    [0, 1, 31, 32, 33, 64, 1088, 1120, 1184, 1216, right - 1, right + 1, 4000].filter((one) => one !== right);
  for (const length of lengths(1216)) {
    assertEquals(await answerRekey(new Uint8Array(length).fill(9), binding), null, `request of ${length}`);
  }
  for (const length of lengths(1120)) {
    const request = await startRekey();
    assertEquals(await request.finish(new Uint8Array(length).fill(9), binding), null, `answer of ${length}`);
  }
});

// extensions.md rekey1: an all-zero X25519 result
Deno.test("A point of small order is refused at either end", { permissions }, async () => {
  for (const point of x25519Vectors.smallOrder) {
    const { request, answer } = await exchange();
    const [bad, binding] = [Uint8Array.fromHex(point), randomBytes(32)];
    const asked = joinParts([bad, request.payload.subarray(x25519Length)]);
    assertEquals(await answerRekey(asked, binding), null, point);
    const other = await startRekey();
    const answered = joinParts([bad, answer.payload.subarray(x25519Length)]);
    assertEquals(await other.finish(answered, binding), null, point);
  }
});

Deno.test("An encapsulation key that is none is refused", { permissions }, async () => {
  const { payload } = await startRekey();
  for (const at of [x25519Length, x25519Length + 600, x25519Length + 1149]) {
    const wrong = payload.slice();
    wrong.fill(0xff, at, at + 3);
    assertEquals(await answerRekey(wrong, randomBytes(32)), null, `${at}`);
  }
});

/** What the server says to the first block after REKEY, when somebody has changed a payload on its way. */
async function firstBlock(change: {
  readonly request?: (payload: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>;
  readonly answer?: (payload: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>;
  readonly binding?: Uint8Array<ArrayBuffer>;
}): Promise<string> {
  const { request = (payload) => payload, answer = (payload) => payload, binding } = change;
  const { client, server } = await session(sessionKeys(randomBytes(96).toHex()));
  const started = await startRekey();
  const answered = await answerRekey(request(started.payload), server.binding);
  if (answered === null) return "no answer";
  const keys = await started.finish(answer(answered.payload), binding ?? client.binding);
  if (keys === null) return "no keys";
  await server.rekey(answered.keys);
  await client.rekey(keys);
  await client.write([textBytes("first ")]);
  try {
    return asciiText((await server.read())!).slice(0, 6);
  } catch (error) {
    assert(error instanceof TransportError);
    return error.code;
  }
}

Deno.test(
  "After any bit of a payload was changed the first block is not authentic",
  { permissions },
  async () => {
    assertEquals(await firstBlock({}), "first ");
    const flip = (at: number, bit: number) => (payload: Uint8Array<ArrayBuffer>) => {
      const index = at < 0 ? payload.length + at : at;
      return payload.with(index, payload[index]! ^ (1 << bit));
    };
    for (
      const [at, bit] of [[0, 0], [31, 6], [31, 7], [32, 0], [40, 0], [500, 3], [-33, 1], [-32, 2], [-1, 7]]
    ) {
      // A request may also be none any more: a coefficient that is too large.
      const asked = await firstBlock({ request: flip(at!, bit!) });
      assert(asked === "AES_DECRYPT" || asked === "no answer", `${at} ${bit}: ${asked}`);
      assertEquals(await firstBlock({ answer: flip(at!, bit!) }), "AES_DECRYPT", `${at} ${bit}`);
    }
    assertEquals(await firstBlock({ binding: randomBytes(32) }), "AES_DECRYPT");
  },
);

Deno.test("An answer to another request gives keys that do not match", { permissions }, async () => {
  const other = await exchange();
  assertEquals(await firstBlock({ answer: () => other.answer.payload }), "AES_DECRYPT");
});

Deno.test("After new keys both directions begin at block 0, and the given keys are overwritten", {
  permissions,
}, async () => {
  const { client, server } = await session();
  for (let i = 0; i < 3; i++) await assertDelivers(client, server, `before ${i} `);
  await assertDelivers(server, client, "back ");
  const given: SessionKeys[] = [sessionKeys(vector.newKeys), swapKeys(sessionKeys(vector.newKeys))];
  await Promise.all([client.rekey(given[0]!), server.rekey(given[1]!)]);
  for (const keys of given) assertEquals(sessionKeysHex(keys), "00".repeat(96));
  assertEquals([client.binding.toHex(), server.binding.toHex()], [vector.newBinding, vector.newBinding]);
  // Block 0 of a session that had these keys from its start.
  const fresh = await session(sessionKeys(vector.newKeys));
  await fresh.client.write([textBytes("zero ")]);
  const expected = (await fresh.raw.read(4096))!;
  const pair = await session();
  await assertDelivers(pair.client, pair.server, "before ");
  await pair.client.rekey(sessionKeys(vector.newKeys));
  await pair.client.write([textBytes("zero ")]);
  assertEquals(await pair.raw.read(4096), expected);
  await assertDelivers(client, server, "after ");
  await assertDelivers(server, client, "back ");
});

Deno.test("What was encrypted with the old keys is not taken after new ones", { permissions }, async () => {
  const { client, raw } = await session();
  await client.write(["zero ", "one "].map(textBytes));
  for (const block of [(await raw.read(4096))!, (await raw.read(4096))!]) {
    const [end, peer] = memoryChannelPair();
    const server = await BlockChannel.create(end, 4096, swapKeys(sessionKeys(vector.oldKeys)));
    await server.rekey(swapKeys(sessionKeys(vector.newKeys)));
    await peer.write([block]);
    await assertFails("AES_DECRYPT", () => server.read());
  }
});

Deno.test("A channel that is closed while it gets new keys has none", { permissions }, async () => {
  const written: unknown[] = [];
  // It would still take what is written after its end.
  const below: Channel = {
    read: (length) => Promise.resolve(new Uint8Array(length)),
    write: (units) => Promise.resolve(void written.push(units)),
    end: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const channel = await BlockChannel.create(below, 4096, sessionKeys(vector.oldKeys));
  const keys = sessionKeys(vector.newKeys);
  const rekeying = channel.rekey(keys);
  await channel.close();
  await rekeying;
  assertEquals(sessionKeysHex(keys), "00".repeat(96));
  await assertFails("CLOSED", () => channel.write([textBytes("late ")]));
  await assertFails("CLOSED", () => channel.read());
  assertEquals(written, []);
});
