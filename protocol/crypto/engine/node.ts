import type * as NodeCrypto from "node:crypto";
import { type AesKey, type CryptoEngine, type MaybePromise, tagLength, textOf } from "./engine.ts";
import { manyBytes } from "./keyed.ts";
import { mgf1By } from "./mgf1.ts";
import { publicOperation, startWorker } from "./public_operation.ts";
import { webEngine } from "./web.ts";

/** The native synchronous functions of `node:crypto`: 2 µs for a short hash and 21 µs for a block in Deno; large blocks are WebCrypto's. */
export function nodeEngine(node: typeof NodeCrypto): CryptoEngine {
  const sha256: CryptoEngine["sha256"] = (data) => bytesOf(node.createHash("sha256").update(data).digest());
  return {
    name: "node:crypto",
    sha256,
    mgf1: mgf1By(sha256),
    importAesKey: (raw) => new NodeAesKey(node, raw),
    publicOperation,
    startHelper: startWorker,
  };
}

/** A Node `Buffer` as a plain array: the methods of the two differ (`slice` of a `Buffer` copies nothing). */
function bytesOf(buffer: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.length);
}

class NodeAesKey implements AesKey {
  readonly #node: typeof NodeCrypto;
  readonly #key: Uint8Array<ArrayBuffer>;
  /** For blocks of many bytes. */
  #web: MaybePromise<AesKey> | null = null;

  constructor(node: typeof NodeCrypto, raw: Uint8Array<ArrayBuffer>) {
    this.#node = node;
    this.#key = raw.slice();
  }

  seal(nonce: Uint8Array<ArrayBuffer>, sealed: Uint8Array<ArrayBuffer>): MaybePromise<void> {
    if (sealed.length >= manyBytes) return this.#byWeb(nonce, (key, own) => key.seal(own, sealed));
    const text = textOf(sealed);
    const cipher = this.#node.createCipheriv("aes-256-gcm", this.#key, nonce);
    text.set(cipher.update(text));
    cipher.final();
    sealed.set(cipher.getAuthTag());
  }

  open(
    nonce: Uint8Array<ArrayBuffer>,
    sealed: Uint8Array<ArrayBuffer>,
  ): MaybePromise<Uint8Array<ArrayBuffer> | null> {
    if (sealed.length < tagLength) return null;
    if (sealed.length >= manyBytes) return this.#byWeb(nonce, (key, own) => key.open(own, sealed));
    const decipher = this.#node.createDecipheriv("aes-256-gcm", this.#key, nonce);
    decipher.setAuthTag(sealed.subarray(0, tagLength));
    const plaintext = decipher.update(sealed.subarray(tagLength));
    try {
      decipher.final();
    } catch {
      return null;
    }
    return bytesOf(plaintext);
  }

  openInPlace(
    nonce: Uint8Array<ArrayBuffer>,
    sealed: Uint8Array<ArrayBuffer>,
  ): MaybePromise<Uint8Array<ArrayBuffer> | null> {
    if (sealed.length < manyBytes) return this.open(nonce, sealed);
    return this.#byWeb(nonce, (key, own) => key.openInPlace(own, sealed));
  }

  wipe(): void {
    this.#key.fill(0);
    this.#web = null;
  }

  async #byWeb<T>(
    nonce: Uint8Array<ArrayBuffer>,
    use: (key: AesKey, nonce: Uint8Array<ArrayBuffer>) => MaybePromise<T>,
  ): Promise<T> {
    // The caller's is another one by the time that the key is there.
    const own = nonce.slice();
    return await use(await (this.#web ??= webEngine.importAesKey(this.#key)), own);
  }
}
