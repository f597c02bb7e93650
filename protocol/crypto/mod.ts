/**
 * Keys, signatures and encryption of SMP: RSA-PSS, RSA-OAEP and AES-256-GCM (transport.md RSA keys, agent.md).
 *
 * Private keys stay in WebCrypto. Public keys may have any odd exponent of up to 1024 bits,
 * as those of reference peers do.
 *
 * @example Sign and verify
 * ```ts
 * import { generateKeyPair, signPss, verifyPss } from "@simplexmq/smp/protocol";
 *
 * const { publicKey, privateKey } = await generateKeyPair("sign");
 * const data = new TextEncoder().encode("hello");
 * const signature = await signPss(privateKey, data);
 * console.log(await verifyPss(publicKey, signature, data)); // true
 * ```
 *
 * @module
 */
export { bigintToBytes, bytesToBigint } from "./bigint.ts";
export * from "./e2e.ts";
export { type CryptoHelper, type MaybePromise, tagLength } from "./engine/engine.ts";
export { openSslPaths } from "./engine/openssl.ts";
export { release } from "./engine/release.ts";
export { publicKeyHash } from "./key_hash.ts";
export { encryptOaep } from "./oaep.ts";
export * from "./private_key.ts";
export { type PublicOperation, verifyPss } from "./pss.ts";
export {
  decodePublicKey,
  encodePublicKeyText,
  isKeySize,
  type KeySize,
  keySizes,
  makePublicKey,
  modulusLength,
  parsePublicKeyText,
  type PublicKey,
} from "./public_key.ts";
export {
  type AesKey,
  cryptoEngine,
  importAesKey,
  preferOpenSsl,
  sha256,
  startCryptoHelper,
} from "./runtime.ts";
