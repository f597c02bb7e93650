import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import * as nodeCrypto from "node:crypto";
import { type CryptoEngine, tagLength } from "../../protocol/crypto/engine/engine.ts";
import { manyBytes } from "../../protocol/crypto/engine/keyed.ts";
import { nodeEngine } from "../../protocol/crypto/engine/node.ts";
import { openOpenSsl } from "../../protocol/crypto/engine/openssl.ts";
import { webEngine } from "../../protocol/crypto/engine/web.ts";
import * as runtime from "../../protocol/crypto/runtime.ts";
import { decodePublicKey, makePublicKey } from "../../protocol/mod.ts";
import { power, toBytes, toNumber } from "../support/rsa_private.ts";
import { openSsl, openSslLack } from "../support/openssl.ts";
import { requiring } from "../support/requires.ts";
import { base64, vectors } from "../support/vectors.ts";

const engines: readonly CryptoEngine[] = [
  nodeEngine(nodeCrypto),
  webEngine,
  ...(openSsl === null ? [] : [openSsl]),
];
const key = new Uint8Array(32).fill(1), nonce = new Uint8Array(16).fill(2);

/** The module as it is in a program that has wanted OpenSSL. */
const preferring: typeof runtime = await import("../../protocol/crypto/runtime.ts?preferring");
preferring.preferOpenSsl();

/** Encrypts into an array of its own. */
async function seal(
  engine: CryptoEngine,
  plaintext: Uint8Array,
  [rawKey, iv] = [key, nonce],
): Promise<Uint8Array<ArrayBuffer>> {
  const sealed = new Uint8Array(tagLength + plaintext.length);
  sealed.set(plaintext, tagLength);
  await (await engine.importAesKey(rawKey)).seal(iv, sealed);
  return sealed;
}

async function open(engine: CryptoEngine, sealed: Uint8Array<ArrayBuffer>, [rawKey, iv] = [key, nonce]) {
  return await (await engine.importAesKey(rawKey)).open(iv, sealed);
}

/** Runs `task` and tells how often it used WebCrypto. */
async function countWebCrypto(task: () => Promise<unknown>): Promise<number> {
  const names = ["digest", "importKey", "encrypt", "decrypt"] as const;
  let count = 0;
  for (const name of names) {
    const original = crypto.subtle[name];
    const counting = (
      ...parameters: unknown[]
    ) => (count++, Reflect.apply(original, crypto.subtle, parameters));
    Object.defineProperty(crypto.subtle, name, { value: counting, configurable: true });
  }
  try {
    await task();
  } finally {
    for (const name of names) Reflect.deleteProperty(crypto.subtle, name);
  }
  return count;
}

Deno.test("Symmetric crypto runs on node:crypto when there is one, else on WebCrypto", {
  permissions: "none",
}, async () => {
  const use = async ({ sha256, importAesKey }: Pick<CryptoEngine, "sha256" | "importAesKey">) => {
    const aes = await importAesKey(key);
    const sealed = new Uint8Array(100);
    await sha256(key);
    await aes.seal(nonce, sealed);
    await aes.open(nonce, sealed);
  };
  const browser = await importWithoutProcess();
  assertEquals(await countWebCrypto(() => use(runtime)), 0);
  assertEquals(await countWebCrypto(() => use(browser)), 4);
  assertEquals([runtime.preferOpenSsl(), browser.preferOpenSsl()], ["node:crypto", "WebCrypto"]);
});

/** The module as browsers have it: without `process`. */
async function importWithoutProcess(): Promise<typeof runtime> {
  const descriptor = Object.getOwnPropertyDescriptor(globalThis, "process")!;
  Object.defineProperty(globalThis, "process", { value: undefined, configurable: true });
  try {
    return await import("../../protocol/crypto/runtime.ts?web");
  } finally {
    Object.defineProperty(globalThis, "process", descriptor);
  }
}

requiring(openSslLack)("the engines are tested with OpenSSL among them", () => {
  assert(engines.includes(openSsl!));
});

requiring(openSslLack)("OpenSSL is not opened again when it was", () => {
  // That would be left open.
  assertMatch(preferring.preferOpenSsl(), /^OpenSSL 3/);
});

