import { sha256 } from "./runtime.ts";

/** XORs `target` with the MGF1-SHA-256 mask of `seed` (RFC 8017 B.2.1), in place. */
export async function xorMgf1(target: Uint8Array, seed: Uint8Array): Promise<void> {
  const input = new Uint8Array(seed.length + 4);
  input.set(seed);
  const counter = new DataView(input.buffer, seed.length);
  for (let at = 0; at < target.length; at += 32) {
    counter.setUint32(0, at / 32);
    const mask = await sha256(input);
    const length = Math.min(32, target.length - at);
    for (let i = 0; i < length; i++) target[at + i]! ^= mask[i]!;
  }
}
