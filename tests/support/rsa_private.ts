import { DerReader, derTag } from "../../protocol/crypto/der.ts";

/**
 * The private operation of RSA for keys that WebCrypto does not take, and for encodings that nothing else makes. For
 * tests alone: its time depends on the key, and it shares nothing but the DER reader with the code that it checks.
 */
export function privateOperation(pkcs8: Uint8Array, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { modulus, exponent } = readPrivateKey(pkcs8);
  return toBytes(power(toNumber(bytes), exponent, modulus), bytes.length);
}

/** Decrypts RSA-OAEP (SHA-256, MGF1-SHA-256, empty label) and tells the seed that it was made with. */
export async function openOaep(
  pkcs8: Uint8Array,
  ciphertext: Uint8Array,
): Promise<{ readonly plaintext: Uint8Array<ArrayBuffer>; readonly seed: Uint8Array<ArrayBuffer> }> {
  const encoded = privateOperation(pkcs8, ciphertext);
  if (encoded[0] !== 0) throw new Error("the encoding does not begin with a zero byte");
  const seed = await unmask(encoded.slice(1, 33), encoded.slice(33));
  const block = await unmask(encoded.slice(33), seed);
  const labelHash = await digest(new Uint8Array(0));
  if (!labelHash.every((byte, i) => byte === block[i])) throw new Error("the label's hash is wrong");
  const one = block.findIndex((byte, i) => i >= 32 && byte !== 0);
  if (block[one] !== 1) throw new Error("the padding is wrong");
  return { plaintext: block.slice(one + 1), seed };
}

function readPrivateKey(pkcs8: Uint8Array): { readonly modulus: bigint; readonly exponent: bigint } {
  const info = new DerReader(pkcs8).enter(derTag.sequence);
  info.content(derTag.integer);
  info.content(derTag.sequence);
  const key = new DerReader(info.content(derTag.octetString)).enter(derTag.sequence);
  key.content(derTag.integer);
  const modulus = toNumber(key.positiveInteger());
  key.positiveInteger();
  return { modulus, exponent: toNumber(key.positiveInteger()) };
}

/** `base ** exponent % modulus`, as the schoolbook has it. */
export function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = result * result % modulus;
    if (bit === "1") result = result * base % modulus;
  }
  return result;
}

/** The big-endian number that bytes are. */
export function toNumber(bytes: Uint8Array): bigint {
  return bytes.reduce((number, byte) => number << 8n | BigInt(byte), 0n);
}

/** The `length` bytes of a number in big-endian order. */
export function toBytes(number: bigint, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => Number(number >> BigInt(8 * (length - 1 - i)) & 255n));
}

/** `bytes` XORed with the MGF1-SHA-256 mask of a seed. */
export async function unmask(bytes: Uint8Array, seed: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const mask: number[] = [];
  for (let i = 0; mask.length < bytes.length; i++) {
    mask.push(...await digest(Uint8Array.of(...seed, 0, 0, 0, i)));
  }
  return Uint8Array.from(bytes, (byte, i) => byte ^ mask[i]!);
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}