requiring(openSslLack)("closing a helper of OpenSSL waits for the thread that computes", async () => {
  const helper = openSsl!.startHelper();
  const publicKey = makePublicKey(2n ** 4095n + 1n, 2n ** 1023n + 3n);
  let isComputed = false;
  const computing = helper.publicOperation(publicKey, new Uint8Array(512).fill(1)).then(() =>
    isComputed = true
  );
  await helper.close();
  assertEquals(isComputed, true);
  await computing;
});

for (const engine of engines) {
  const { name, sha256, mgf1 } = engine;

  Deno.test(`SHA-256 by ${name} is the standard's`, async () => {
    const hashes = {
      "": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };
    for (const [text, hash] of Object.entries(hashes)) {
      assertEquals((await sha256(new TextEncoder().encode(text))).toHex(), hash);
    }
    const view = new TextEncoder().encode("xabcx").subarray(1, 4);
    const hash = await sha256(view);
    assertEquals([hash.toHex(), hash.constructor], [hashes.abc, Uint8Array]);
  });

  Deno.test(`MGF1 by ${name} is a chain of hashes with a counter`, async () => {
    const seed = new TextEncoder().encode("seed");
    for (const length of [0, 1, 31, 32, 33, 223, 1000]) {
      let chain = new Uint8Array(0);
      for (let counter = 0; chain.length < length; counter++) {
        const hash = nodeCrypto.hash("sha256", Uint8Array.of(...seed, 0, 0, 0, counter), "buffer");
        chain = Uint8Array.of(...chain, ...hash);
      }
      assertEquals(await mgf1(seed, length), chain.slice(0, length), `${length} bytes`);
    }
  });

  // transport.md Blocks: nonce 16 bytes long, the tag comes first
  Deno.test(`AES-256-GCM by ${name} makes and opens the blocks of the vectors`, async () => {
    for (const { key, baseIv, counter, content, block, blockSize } of vectors.transport.blocks) {
      const nonce = base64(baseIv);
      const view = new DataView(nonce.buffer);
      view.setUint32(0, (view.getUint32(0) ^ counter) >>> 0);
      const padded = new Uint8Array(blockSize - 16).fill(0x23);
      padded.set(base64(content));
      const keys: [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>] = [base64(key), nonce];
      assertEquals(await seal(engine, padded, keys), base64(block), `encrypt block ${counter}`);
      assertEquals(await open(engine, base64(block), keys), padded, `decrypt block ${counter}`);
    }
  });

  Deno.test(`AES-256-GCM by ${name} opens only what was sealed`, async () => {
    for (const length of [0, 1, 15, 16, 17, 100]) {
      const plaintext = new Uint8Array(length).fill(3);
      const sealed = await seal(engine, plaintext);
      const opened = await open(engine, sealed);
      assertEquals([opened, opened?.constructor], [plaintext, Uint8Array]);
      for (const at of [0, 15, 16, 15 + length]) {
        if (at >= sealed.length) continue;
        const changed = sealed.slice();
        changed[at]! ^= 1;
        assertEquals(await open(engine, changed), null, `${length} bytes, byte ${at} changed`);
      }
      for (const shorter of [0, 1, 15, sealed.length - 1]) {
        assertEquals(await open(engine, sealed.slice(0, shorter)), null, `${length} bytes cut to ${shorter}`);
      }
      assertEquals(await open(engine, sealed, [key, nonce.with(0, 9)]), null, "another nonce");
      assertEquals(await open(engine, sealed, [key.with(31, 9), nonce]), null, "another key");
      assertEquals(await open(engine, sealed), plaintext, "after the failures");
    }
  });

  Deno.test(`AES-256-GCM by ${name} changes what it seals and nothing else`, async () => {
    const aes = await engine.importAesKey(key);
    const plaintext = new Uint8Array(50).fill(3);
    const sealed = await seal(engine, plaintext);
    const around = new Uint8Array(68).fill(9);
    around.set(plaintext, 17);
    await aes.seal(nonce, around.subarray(1, 67));
    assertEquals(around, Uint8Array.of(9, ...sealed, 9));
    assertEquals(await aes.open(nonce, around.subarray(1, 67)), plaintext, "a view of a larger array");
    (await aes.open(nonce, sealed))?.fill(0);
    assertEquals(around, Uint8Array.of(9, ...sealed, 9), "opening changes nothing");
    assertEquals([key, nonce], [new Uint8Array(32).fill(1), new Uint8Array(16).fill(2)]);
  });

  Deno.test(`AES-256-GCM by ${name} opens in place what it opens, in a view too, and nothing else`, async () => {
    const aes = await engine.importAesKey(key);
    for (const length of [0, 1, 15, 16, 17, 1000, 16_368, 65_520]) {
      const plaintext = new Uint8Array(length).map((_, at) => at * 31);
      const sealed = await seal(engine, plaintext);
      const around = new Uint8Array(sealed.length + 2).fill(9);
      const lent = around.subarray(1, -1);
      lent.set(sealed);
      const opened = await aes.openInPlace(nonce, lent);
      assertEquals(opened, plaintext);
      if (sealed.length >= manyBytes) {
        assert(opened!.buffer === lent.buffer, "no other memory is left behind");
      }
      assertEquals([around[0], around.at(-1)], [9, 9]);
      for (const changed of [0, 15, sealed.length - 1]) {
        lent.set(sealed);
        lent[changed]! ^= 1;
        assertEquals(await aes.openInPlace(nonce, lent), null);
      }
      assertEquals(await aes.openInPlace(nonce, sealed.slice(0, 15)), null);
    }
  });

  Deno.test(`AES-256-GCM by ${name} refuses what would be written past the end`, async () => {
    const aes = await engine.importAesKey(key);
    await assertRejects(async () => await aes.seal(nonce, new Uint8Array(15)), RangeError);
    await assertRejects(async () => await seal(engine, key, [key.subarray(1), nonce]));
  });

  // transport.md RSA keys: any exponent
  Deno.test(`The public operation of RSA by ${name} is the power`, () => {
    for (const { spki, bits } of vectors.rsa) {
      const publicKey = decodePublicKey(base64(spki));
      for (const number of [new Uint8Array(bits / 8), crypto.getRandomValues(new Uint8Array(bits / 8))]) {
        number[0]! &= 0x7f;
        const expected = power(toNumber(number), publicKey.exponent, publicKey.modulus);
        assertEquals(engine.publicOperation(publicKey, number), toBytes(expected, bits / 8));
      }
    }
  });

  Deno.test(`A helper of ${name} does the same on another thread, and ends`, async () => {
    const helper = engine.startHelper();
    try {
      for (const { spki, bits } of vectors.rsa) {
        const publicKey = decodePublicKey(base64(spki));
        const number = crypto.getRandomValues(new Uint8Array(bits / 8));
        for (const first of [0, 255]) {
          number[0] = first;
          assertEquals(
            await helper.publicOperation(publicKey, number),
            engine.publicOperation(publicKey, number),
          );
        }
      }
    } finally {
      await helper.close();
    }
  });

  Deno.test(`A number that is not below the modulus gives zeros by ${name}`, () => {
    const { modulus } = decodePublicKey(base64(vectors.rsa[0]!.spki));
    const publicKey = makePublicKey(modulus, 3n);
    const length = publicKey.bits / 8;
    for (const number of [modulus, modulus + 2n, 2n ** BigInt(publicKey.bits) - 1n]) {
      assertEquals(engine.publicOperation(publicKey, toBytes(number, length)), new Uint8Array(length));
    }
    const below = engine.publicOperation(publicKey, toBytes(modulus - 1n, length));
    assertEquals(below, toBytes(modulus - 1n, length), "an odd power of -1");
  });
}

Deno.test("What one engine seals the others open", async () => {
  const plaintext = crypto.getRandomValues(new Uint8Array(1000));
  for (const engine of engines) {
    for (const other of engines) assertEquals(await open(other, await seal(engine, plaintext)), plaintext);
  }
});

Deno.test("OpenSSL is not opened without the permission", { permissions: "none" }, () => {
  assertEquals(openOpenSsl(), null);
});
