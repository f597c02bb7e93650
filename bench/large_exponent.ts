/** A key like those of the reference's peers, whose exponents have 1024 bits, which WebCrypto does not take. */
import { decodeBase64, parsePublicKeyText, type PublicKey, randomBytes, sha256 } from "../protocol/mod.ts";
import { privateOperation, unmask } from "../tests/support/rsa_private.ts";
import rsa from "../tests/vectors/rsa.json" with { type: "json" };

const vector = rsa.keys.find(({ name }) => name === "rsa2048BigExponent")!;
const pkcs8 = decodeBase64(vector.pkcs8)!;

/** The public half. */
export const largeKey: PublicKey = parsePublicKeyText(vector.text);

/** Signs as `signPss` does, in a time that tells the key: for benchmarks alone. */
export async function signLarge(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const [hashLength, length] = [32, 256];
  const salt = randomBytes(hashLength);
  const hashed = new Uint8Array(8 + 2 * hashLength);
  hashed.set(await sha256(data), 8);
  hashed.set(salt, 8 + hashLength);
  const hash = await sha256(hashed);
  const encoded = new Uint8Array(length).fill(0xbc, length - 1);
  const block = encoded.subarray(0, length - hashLength - 1);
  block[block.length - hashLength - 1] = 1;
  block.set(salt, block.length - hashLength);
  block.set(await unmask(block, hash));
  block[0]! &= 0x7f;
  encoded.set(hash, block.length);
  return privateOperation(pkcs8, encoded);
}
