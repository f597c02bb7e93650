import { type AesKey, type CryptoEngine, tagLength, textOf } from "./engine.ts";
import { mgf1By } from "./mgf1.ts";
import { publicOperation, startWorker } from "./public_operation.ts";
import { release } from "./release.ts";

const sha256: CryptoEngine["sha256"] = async (data) =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", data));

/** WebCrypto, as browsers have it. */
export const webEngine: CryptoEngine = {
  name: "WebCrypto",
  sha256,
  mgf1: mgf1By(sha256),
  importAesKey: aesKey,
  publicOperation,
  startHelper: startWorker,
};

async function aesKey(raw: Uint8Array<ArrayBuffer>): Promise<AesKey> {
  const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
  /** Moves the tag behind the ciphertext, where WebCrypto has it. */
  const open = async (iv: Uint8Array<ArrayBuffer>, sealed: Uint8Array<ArrayBuffer>) => {
    if (sealed.length < tagLength) return null;
    const tag = sealed.slice(0, tagLength);
    sealed.copyWithin(0, tagLength);
    sealed.set(tag, sealed.length - tagLength);
    try {
      return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, key, sealed));
    } catch {
      return null;
    }
  };
  return {
    async seal(iv, sealed) {
      const text = textOf(sealed);
      const result = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, text));
      text.set(result.subarray(0, text.length));
      sealed.set(result.subarray(text.length));
      release(result);
    },
    async open(iv, sealed) {
      const own = sealed.slice();
      const text = await open(iv, own);
      release(own);
      return text;
    },
    async openInPlace(iv, sealed) {
      const text = await open(iv, sealed);
      if (text === null) return null;
      sealed.set(text);
      release(text);
      return sealed.subarray(0, -tagLength);
    },
    // The runtime has the only copy, and lets nobody at it.
    wipe() {},
  };
}
