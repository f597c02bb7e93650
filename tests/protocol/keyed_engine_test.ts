import { assert, assertEquals } from "@std/assert";
import * as nodeCrypto from "node:crypto";
import { manyBytes, nodeKeyedEngine, webKeyedEngine } from "../../protocol/crypto/engine/keyed.ts";
import { openSsl } from "../support/openssl.ts";
import { keyedCrypto } from "../../protocol/crypto/runtime.ts";
import { randomBytes, textBytes } from "../../protocol/mod.ts";
import vectors from "../vectors/hkdf.json" with { type: "json" };

const permissions = "none";
const node = nodeKeyedEngine(nodeCrypto);
const aead = openSsl?.aead;
const engines = {
  node,
  web: webKeyedEngine,
  ...aead && { openSsl: { ...node, ...aead } },
};

Deno.test("HMAC gives what RFC 4231 has", { permissions }, async () => {
  const key = new Uint8Array(20).fill(0x0b);
  const jefe = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
  const hiThere = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
  for (const { hmac } of Object.values(engines)) {
    assertEquals((await hmac(key, textBytes("Hi There"))).toHex(), hiThere);
    assertEquals((await hmac(textBytes("Jefe"), textBytes("what do ya want for nothing?"))).toHex(), jefe);
  }
});

Deno.test("HKDF gives what RFC 5869 has, without a salt too", { permissions }, async () => {
  for (const { hkdf } of Object.values(engines)) {
    for (const { from, secret, salt, info, output } of vectors.hkdf) {
      const parameters = {
        salt: Uint8Array.fromHex(salt),
        info: Uint8Array.fromHex(info),
        length: output.length / 2,
      };
      assertEquals((await hkdf(Uint8Array.fromHex(secret), parameters)).toHex(), output, from);
    }
  }
});

// The Galois/Counter Mode of Operation (McGrew, Viega), test case 16
Deno.test("AES-256-GCM gives what its specification has", { permissions }, async () => {
  const parameters = {
    key: Uint8Array.fromHex("feffe9928665731c6d6a8f9467308308".repeat(2)),
    nonce: Uint8Array.fromHex("cafebabefacedbaddecaf888"),
    additional: Uint8Array.fromHex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
  };
  const plaintext = Uint8Array.fromHex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" +
      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
  );
  const sealed = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa" +
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662" + "76fc6ece0f4e1768cddf8853bb2d551b";
  for (const engine of Object.values(engines)) {
    assertEquals((await engine.seal(plaintext, parameters)).toHex(), sealed);
    assertEquals(await engine.open(Uint8Array.fromHex(sealed), parameters), plaintext);
  }
});

Deno.test("What one engine seals the other opens, of any length; what was changed opens none", {
  permissions,
}, async () => {
  for (const length of [0, 1, 16, 1000, 20_000]) {
    const plaintext = randomBytes(length);
    const parameters = { key: randomBytes(32), nonce: randomBytes(12), additional: randomBytes(97) };
    const sealed = await node.seal(plaintext, parameters);
    assertEquals(await webKeyedEngine.seal(plaintext, parameters), sealed);
    assertEquals(sealed.length, length + 16);
    for (const engine of Object.values(engines)) {
      const inPlace = new Uint8Array(length + 16);
      inPlace.set(plaintext);
      await engine.sealInPlace(inPlace, parameters);
      assertEquals(inPlace, sealed);
      assertEquals(await engine.open(sealed, parameters), plaintext);
      const opened = await engine.openInPlace(inPlace, parameters);
      assertEquals(opened, plaintext);
      if (length >= manyBytes) assert(opened!.buffer === inPlace.buffer, "no other memory is left behind");
      assertEquals(await engine.openInPlace(sealed.with(0, sealed[0]! ^ 1), parameters), null);
      for (const at of [0, length, length + 15]) {
        assertEquals(await engine.open(sealed.with(at, sealed[at]! ^ 1), parameters), null);
      }
      for (let cut = 1; cut <= sealed.length; cut += length > 1000 ? 3001 : 7) {
        assertEquals(await engine.open(sealed.slice(0, -cut), parameters), null);
      }
      assertEquals(await engine.open(new Uint8Array(0), parameters), null);
      assertEquals(await engine.open(sealed, { ...parameters, additional: randomBytes(97) }), null);
      assertEquals(await engine.open(sealed, { ...parameters, nonce: randomBytes(12) }), null);
    }
  }
});

Deno.test("Keyed crypto runs on node:crypto where there is one", { permissions }, () => {
  assertEquals(keyedCrypto().hmac(new Uint8Array(32), new Uint8Array(1)) instanceof Uint8Array, true);
});
