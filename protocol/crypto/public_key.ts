import { base64Length, encodeBase64, lendBase64 } from "../base64.ts";
import { ParseError } from "../error.ts";
import { bigintToBytes, bitLength, bytesToBigint } from "./bigint.ts";
import { latin1Bytes } from "../bytes.ts";
import { DerReader, derTag, encodeDer, encodePositiveInteger, rsaAlgorithm } from "./der.ts";

/** An RSA public key of any size, with any odd exponent from 3 to 1024 bits, also one greater than the modulus. */
export interface PublicKey {
  /** X.509 SubjectPublicKeyInfo, DER. */
  readonly der: Uint8Array<ArrayBuffer>;
  /** The modulus. */
  readonly modulus: bigint;
  /** The public exponent; reference peers use random ones of up to 1024 bits. */
  readonly exponent: bigint;
  /** Size of the modulus in bits. */
  readonly bits: number;
}

/** The key sizes in bits that queues and agents may use (transport.md RSA keys). */
export const keySizes = [1024, 2048, 3072, 4096] as const;

/** A size that a key may have, in bits. */
export type KeySize = typeof keySizes[number];

/** Whether queues and agents may use a key of `bits` bits. */
export function isKeySize(bits: number): bits is KeySize {
  return (keySizes as readonly number[]).includes(bits);
}

/** Bytes of the longest exponent (transport.md RSA keys), for every size: reference peers draw them below 2^1024. */
const longestExponent = 128;

/** Length in bytes of a signature by, or a ciphertext for, a key of `bits` bits. */
export function modulusLength(bits: number): number {
  return Math.ceil(bits / 8);
}

/** Makes a public key from modulus and exponent; {@linkcode ParseError} when no such key can exist. */
export function makePublicKey(modulus: bigint, exponent: bigint): PublicKey {
  if (modulus < 1n || exponent < 1n) {
    throw new ParseError("PUBLIC_KEY", "Cannot make public key: modulus and exponent must be positive");
  }
  const key = encodeDer(
    derTag.sequence,
    encodePositiveInteger(numberBytes(modulus)),
    encodePositiveInteger(numberBytes(exponent)),
  );
  const der = encodeDer(derTag.sequence, rsaAlgorithm, encodeDer(derTag.bitString, Uint8Array.of(0), key));
  return decodePublicKey(der);
}

/**
 * Decodes an RSA public key from SubjectPublicKeyInfo DER (transport.md RSA keys).
 * Throws {@linkcode ParseError} (`PUBLIC_KEY`) unless it is exactly that, with a usable modulus and exponent.
 * A key of a size outside {@linkcode keySizes} decodes; who takes it has to look at `bits`.
 */
export function decodePublicKey(der: Uint8Array): PublicKey {
  try {
    const { modulus, exponent } = readNumbers(der);
    checkOdd("modulus", modulus);
    if (exponent.length > longestExponent) {
      throw new SyntaxError(`the exponent has more than ${longestExponent * 8} bits`);
    }
    checkOdd("exponent", exponent);
    return new DerPublicKey(der, modulus);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ParseError("PUBLIC_KEY", `Cannot parse public key: ${error.message}`, { cause: error });
  }
}

/** The two numbers of an RSA public key, big-endian and in their shortest form. */
export interface PublicNumbers {
  /** Odd, at least 3. */
  readonly modulus: Uint8Array;
  /** Odd, at least 3, at most 1024 bits. */
  readonly exponent: Uint8Array;
}

/** The bytes of the two numbers of a key. */
export function publicNumbers(key: PublicKey): PublicNumbers {
  return readNumbers(key.der);
}

/** What the content of a BIT STRING of whole bytes begins with. */
const noUnusedBits = Uint8Array.of(0);

/** The bytes of the two numbers of an encoded key. Throws `SyntaxError`. */
function readNumbers(der: Uint8Array): PublicNumbers {
  const outer = new DerReader(der);
  const info = outer.enter(derTag.sequence);
  outer.end();
  info.literal(rsaAlgorithm, "the algorithm rsaEncryption");
  const bitString = info.enter(derTag.bitString);
  info.end();
  bitString.literal(noUnusedBits, "a BIT STRING of whole bytes");
  const key = bitString.enter(derTag.sequence);
  bitString.end();
  const modulus = key.positiveInteger();
  const exponent = key.positiveInteger();
  key.end();
  return { modulus, exponent };
}

/**
 * A key whose numbers are made when they are needed, as a server holds many more keys than it uses, and whose encoding is
 * kept as a string of one byte a character: an array of bytes takes 200 more.
 */
class DerPublicKey implements PublicKey {
  readonly bits: number;
  readonly #der: string;
  #modulus: bigint | undefined;
  #exponent: bigint | undefined;

  constructor(der: Uint8Array, modulus: Uint8Array) {
    // A tenth of the time of `...der`.
    this.#der = String.fromCharCode.apply(null, der as unknown as number[]);
    this.bits = modulus.length * 8 + 24 - Math.clz32(modulus[0]!);
  }

  get der(): Uint8Array<ArrayBuffer> {
    return latin1Bytes(this.#der);
  }

  get modulus(): bigint {
    return this.#modulus ??= bytesToBigint(readNumbers(this.der).modulus);
  }

  get exponent(): bigint {
    return this.#exponent ??= bytesToBigint(readNumbers(this.der).exponent);
  }
}

function checkOdd(name: string, number: Uint8Array): void {
  if ((number.at(-1)! & 1) === 1 && (number.length > 1 || number[0]! > 1)) return;
  throw new SyntaxError(`the ${name} must be odd and at least 3`);
}

/** The text form of a public key: `rsa:` and base64 of its DER. */
export function encodePublicKeyText(key: PublicKey): string {
  return `rsa:${encodeBase64(key.der)}`;
}

/** The length of {@linkcode encodePublicKeyText}'s text. */
export function publicKeyTextLength({ der }: PublicKey): number {
  return 4 + base64Length(der.length);
}

/** Parses the text form of a public key, `rsa:<base64>`; {@linkcode ParseError} (`PUBLIC_KEY`) when it is not one. */
export function parsePublicKeyText(text: string): PublicKey {
  if (!text.startsWith("rsa:")) {
    throw new ParseError("PUBLIC_KEY", 'Cannot parse public key: it must start with "rsa:"');
  }
  const key = lendBase64(text.slice(4), decodePublicKey);
  if (key === null) {
    throw new ParseError("PUBLIC_KEY", 'Cannot parse public key: what follows "rsa:" is not base64');
  }
  return key;
}

function numberBytes(number: bigint): Uint8Array {
  return bigintToBytes(number, Math.ceil(bitLength(number) / 8));
}
