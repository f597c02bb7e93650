// What the parts of the vectors of sessions (make_ratchet_vectors.mjs) have in common.

import { Buffer } from "node:buffer";
import { createHash, createPrivateKey } from "node:crypto";
import { keyPair } from "./keys.mjs";

/** Random bytes that are the same each time: SHA-256 of `label n block`, n counting the calls. Each is noted. */
export class FixedRandom {
  #label;
  #calls = 0;
  #noted = [];

  constructor(label) {
    this.#label = label;
  }

  bytes = (length) => {
    const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, block) => {
      return createHash("sha256").update(`${this.#label} ${this.#calls} ${block}`).digest();
    });
    this.#calls++;
    const bytes = Buffer.concat(blocks).subarray(0, length);
    this.#noted.push(base64(bytes));
    return bytes;
  };

  /** What was given since this was asked the last time. */
  noted() {
    const noted = this.#noted;
    this.#noted = [];
    return noted;
  }
}

export function base64(bytes) {
  return Buffer.from(bytes).toString("base64");
}

/** A value with all its bytes in base64. */
export function inBase64(value) {
  if (value instanceof Uint8Array) return base64(value);
  if (Array.isArray(value)) return value.map(inBase64);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, inBase64(field)]));
}

/** Copies of bytes with some replaced. */
export function replaced(bytes, at, by) {
  const copy = Buffer.from(bytes);
  Buffer.from(by).copy(copy, at);
  return copy;
}

export function flipped(bytes, at) {
  return replaced(bytes, at, [bytes.at(at) ^ 1]);
}

export function withoutZeros(bytes) {
  return bytes.subarray(0, bytes.findLastIndex((byte) => byte !== 0) + 1);
}

/** The primes of `rsa2048` in rsa.json, whose exponent is 65537; p is the greater. */
export function primes() {
  const privateKey = createPrivateKey(keyPair("rsa2048").privateKey.export({ format: "pem", type: "pkcs8" }));
  const { p, q } = privateKey.export({ format: "jwk" });
  return { p: Buffer.from(p, "base64url"), q: Buffer.from(q, "base64url") };
}
