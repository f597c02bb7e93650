import type * as NodeCrypto from "node:crypto";
import { hkdf } from "../hkdf.ts";
import { type MaybePromise, tagLength } from "./engine.ts";
import { release } from "./release.ts";

/** What HKDF takes beside the secret. */
export interface HkdfParameters {
  /** May be empty. */
  readonly salt: Uint8Array<ArrayBuffer>;
  /** What the result is for. */
  readonly info: Uint8Array<ArrayBuffer>;
  /** Bytes of the result. */
  readonly length: number;
}

/** What AES-256-GCM needs for one message. */
export interface AeadParameters {
  /** 32 bytes. */
  readonly key: Uint8Array<ArrayBuffer>;
  /** 12 bytes, never used with this key before. */
  readonly nonce: Uint8Array<ArrayBuffer>;
  /** What is authenticated and not encrypted. */
  readonly additional: Uint8Array<ArrayBuffer>;
}

/** AES-256-GCM under keys that are used once. */
export interface Aead {
  /** Encrypts bytes in place but for the last 16, which become the tag: nothing is copied where that can be. */
  sealInPlace(bytes: Uint8Array<ArrayBuffer>, parameters: AeadParameters): MaybePromise<void>;
  /** As {@linkcode open}; the plaintext may take the place of what was sealed, which is lost in any case. */
  openInPlace(
    sealed: Uint8Array<ArrayBuffer>,
    parameters: AeadParameters,
  ): MaybePromise<Uint8Array<ArrayBuffer> | null>;
  /** Ciphertext, and behind it the tag of 16 bytes. */
  seal(plaintext: Uint8Array<ArrayBuffer>, parameters: AeadParameters): MaybePromise<Uint8Array<ArrayBuffer>>;
  /** What {@linkcode seal} has sealed; `null` when it is not authentic. */
  open(
    sealed: Uint8Array<ArrayBuffer>,
    parameters: AeadParameters,
  ): MaybePromise<Uint8Array<ArrayBuffer> | null>;
}

/** Symmetric cryptography under keys that are used once. */
export interface KeyedEngine extends Aead {
  /** HMAC-SHA-256 of `data`: 32 bytes. */
  hmac(key: Uint8Array<ArrayBuffer>, data: Uint8Array<ArrayBuffer>): MaybePromise<Uint8Array<ArrayBuffer>>;
  /** HKDF-SHA-256 (RFC 5869) of `secret`. */
  hkdf(
    secret: Uint8Array<ArrayBuffer>,
    parameters: HkdfParameters,
  ): MaybePromise<Uint8Array<ArrayBuffer>>;
}

/** Bytes from which on WebCrypto, which takes longer to begin, is faster at AES than `node:crypto` in Deno. */
export const manyBytes = 16_384;

/** WebCrypto: 30 µs a call in Deno. */
export const webKeyedEngine: KeyedEngine = {
  async hmac(key, data) {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["sign"]);
    return new Uint8Array(await crypto.subtle.sign("HMAC", imported, data));
  },
  hkdf,
  async sealInPlace(bytes, parameters) {
    const sealed = await webKeyedEngine.seal(bytes.subarray(0, -tagLength), parameters);
    bytes.set(sealed);
    release(sealed);
  },
  async openInPlace(sealed, parameters) {
    const text = await webKeyedEngine.open(sealed, parameters);
    if (text === null) return null;
    sealed.set(text);
    release(text);
    return sealed.subarray(0, -tagLength);
  },
  async seal(plaintext, { key, nonce: iv, additional: additionalData }) {
    const imported = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
    return new Uint8Array(
      await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData }, imported, plaintext),
    );
  },
  async open(sealed, { key, nonce: iv, additional: additionalData }) {
    if (sealed.length < tagLength) return null;
    const imported = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
    try {
      return new Uint8Array(
        await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData }, imported, sealed),
      );
    } catch {
      return null;
    }
  },
};

/** The synchronous functions of `node:crypto`: 4 to 11 µs a call in Deno; AES of many bytes is WebCrypto's. */
export function nodeKeyedEngine(node: typeof NodeCrypto): KeyedEngine {
  const engine: KeyedEngine = {
    openInPlace: (sealed, parameters) =>
      sealed.length >= manyBytes
        ? webKeyedEngine.openInPlace(sealed, parameters)
        : engine.open(sealed, parameters),
    hmac: (key, data) => plain(node.createHmac("sha256", key).update(data).digest()),
    hkdf: (secret, { salt, info, length }) =>
      new Uint8Array(node.hkdfSync("sha256", secret, salt, info, length)),
    sealInPlace(bytes, parameters) {
      const { key, nonce, additional } = parameters;
      if (bytes.length >= manyBytes) return webKeyedEngine.sealInPlace(bytes, parameters);
      const end = bytes.length - tagLength;
      const cipher = node.createCipheriv("aes-256-gcm", key, nonce);
      cipher.setAAD(additional);
      bytes.set(cipher.update(bytes.subarray(0, end)));
      cipher.final();
      bytes.set(cipher.getAuthTag(), end);
    },
    seal(plaintext, parameters) {
      if (plaintext.length >= manyBytes) return webKeyedEngine.seal(plaintext, parameters);
      const { key, nonce, additional } = parameters;
      const cipher = node.createCipheriv("aes-256-gcm", key, nonce);
      cipher.setAAD(additional);
      const sealed = new Uint8Array(plaintext.length + tagLength);
      sealed.set(cipher.update(plaintext));
      cipher.final();
      sealed.set(cipher.getAuthTag(), plaintext.length);
      return sealed;
    },
    open(sealed, parameters) {
      if (sealed.length >= manyBytes) return webKeyedEngine.open(sealed, parameters);
      const { key, nonce, additional } = parameters;
      const end = sealed.length - tagLength;
      if (end < 0) return null;
      const decipher = node.createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: tagLength });
      decipher.setAAD(additional);
      decipher.setAuthTag(sealed.subarray(end));
      const plaintext = decipher.update(sealed.subarray(0, end));
      try {
        decipher.final();
      } catch {
        return null;
      }
      return plain(plaintext);
    },
  };
  return engine;
}

/** A Node `Buffer` as a plain array. */
function plain(buffer: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.length);
}
