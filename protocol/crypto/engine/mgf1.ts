import type { CryptoEngine } from "./engine.ts";

const hashLength = 32;

/** MGF1-SHA-256 (RFC 8017 B.2.1) by a function for SHA-256. */
export function mgf1By(sha256: CryptoEngine["sha256"]): CryptoEngine["mgf1"] {
  return async (seed, length) => {
    const input = new Uint8Array(seed.length + 4);
    input.set(seed);
    const counter = new DataView(input.buffer, seed.length);
    const count = Math.ceil(length / hashLength);
    const mask = new Uint8Array(count * hashLength);
    for (let i = 0; i < count; i++) {
      counter.setUint32(0, i);
      mask.set(await sha256(input), i * hashLength);
    }
    return mask.subarray(0, length);
  };
}
