import { randomBytes } from "../bytes.ts";
import { xorMgf1 } from "./mgf1.ts";
import { modulusLength, type PublicKey } from "./public_key.ts";
import { publicOperation, sha256 } from "./runtime.ts";

const hashLength = 32;

/**
 * Encrypts up to `modulus bytes - 66` bytes with RSA-OAEP (SHA-256, MGF1-SHA-256, empty label) for a key with any
 * exponent; the result is one modulus long. `seed` (32 bytes) is random unless a test gives it.
 * Throws `RangeError` when `plaintext` is too long for the key.
 */
export async function encryptOaep(
  key: PublicKey,
  plaintext: Uint8Array,
  seed: Uint8Array = randomBytes(hashLength),
): Promise<Uint8Array<ArrayBuffer>> {
  const length = modulusLength(key.bits);
  const most = length - 2 * hashLength - 2;
  if (plaintext.length > most) {
    throw new RangeError(
      `Cannot encrypt: plaintext has ${plaintext.length} bytes, a ${key.bits}-bit key takes ${most}`,
    );
  }
  const encoded = new Uint8Array(length);
  const maskedSeed = encoded.subarray(1, 1 + hashLength);
  const block = encoded.subarray(1 + hashLength);
  block.set(await sha256(new Uint8Array(0)));
  block[block.length - plaintext.length - 1] = 1;
  block.set(plaintext, block.length - plaintext.length);
  maskedSeed.set(seed);
  await xorMgf1(block, seed);
  await xorMgf1(maskedSeed, block);
  return publicOperation(key, encoded);
}
