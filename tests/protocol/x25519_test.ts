import { assert, assertEquals } from "@std/assert";
import { generateX25519KeyPair, x25519, x25519KeyLength } from "../../protocol/crypto/x25519.ts";
import { x25519PrivateKey } from "../support/x25519.ts";
import vectors from "../vectors/x25519.json" with { type: "json" };

const permissions = "none";

Deno.test("X25519 gives the secrets of RFC 7748", { permissions }, async () => {
  for (const { from, privateKey, publicKey, secret } of vectors.agreements) {
    const made = await x25519(await x25519PrivateKey(privateKey), Uint8Array.fromHex(publicKey));
    assertEquals(made?.toHex(), secret, from);
  }
});

// extensions.md rekey1: an all-zero X25519 result
Deno.test("Every point of small order is refused, whatever the private key", { permissions }, async () => {
  assertEquals(vectors.smallOrder.length, 14);
  const { privateKey } = await generateX25519KeyPair();
  const keys = [privateKey];
  for (const vector of vectors.agreements) keys.push(await x25519PrivateKey(vector.privateKey));
  for (const point of vectors.smallOrder) {
    for (const key of keys) assertEquals(await x25519(key, Uint8Array.fromHex(point)), null, point);
  }
});

Deno.test("A public key has 32 bytes, no fewer and no more", { permissions }, async () => {
  const { publicKey, privateKey } = await generateX25519KeyPair();
  assertEquals([publicKey.length, x25519KeyLength], [32, 32]);
  for (const length of [0, 1, 31, 33, 56, 64]) {
    assertEquals(await x25519(privateKey, new Uint8Array(length).fill(9)), null, `${length}`);
  }
});

Deno.test("Two key pairs share one secret, and no other pair has it", { permissions }, async () => {
  const [one, two, three] = await Promise.all([1, 2, 3].map(() => generateX25519KeyPair()));
  const shared = await x25519(one!.privateKey, two!.publicKey);
  assertEquals(shared, await x25519(two!.privateKey, one!.publicKey));
  assertEquals(shared?.length, 32);
  const others = [
    await x25519(three!.privateKey, two!.publicKey),
    await x25519(one!.privateKey, three!.publicKey),
  ];
  for (const other of others) assert(other!.toHex() !== shared!.toHex());
});

Deno.test("The private half cannot be exported", { permissions }, async () => {
  const { privateKey } = await generateX25519KeyPair();
  assertEquals(privateKey.extractable, false);
});
