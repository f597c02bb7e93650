// Sessions of agents (sessions.md): pairs of an X25519 and an ML-KEM-768 key, and the other primitives. Part of an
// implementation that is independent of this project, see session.mjs.
//
// `kit` is `{ mlKem, random }` everywhere: ML-KEM-768 with the functions of @noble/post-quantum, and a function that
// gives as many random bytes as asked for.

import { Buffer } from "node:buffer";
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  hkdfSync,
} from "node:crypto";

export const DH_SIZE = 32;
export const KEM_SIZE = 1184;
export const CIPHERTEXT_SIZE = 1088;
export const PUBLIC_SIZE = DH_SIZE + KEM_SIZE;
export const TAG_SIZE = 16;
/** What stands before the 32 bytes of an X25519 key in PKCS #8 and in SubjectPublicKeyInfo (RFC 8410). */
const PRIVATE_DER = Buffer.from("302e020100300506032b656e04220420", "hex");
const PUBLIC_DER = Buffer.from("302a300506032b656e032100", "hex");
const BASE_POINT = Buffer.concat([Buffer.of(9), Buffer.alloc(31)]);
const KEM_MODULUS = 3329;

/** ML-KEM-768 of @noble/post-quantum, whose ml-kem.js has this URL. */
export async function loadMlKem(url) {
  return (await import(url)).ml_kem768;
}

/** The X25519 secret; null when it is all zeros, which OpenSSL takes for a failure. */
export function x25519(privateBytes, publicBytes) {
  const privateKey = createPrivateKey({
    key: Buffer.concat([PRIVATE_DER, privateBytes]),
    format: "der",
    type: "pkcs8",
  });
  const publicKey = createPublicKey({
    key: Buffer.concat([PUBLIC_DER, publicBytes]),
    format: "der",
    type: "spki",
  });
  let secret;
  try {
    secret = diffieHellman({ privateKey, publicKey });
  } catch {
    return null;
  }
  return secret.every((byte) => byte === 0) ? null : secret;
}

/** The pair of these seeds: X25519 private key 32 bytes, ML-KEM seed 64 (d, then z). */
export function pairFromSeeds(kit, dhPrivate, kemSeed) {
  const { publicKey, secretKey } = kit.mlKem.keygen(kemSeed);
  const dh = x25519(dhPrivate, BASE_POINT);
  return {
    dhPrivate: Buffer.from(dhPrivate),
    kemSeed: Buffer.from(kemSeed),
    kemSecret: Buffer.from(secretKey),
    public: Buffer.concat([dh, publicKey]),
  };
}

/** A fresh pair. */
export function makePair(kit) {
  const dhPrivate = kit.random(32);
  return pairFromSeeds(kit, dhPrivate, kit.random(64));
}

export function dhOf(publicPair) {
  return publicPair.subarray(0, DH_SIZE);
}

export function kemOf(publicPair) {
  return publicPair.subarray(DH_SIZE);
}

/** The check of an encapsulation key (FIPS 203, 7.2): all of its 12-bit numbers are below the modulus. */
export function isKemKey(key) {
  if (key.length !== KEM_SIZE) return false;
  for (let at = 0; at < KEM_SIZE - 32; at += 3) {
    const low = key[at] | ((key[at + 1] & 15) << 8);
    const high = (key[at + 1] >> 4) | (key[at + 2] << 4);
    if (low >= KEM_MODULUS || high >= KEM_MODULUS) return false;
  }
  return true;
}

export function encapsulate(kit, kemKey) {
  const { cipherText, sharedSecret } = kit.mlKem.encapsulate(kemKey, kit.random(32));
  return { ciphertext: Buffer.from(cipherText), secret: Buffer.from(sharedSecret) };
}

export function decapsulate(kit, ciphertext, pair) {
  return Buffer.from(kit.mlKem.decapsulate(ciphertext, pair.kemSecret));
}

export function sha256(...parts) {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

export function hmac(key, bytes) {
  return createHmac("sha256", key).update(bytes).digest();
}

export function hkdf({ salt = Buffer.alloc(0), secret, info, length }) {
  return Buffer.from(hkdfSync("sha256", secret, salt, info, length));
}

/** AES-256-GCM, the tag behind the ciphertext. */
export function seal({ key, nonce, plaintext, additional }) {
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  cipher.setAAD(additional);
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** The plaintext; null when the tag is wrong. */
export function open({ key, nonce, sealed, additional }) {
  if (sealed.length < TAG_SIZE) return null;
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_SIZE });
  decipher.setAAD(additional);
  decipher.setAuthTag(sealed.subarray(-TAG_SIZE));
  const plaintext = decipher.update(sealed.subarray(0, -TAG_SIZE));
  try {
    return Buffer.concat([plaintext, decipher.final()]);
  } catch {
    return null;
  }
}
