import { equalBytes } from "../bytes.ts";
import { xorMgf1 } from "./mgf1.ts";
import { modulusLength, type PublicKey } from "./public_key.ts";
import { publicOperation, sha256 } from "./runtime.ts";

const hashLength = 32;
const saltLength = 32;

/** The public operation of RSA: the number (bytes, big-endian) to the power of the key's exponent, modulo its modulus. */
export type PublicOperation = (
  key: PublicKey,
  number: Uint8Array,
) => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>;

/**
 * Verifies an RSA-PSS signature with SHA-256, MGF1-SHA-256 and a salt of 32 bytes (transport.md RSA keys), by a key
 * with any exponent. A signature of the right length takes the same steps whether it is valid or not.
 * `operation` is for programs that do the costly part elsewhere.
 */
export async function verifyPss(
  key: PublicKey,
  signature: Uint8Array,
  data: Uint8Array<ArrayBuffer>,
  operation: PublicOperation = publicOperation,
): Promise<boolean> {
  const length = modulusLength(key.bits);
  if (signature.length !== length) return false;
  const encoded = await operation(key, signature);
  return await isPssEncoding(encoded, key.bits - 1, data);
}

/** RFC 8017 9.1.2, on an encoding that may have a zero byte in front; looks at everything before it decides. */
async function isPssEncoding(
  encoded: Uint8Array,
  bits: number,
  data: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const length = Math.ceil(bits / 8);
  const front = encoded.length - length;
  const blockLength = length - hashLength - 1;
  const zeros = blockLength - saltLength - 1;
  if (zeros < 0) return false;
  const block = encoded.slice(front, front + blockLength);
  const hash = encoded.subarray(front + blockLength, front + blockLength + hashLength);
  const topMask = 255 >> (8 * length - bits);
  let wrong = encoded[encoded.length - 1]! ^ 0xbc;
  for (let i = 0; i < front; i++) wrong |= encoded[i]!;
  wrong |= block[0]! & ~topMask;
  await xorMgf1(block, hash);
  block[0]! &= topMask;
  for (let i = 0; i < zeros; i++) wrong |= block[i]!;
  wrong |= block[zeros]! ^ 1;
  const hashed = new Uint8Array(8 + hashLength + saltLength);
  hashed.set(await sha256(data), 8);
  hashed.set(block.subarray(zeros + 1), 8 + hashLength);
  return equalBytes(await sha256(hashed), hash) && wrong === 0;
}
