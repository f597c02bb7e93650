import { assert, assertEquals, assertRejects } from "@std/assert";
import { constants, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import {
  decodePublicKey,
  decryptOaep,
  encryptOaep,
  generateKeyPair,
  importPrivateKey,
  keySizes,
  makePublicKey,
  parsePublicKeyText,
  type PublicKey,
  signPss,
  verifyPss,
} from "../../protocol/mod.ts";
import { openOaep, power, privateOperation, toBytes, toNumber } from "../support/rsa_private.ts";
import { base64, rsaVector, vectors } from "../support/vectors.ts";

const data = Uint8Array.of(1, 2, 3);

// transport.md RSA keys: such keys must work wherever a peer's public key is used
for (const { name, bits, spki, pkcs8, pss, oaep } of vectors.rsa) {
  const key = decodePublicKey(base64(spki));

  Deno.test(
    `The PSS signatures of ${name} are told from tampered ones`,
    { permissions: "none" },
    async () => {
      const [message, valid] = [base64(pss.message), base64(pss.valid)];
      assertEquals(valid.length, bits / 8);
      assert(await verifyPss(key, valid, message));
      assert(!await verifyPss(key, base64(pss.tampered), message));
      assert(!await verifyPss(key, valid, message.subarray(1)));
      for (const at of [0, bits / 16, bits / 8 - 1]) {
        assert(!await verifyPss(key, with1Changed(valid, at), message), `signature, byte ${at}`);
      }
      assert(!await verifyPss(key, valid, with1Changed(message, 0)));
    },
  );

  Deno.test(
    `OAEP for ${name} gives the vector's ciphertext and its seed`,
    { permissions: "none" },
    async () => {
      const ciphertext = base64(oaep.ciphertext);
      const { plaintext, seed } = await openOaep(base64(pkcs8), ciphertext);
      assertEquals(plaintext, base64(oaep.plaintext));
      assertEquals(await encryptOaep(key, plaintext, seed), ciphertext);
      assertEquals((await openOaep(base64(pkcs8), await encryptOaep(key, plaintext))).plaintext, plaintext);
    },
  );

  if (key.exponent > 65537n) continue;
  Deno.test(
    `WebCrypto decrypts for ${name} what OpenSSL and OAEP encrypt`,
    { permissions: "none" },
    async () => {
      const { privateKey } = await importPrivateKey(base64(pkcs8), "decrypt");
      const plaintext = base64(oaep.plaintext), ciphertext = base64(oaep.ciphertext);
      assertEquals(await decryptOaep(privateKey, ciphertext), plaintext);
      for (const wrong of [with1Changed(ciphertext, 5), ciphertext.slice(1), new Uint8Array(0)]) {
        assertEquals(await decryptOaep(privateKey, wrong), null);
      }
      const most = bits / 8 - 66;
      for (const length of [0, 1, most]) {
        const plaintext = new Uint8Array(length).fill(1);
        assertEquals(await decryptOaep(privateKey, await encryptOaep(key, plaintext)), plaintext);
      }
      await assertRejects(() => encryptOaep(key, new Uint8Array(most + 1)), RangeError, `takes ${most}`);
    },
  );
}

Deno.test("The vectors have every allowed key size and big exponents", { permissions: "none" }, () => {
  assertEquals([...new Set(vectors.rsa.map(({ bits }) => bits))], [...keySizes]);
  const keys = vectors.rsa.map(({ spki }) => decodePublicKey(base64(spki)));
  assertEquals(keys.filter(({ exponent }) => exponent >> 1000n).length, 3);
  assertEquals(keys.filter(({ exponent, modulus }) => exponent > modulus).length, 1);
});

// transport.md RSA keys: RSA-PSS, SHA-256, MGF1-SHA-256, salt 32 bytes
Deno.test(
  "A signature of this library verifies, and of another key does not",
  { permissions: "none" },
  async () => {
    const { publicKey, privateKey } = await generateKeyPair("sign", 1024);
    const signature = await signPss(privateKey, data);
    assertEquals(signature.length, 128);
    assert(await verifyPss(publicKey, signature, data));
    assert(!await verifyPss(parsePublicKeyText(rsaVector("rsa1024").text), signature, data));
  },
);

Deno.test(
  "A signature of another length than the modulus does not verify",
  { permissions: "none" },
  async () => {
    const { text, pss } = rsaVector("rsa1024");
    const key = parsePublicKeyText(text), message = base64(pss.message), valid = base64(pss.valid);
    const wrong = [new Uint8Array(0), valid.slice(0, -1), valid.slice(1), Uint8Array.of(0, ...valid)];
    wrong.push(Uint8Array.of(...valid, 0), base64(rsaVector("rsa2048").pss.valid));
    for (const signature of wrong) assert(!await verifyPss(key, signature, message));
    assert(!await verifyPss(parsePublicKeyText(rsaVector("rsa2048").text), valid, message));
  },
);

function opensslKey(bits: number): { readonly key: PublicKey; readonly privateKey: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: bits });
  return {
    key: decodePublicKey(new Uint8Array(publicKey.export({ type: "spki", format: "der" }))),
    privateKey,
  };
}

