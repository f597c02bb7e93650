/** The sender key of a route as its two primes: an RSA-2048 key with exponent 65537 in 256 bytes. */
import { bigintToBytes, bytesToBigint } from "../crypto/bigint.ts";
import { DerReader, derTag, encodeDer, encodePositiveInteger, rsaAlgorithm } from "../crypto/der.ts";
import { importPrivateKey, type KeyPair } from "../crypto/private_key.ts";
import { ParseError } from "../error.ts";

/** The two primes of an RSA-2048 key, 128 bytes each, big-endian. */
export interface SenderKeyPrimes {
  /** The larger one. */
  readonly p: Uint8Array<ArrayBuffer>;
  /** The smaller one. */
  readonly q: Uint8Array<ArrayBuffer>;
}

/** Bytes of each prime. */
export const primeLength = 128;

const exponent = 65537n;
const version0 = Uint8Array.of(derTag.integer, 1, 0);

/**
 * The primes of a private key in PKCS#8 DER. Throws {@linkcode ParseError} (`PRIVATE_KEY`) when it is not one of RSA-2048
 * with exponent 65537.
 */
export function senderKeyPrimes(pkcs8: Uint8Array): SenderKeyPrimes {
  try {
    const info = new DerReader(pkcs8).enter(derTag.sequence);
    info.literal(version0, "version 0");
    info.literal(rsaAlgorithm, "the algorithm rsaEncryption");
    const key = new DerReader(info.content(derTag.octetString)).enter(derTag.sequence);
    key.literal(version0, "version 0");
    const [, e, , one, other] = Array.from({ length: 5 }, () => bytesToBigint(key.positiveInteger()));
    if (e !== exponent) throw new SyntaxError(`exponent ${exponent} is expected`);
    const [p, q] = one! > other! ? [one!, other!] : [other!, one!];
    if (p >> 1023n !== 1n || q >> 1023n !== 1n) throw new SyntaxError("primes of 1024 bits are expected");
    return { p: bigintToBytes(p, primeLength), q: bigintToBytes(q, primeLength) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ParseError("PRIVATE_KEY", `Cannot use sender key: ${error.message}`, { cause: error });
  }
}

/** The key of two primes that the owner of a route has told, tried once; `null` when they do not make one of RSA-2048. */
export async function senderKeyOf({ p, q }: SenderKeyPrimes): Promise<KeyPair<"sign"> | null> {
  const pkcs8 = pkcs8Of(bytesToBigint(p), bytesToBigint(q));
  if (pkcs8 === null) return null;
  try {
    return await importPrivateKey(pkcs8, "sign");
  } catch (error) {
    if (error instanceof ParseError) return null;
    throw error;
  } finally {
    pkcs8.fill(0);
  }
}

function pkcs8Of(p: bigint, q: bigint): Uint8Array<ArrayBuffer> | null {
  if (!areLikePrimes(p, q)) return null;
  const d = inverse(exponent, (p - 1n) * (q - 1n));
  const coefficient = inverse(q % p, p);
  if (d === null || coefficient === null) return null;
  const numbers = [p * q, exponent, d, p, q, d % (p - 1n), d % (q - 1n), coefficient];
  const key = encodeDer(derTag.sequence, version0, ...numbers.map(integer));
  return encodeDer(derTag.sequence, version0, rsaAlgorithm, encodeDer(derTag.octetString, key));
}

/** Whether two numbers could be the primes of a sender key: odd, in order, of a product of 2048 bits. */
export function couldBePrimes({ p, q }: SenderKeyPrimes): boolean {
  return p.length === primeLength && q.length === primeLength &&
    areLikePrimes(bytesToBigint(p), bytesToBigint(q));
}

function areLikePrimes(p: bigint, q: bigint): boolean {
  return p > q && p % 2n === 1n && q % 2n === 1n && (p * q) >> 2047n === 1n;
}

function integer(number: bigint): Uint8Array {
  return encodePositiveInteger(bigintToBytes(number, Math.ceil(number.toString(16).length / 2)));
}

/** The number that `number` times it is 1 modulo `modulus`; `null` when there is none. */
function inverse(number: bigint, modulus: bigint): bigint | null {
  let [r, nextR, t, nextT] = [modulus, number, 0n, 1n];
  while (nextR !== 0n) {
    const quotient = r / nextR;
    [r, nextR] = [nextR, r - quotient * nextR];
    [t, nextT] = [nextT, t - quotient * nextT];
  }
  return r === 1n ? (t % modulus + modulus) % modulus : null;
}
