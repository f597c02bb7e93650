import type * as NodeCrypto from "node:crypto";
import { type AesKey, type CryptoEngine, tagLength, textOf } from "./engine.ts";
import { mgf1By } from "./mgf1.ts";
import { publicOperation, startWorker } from "./public_operation.ts";

/** The native synchronous functions of `node:crypto`: 2 µs for a short hash and 21 µs for a block in Deno. */
export function nodeEngine(node: typeof NodeCrypto): CryptoEngine {
  const sha256: CryptoEngine["sha256"] = (data) =>
    Promise.resolve(bytesOf(node.createHash("sha256").update(data).digest()));
  return {
    name: "node:crypto",
    sha256,
    mgf1: mgf1By(sha256),
    importAesKey: (raw) => Promise.resolve(aesKey(node, raw)),
    publicOperation,
    startHelper: startWorker,
  };
}

/** A Node `Buffer` as a plain array: the methods of the two differ (`slice` of a `Buffer` copies nothing). */
function bytesOf(buffer: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.length);
}

function aesKey(node: typeof NodeCrypto, raw: Uint8Array<ArrayBuffer>): AesKey {
  return {
    // deno-lint-ignore require-await
    async seal(nonce, sealed) {
      const text = textOf(sealed);
      const cipher = node.createCipheriv("aes-256-gcm", raw, nonce);
      text.set(cipher.update(text));
      cipher.final();
      sealed.set(cipher.getAuthTag());
    },
    // deno-lint-ignore require-await
    async open(nonce, sealed) {
      if (sealed.length < tagLength) return null;
      const decipher = node.createDecipheriv("aes-256-gcm", raw, nonce);
      decipher.setAuthTag(sealed.subarray(0, tagLength));
      const plaintext = decipher.update(sealed.subarray(tagLength));
      try {
        decipher.final();
      } catch {
        return null;
      }
      return bytesOf(plaintext);
    },
  };
}
