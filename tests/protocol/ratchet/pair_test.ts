import { assertEquals, assertRejects } from "@std/assert";
import { importX25519PrivateKey, x25519, x25519KeyPairOf } from "../../../protocol/crypto/x25519.ts";
import {
  decodeRatchetPair,
  encodeRatchetPair,
  generateRatchetPair,
  ratchetPairLength,
} from "../../../protocol/mod.ts";
import { independentMlKem } from "../../support/independent_ml_kem.ts";
import { seededRandom } from "../../support/ratchet.ts";

const permissions = "none";

// RFC 7748, 6.1
Deno.test("An X25519 key pair is the one of its private key", { permissions }, async () => {
  const alice = Uint8Array.fromHex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const { publicKey, privateKey } = await x25519KeyPairOf(alice);
  assertEquals(publicKey.toHex(), "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  assertEquals(privateKey, alice);
  const bob = Uint8Array.fromHex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const shared = await x25519(await importX25519PrivateKey(alice), bob);
  assertEquals(shared?.toHex(), "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
});

Deno.test("A private key has 32 bytes, no fewer and no more", { permissions }, async () => {
  for (const length of [0, 31, 33]) {
    await assertRejects(() => x25519KeyPairOf(new Uint8Array(length)), RangeError);
  }
});

Deno.test("A pair takes 32 bytes for X25519, then 64 for ML-KEM", { permissions }, async () => {
  const seeds = seededRandom(4);
  const [dhSeed, kemSeed] = [seeds(32), seeds(64)];
  const pair = await generateRatchetPair(seededRandom(4));
  assertEquals(pair.dhPrivate, dhSeed);
  assertEquals(pair.dh, (await x25519KeyPairOf(dhSeed)).publicKey);
  const { publicKey, secretKey } = independentMlKem.keygen(kemSeed);
  assertEquals([pair.kem, pair.kemPrivate], [publicKey, secretKey]);
});

Deno.test("A pair is read from the store as it was written, and not when its length is wrong", {
  permissions,
}, async () => {
  const pair = await generateRatchetPair();
  const bytes = encodeRatchetPair(pair);
  assertEquals([bytes.length, ratchetPairLength], [2464, 2464]);
  assertEquals(decodeRatchetPair(bytes), pair);
  for (const length of [0, 64, 2463]) assertEquals(decodeRatchetPair(bytes.slice(0, length)), null);
  assertEquals(decodeRatchetPair(Uint8Array.of(...bytes, 0)), null);
  assertEquals(
    decodeRatchetPair(bytes.map((byte, at) => at === 64 + 1152 + 1 || at === 64 + 1152 ? 0xff : byte)),
    null,
  );
});
