import { assert, assertEquals } from "@std/assert";
import * as nodeRuntime from "../../protocol/crypto/runtime.ts";
import { base64, vectors } from "../support/vectors.ts";

/** The same module as browsers have it: without `process`, on WebCrypto. */
async function importWithoutProcess(): Promise<typeof nodeRuntime> {
  const descriptor = Object.getOwnPropertyDescriptor(globalThis, "process")!;
  Object.defineProperty(globalThis, "process", { value: undefined, configurable: true });
  try {
    return await import("../../protocol/crypto/runtime.ts?web");
  } finally {
    Object.defineProperty(globalThis, "process", descriptor);
  }
}

const webRuntime = await importWithoutProcess();
const runtimes = { "node:crypto": nodeRuntime, "WebCrypto": webRuntime };
const key = new Uint8Array(32).fill(1), nonce = new Uint8Array(16).fill(2);

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
  const use = async ({ sha256, importAesKey }: typeof nodeRuntime) => {
    const aes = await importAesKey(key);
    await sha256(key);
    await aes.decrypt(nonce, await aes.encrypt(nonce, key));
  };
  assertEquals(await countWebCrypto(() => use(nodeRuntime)), 0);
  assertEquals(await countWebCrypto(() => use(webRuntime)), 4);
});

for (const [name, { importAesKey, sha256 }] of Object.entries(runtimes)) {
  Deno.test(`SHA-256 by ${name} is the standard's`, { permissions: "none" }, async () => {
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

  // transport.md Blocks: nonce 16 bytes long, the tag comes first
  Deno.test(`AES-256-GCM by ${name} makes and opens the blocks of the vectors`, {
    permissions: "none",
  }, async () => {
    for (const { key, baseIv, counter, content, block, blockSize } of vectors.transport.blocks) {
      const aes = await importAesKey(base64(key));
      const nonce = base64(baseIv);
      const view = new DataView(nonce.buffer);
      view.setUint32(0, (view.getUint32(0) ^ counter) >>> 0);
      const padded = new Uint8Array(blockSize - 16).fill(0x23);
      padded.set(base64(content));
      assertEquals(await aes.encrypt(nonce, padded), base64(block), `encrypt block ${counter}`);
      assertEquals(await aes.decrypt(nonce, base64(block)), padded, `decrypt block ${counter}`);
    }
  });

  Deno.test(`AES-256-GCM by ${name} opens only what was sealed`, { permissions: "none" }, async () => {
    const aes = await importAesKey(key);
    for (const length of [0, 1, 15, 16, 17, 100]) {
      const plaintext = new Uint8Array(length).fill(3);
      const sealed = await aes.encrypt(nonce, plaintext);
      assertEquals(sealed.length, 16 + length);
      const opened = await aes.decrypt(nonce, sealed);
      assertEquals([opened, opened?.constructor], [plaintext, Uint8Array]);
      for (const at of [0, 15, 16, 15 + length]) {
        if (at >= sealed.length) continue;
        const changed = sealed.slice();
        changed[at]! ^= 1;
        assertEquals(await aes.decrypt(nonce, changed), null, `${length} bytes, byte ${at} changed`);
      }
      for (const shorter of [0, 1, 15, sealed.length - 1]) {
        assertEquals(
          await aes.decrypt(nonce, sealed.slice(0, shorter)),
          null,
          `${length} bytes cut to ${shorter}`,
        );
      }
      assertEquals(await aes.decrypt(nonce.with(0, 9), sealed), null, "another nonce");
      assertEquals(await (await importAesKey(key.with(31, 9))).decrypt(nonce, sealed), null, "another key");
    }
  });

  Deno.test(`AES-256-GCM by ${name} leaves what it is given as it is`, { permissions: "none" }, async () => {
    const aes = await importAesKey(key);
    const plaintext = new Uint8Array(50).fill(3);
    const sealed = await aes.encrypt(nonce, plaintext);
    const copy = sealed.slice();
    const opened = await aes.decrypt(nonce, sealed);
    opened?.fill(0);
    assertEquals([sealed, plaintext, nonce], [copy, new Uint8Array(50).fill(3), new Uint8Array(16).fill(2)]);
    const inside = Uint8Array.of(9, ...sealed, 9).subarray(1, 67);
    assertEquals(await aes.decrypt(nonce, inside), plaintext, "a view of a larger array");
  });
}

Deno.test("What one runtime seals the other opens", { permissions: "none" }, async () => {
  const plaintext = crypto.getRandomValues(new Uint8Array(1000));
  const [node, web] = await Promise.all([nodeRuntime.importAesKey(key), webRuntime.importAesKey(key)]);
  const sealed = await node.encrypt(nonce, plaintext);
  assertEquals(await web.encrypt(nonce, plaintext), sealed);
  assertEquals(await web.decrypt(nonce, sealed), plaintext);
  assert(webRuntime.importAesKey !== nodeRuntime.importAesKey);
});
