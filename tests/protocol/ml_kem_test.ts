import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import {
  ciphertextLength,
  decapsulate,
  encapsulate,
  encapsulationKeyLength,
  generateKemKeyPair,
} from "../../protocol/crypto/ml_kem.ts";
import { randomBytes } from "../../protocol/mod.ts";
import { independentMlKem } from "../support/independent_ml_kem.ts";
import vectors from "../vectors/ml_kem.json" with { type: "json" };

const permissions = "none";
/** Bytes of K-PKE's key, with which a decapsulation key begins; the encapsulation key, its hash and z follow (FIPS 203). */
const pkeLength = 1152;

function sha3(bytes: Uint8Array): string {
  return createHash("sha3-256").update(bytes).digest("hex");
}

/** The secret of a ciphertext that was not made for this key (FIPS 203, algorithm 18): SHAKE-256 of z and it. */
function rejectionSecret(decapsulationKey: Uint8Array, ciphertext: Uint8Array): string {
  const z = decapsulationKey.subarray(-32);
  return createHash("shake256", { outputLength: 32 }).update(z).update(ciphertext).digest("hex");
}

Deno.test("Keys are made as NIST's vectors have them", { permissions }, async () => {
  for (const { tcId, d, z, ekHash, dkStart } of vectors.keyGeneration) {
    const pair = await generateKemKeyPair(Uint8Array.fromHex(d + z));
    assertEquals([pair.encapsulationKey.length, pair.decapsulationKey.length], [1184, 2400]);
    assertEquals(sha3(pair.encapsulationKey), ekHash, `${tcId}`);
    assertEquals(pair.decapsulationKey.subarray(0, 32).toHex(), dkStart, `${tcId}`);
    const rest = pair.decapsulationKey.subarray(pkeLength);
    assertEquals(rest.subarray(0, encapsulationKeyLength), pair.encapsulationKey, `${tcId}`);
    assertEquals(rest.subarray(encapsulationKeyLength).toHex(), ekHash + z, `${tcId}`);
  }
});

Deno.test("Secrets are encapsulated as NIST's vectors have them", { permissions }, async () => {
  for (const { ek, m, cStart, cEnd, k } of vectors.encapsulation) {
    const made = await encapsulate(Uint8Array.fromHex(ek), Uint8Array.fromHex(m));
    assert(made !== null);
    assertEquals(made.ciphertext.length, ciphertextLength);
    assertEquals(made.ciphertext.subarray(0, 32).toHex(), cStart);
    assertEquals(made.ciphertext.subarray(-32).toHex(), cEnd);
    assertEquals(made.secret.toHex(), k);
  }
});

Deno.test(
  "Secrets are taken out as NIST's vectors have them, of changed ciphertexts too",
  { permissions },
  async () => {
    const { dk, cases } = vectors.decapsulation;
    const decapsulationKey = Uint8Array.fromHex(dk);
    assertEquals(cases.map(({ isRejected }) => isRejected), [false, true]);
    for (const { tcId, isRejected, c, k } of cases) {
      const ciphertext = Uint8Array.fromHex(c);
      assertEquals((await decapsulate(ciphertext, decapsulationKey))?.toHex(), k, `${tcId}`);
      assertEquals(rejectionSecret(decapsulationKey, ciphertext) === k, isRejected, `${tcId}`);
    }
  },
);

Deno.test("A hundred runs with random ciphertexts hash as in Go", { permissions }, async () => {
  const { runs, hash } = vectors.accumulated;
  const size = runs * (64 + 32 + ciphertextLength);
  const drawn = new Uint8Array(createHash("shake128", { outputLength: size }).update("").digest());
  let at = 0;
  const draw = (length: number) => drawn.slice(at, at += length);
  const all = createHash("shake128", { outputLength: 32 });
  for (let run = 0; run < runs; run++) {
    const { encapsulationKey, decapsulationKey } = await generateKemKeyPair(draw(64));
    const { ciphertext, secret } = (await encapsulate(encapsulationKey, draw(32)))!;
    assertEquals(await decapsulate(ciphertext, decapsulationKey), secret);
    const other = (await decapsulate(draw(ciphertextLength), decapsulationKey))!;
    for (const bytes of [encapsulationKey, ciphertext, secret, other]) all.update(bytes);
  }
  assertEquals(all.digest("hex"), hash);
});

