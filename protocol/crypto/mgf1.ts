import { mgf1 } from "./runtime.ts";

/** XORs `target` with the MGF1-SHA-256 mask of `seed` (RFC 8017 B.2.1), in place. */
export async function xorMgf1(target: Uint8Array, seed: Uint8Array): Promise<void> {
  const mask = await mgf1(seed, target.length);
  for (let i = 0; i < target.length; i++) target[i]! ^= mask[i]!;
}