function opensslSign(key: KeyObject, hash: string, saltLength: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(sign(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }));
}

Deno.test(
  "A signature verifies only with SHA-256 and a salt of 32 bytes",
  { permissions: "none" },
  async () => {
    const { key, privateKey } = opensslKey(1024);
    assert(await verifyPss(key, opensslSign(privateKey, "sha256", 32), data));
    for (const salt of [0, 20, 31, 33, 64]) {
      assert(!await verifyPss(key, opensslSign(privateKey, "sha256", salt), data), `salt ${salt}`);
    }
    for (const hash of ["sha1", "sha384"]) {
      assert(
        !await verifyPss(key, opensslSign(privateKey, hash, 32), data),
        hash,
      );
    }
    assert(!await verifyPss(key, new Uint8Array(sign("sha256", data, privateKey)), data), "PKCS #1 v1.5");
  },
);

Deno.test(
  "Signatures by keys whose size is no whole number of bytes verify",
  { permissions: "none" },
  async () => {
    for (const bits of [1025, 1026, 1031]) {
      const { key, privateKey } = opensslKey(bits);
      const signature = opensslSign(privateKey, "sha256", 32);
      assertEquals([key.bits, signature.length], [bits, 129]);
      assert(await verifyPss(key, signature, data), `${bits} bits`);
      assert(!await verifyPss(key, with1Changed(signature, 128), data));
      // The same number modulo n, RFC 8017 5.2.2: out of range
      const outOfRange = toBytes(toNumber(signature) + key.modulus, 129);
      assertEquals(toNumber(outOfRange) % key.modulus, toNumber(signature));
      assert(!await verifyPss(key, outOfRange, data), `${bits} bits, out of range`);
    }
  },
);

// RFC 8017 8.1.2: an encoding longer than the modulus size less one bit
Deno.test(
  "An encoding with more bits than it may have does not verify",
  { permissions: "none" },
  async () => {
    const { key, privateKey } = opensslKey(1025);
    const pkcs8 = new Uint8Array(privateKey.export({ type: "pkcs8", format: "der" }));
    let encoded: bigint;
    do {
      const signature = opensslSign(privateKey, "sha256", 32);
      encoded = power(toNumber(signature), key.exponent, key.modulus);
    } while (encoded + (1n << 1024n) >= key.modulus);
    assert(await verifyPss(key, privateOperation(pkcs8, toBytes(encoded, 129)), data));
    assert(!await verifyPss(key, privateOperation(pkcs8, toBytes(encoded + (1n << 1024n), 129)), data));
  },
);

// RFC 8017 9.1.2: 62 zeros, 1 and the salt under the mask, the hash, 0xbc
Deno.test("Every part of the PSS encoding is looked at", { permissions: "none" }, async () => {
  const { spki, pkcs8, pss } = rsaVector("rsa1024BigExponent");
  const key = decodePublicKey(base64(spki)), message = base64(pss.message);
  const encoded = toBytes(power(toNumber(base64(pss.valid)), key.exponent, key.modulus), 128);
  assertEquals(privateOperation(base64(pkcs8), encoded), base64(pss.valid));
  const parts = {
    topBit: 0,
    firstZero: 1,
    lastZero: 61,
    one: 62,
    salt: 63,
    saltEnd: 94,
    hash: 95,
    hashEnd: 126,
    end: 127,
  };
  for (const [part, at] of Object.entries(parts)) {
    const changed = encoded.slice();
    changed[at]! ^= part === "topBit" ? 0x80 : 1;
    assert(toNumber(changed) < key.modulus, part);
    assert(!await verifyPss(key, privateOperation(base64(pkcs8), changed), message), part);
  }
});

Deno.test("A key too short for the hash and the salt verifies nothing and encrypts nothing", {
  permissions: "none",
}, async () => {
  for (const bits of [8, 256, 512, 520, 521]) {
    const key = makePublicKey((1n << BigInt(bits)) - 1n, 3n);
    const length = Math.ceil(bits / 8);
    for (const byte of [0, 1, 0xff]) assert(!await verifyPss(key, new Uint8Array(length).fill(byte), data));
    if (bits <= 520) await assertRejects(() => encryptOaep(key, data), RangeError, `${bits}-bit key`);
  }
});

Deno.test("Two encryptions of a plaintext differ", { permissions: "none" }, async () => {
  const key = parsePublicKeyText(rsaVector("rsa1024").text);
  assert(toNumber(await encryptOaep(key, data)) !== toNumber(await encryptOaep(key, data)));
});

function with1Changed(bytes: Uint8Array, at: number): Uint8Array<ArrayBuffer> {
  const changed = bytes.slice();
  changed[at]! ^= 1;
  return changed;
}