Deno.test("It agrees with an independent implementation, both ways", { permissions }, async () => {
  for (let run = 0; run < 10; run++) {
    const seed = randomBytes(64);
    const ours = await generateKemKeyPair(seed);
    const theirs = independentMlKem.keygen(seed);
    assertEquals([ours.encapsulationKey, ours.decapsulationKey], [theirs.publicKey, theirs.secretKey]);
    const toThem = (await encapsulate(theirs.publicKey))!;
    assertEquals(independentMlKem.decapsulate(toThem.ciphertext, theirs.secretKey), toThem.secret);
    const toUs = independentMlKem.encapsulate(ours.encapsulationKey);
    assertEquals(await decapsulate(toUs.cipherText, ours.decapsulationKey), toUs.sharedSecret);
  }
});

// FIPS 203, algorithm 18: implicit rejection
Deno.test(
  "A ciphertext that was changed gives a secret of its own, never an error",
  { permissions },
  async () => {
    const { encapsulationKey, decapsulationKey } = await generateKemKeyPair();
    const { ciphertext, secret } = (await encapsulate(encapsulationKey))!;
    const changed = [0, 1, 319, 320, 959, 960, 1086, 1087].map((at) =>
      ciphertext.with(at, ciphertext[at]! ^ 1)
    );
    changed.push(new Uint8Array(ciphertextLength), new Uint8Array(ciphertextLength).fill(0xff));
    for (const other of changed) {
      const rejected = (await decapsulate(other, decapsulationKey))!;
      assert(rejected.toHex() !== secret.toHex());
      assertEquals(rejected.toHex(), rejectionSecret(decapsulationKey, other));
    }
  },
);

// FIPS 203, 7.2: a coefficient of 3329 or more
Deno.test("An encapsulation key that is none is refused", { permissions }, async () => {
  const { encapsulationKey } = await generateKemKeyPair();
  const withCoefficient = (index: number, value: number) => {
    const key = encapsulationKey.slice();
    const at = Math.floor(index / 2) * 3;
    if (index % 2 === 0) {
      key[at] = value & 0xff;
      key[at + 1] = (key[at + 1]! & 0xf0) | (value >> 8);
    } else {
      key[at + 1] = (key[at + 1]! & 0x0f) | ((value & 0xf) << 4);
      key[at + 2] = value >> 4;
    }
    return key;
  };
  for (const index of [0, 1, 255, 256, 511, 512, 766, 767]) {
    assert(await encapsulate(withCoefficient(index, 3328)) !== null, `${index}`);
    for (const value of [3329, 3330, 4095]) {
      assertEquals(await encapsulate(withCoefficient(index, value)), null, `${index} ${value}`);
    }
  }
  const { length } = encapsulationKey;
  for (const wrong of [0, 1, 800, length - 32, length - 1, length + 1, 1568]) {
    assertEquals(await encapsulate(new Uint8Array(wrong)), null, `${wrong}`);
  }
  assertEquals(await encapsulate(new Uint8Array(length).fill(0xff)), null);
});

Deno.test("A ciphertext has 1088 bytes, no fewer and no more", { permissions }, async () => {
  const { decapsulationKey } = await generateKemKeyPair();
  for (const length of [0, 1, 768, 1087, 1089, 1568]) {
    assertEquals(await decapsulate(new Uint8Array(length), decapsulationKey), null, `${length}`);
  }
});

Deno.test(
  "Keys and secrets are new each time, and those of many at once are their own",
  { permissions },
  async () => {
    const pairs = await Promise.all(Array.from({ length: 8 }, () => generateKemKeyPair()));
    const made = await Promise.all(pairs.map((pair) => encapsulate(pair.encapsulationKey)));
    const secrets = await Promise.all(
      made.map((one, index) => decapsulate(one!.ciphertext, pairs[index]!.decapsulationKey)),
    );
    assertEquals(secrets, made.map((one) => one!.secret));
    const distinct = new Set([
      ...pairs.map((pair) => sha3(pair.encapsulationKey)),
      ...secrets.map((one) => one!.toHex()),
    ]);
    assertEquals(distinct.size, 2 * pairs.length);
  },
);
