import { MlKem768, MlKemError } from "mlkem";

/** Bytes of the key to which secrets are encapsulated (FIPS 203, ML-KEM-768). */
export const encapsulationKeyLength = 1184;
/** Bytes of an encapsulated secret. */
export const ciphertextLength = 1088;
/** Bytes of the key that opens encapsulated secrets. */
export const decapsulationKeyLength = 2400;
/** Where a decapsulation key has its encapsulation key (FIPS 203, algorithm 16). */
const encapsulationKeyAt = 1152;
/** Coefficients are below it. */
const modulus = 3329;

/** A key pair of ML-KEM-768. */
export interface KemKeyPair {
  /** What others encapsulate secrets to, 1184 bytes. */
  readonly encapsulationKey: Uint8Array<ArrayBuffer>;
  /** What opens them, 2400 bytes. */
  readonly decapsulationKey: Uint8Array<ArrayBuffer>;
}

/** A secret, and what its other owner gets it from. */
export interface Encapsulated {
  /** 1088 bytes. */
  readonly ciphertext: Uint8Array<ArrayBuffer>;
  /** 32 bytes. */
  readonly secret: Uint8Array<ArrayBuffer>;
}

// An object for each use: it keeps the last secret, and is not for two at a time.

/** Makes a key pair; `seed` (64 bytes, d and z of FIPS 203) makes it always the same one. */
export async function generateKemKeyPair(seed?: Uint8Array): Promise<KemKeyPair> {
  const kem = new MlKem768();
  const [encapsulationKey, decapsulationKey] = await (seed ? kem.deriveKeyPair(seed) : kem.generateKeyPair());
  return { encapsulationKey: copy(encapsulationKey), decapsulationKey: copy(decapsulationKey) };
}

/** The encapsulation key that a decapsulation key (2400 bytes) has in it; the same memory. */
export function encapsulationKeyOf(decapsulationKey: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return decapsulationKey.subarray(encapsulationKeyAt, encapsulationKeyAt + encapsulationKeyLength);
}

/** Whether secrets can be encapsulated to a key (FIPS 203, 7.2): its length, and each coefficient below 3329. */
export function isEncapsulationKey(key: Uint8Array): boolean {
  if (key.length !== encapsulationKeyLength) return false;
  for (let at = 0; at < encapsulationKeyAt; at += 3) {
    const middle = key[at + 1]!;
    if ((key[at]! | (middle & 15) << 8) >= modulus || (middle >> 4 | key[at + 2]! << 4) >= modulus) {
      return false;
    }
  }
  return true;
}

/**
 * Makes a secret for the owner of a key; `null` when that is not a valid key. `seed` (32 bytes, m of FIPS 203) makes it
 * always the same one.
 */
export async function encapsulate(
  encapsulationKey: Uint8Array,
  seed?: Uint8Array,
): Promise<Encapsulated | null> {
  try {
    const [ciphertext, secret] = await new MlKem768().encap(encapsulationKey, seed);
    return { ciphertext: copy(ciphertext), secret: copy(secret) };
  } catch (error) {
    if (error instanceof MlKemError) return null;
    throw error;
  }
}

/**
 * The secret of a ciphertext, 32 bytes: another one than was encapsulated when that was changed on its way. `null` when
 * it has not 1088 bytes.
 */
export async function decapsulate(
  ciphertext: Uint8Array,
  decapsulationKey: Uint8Array,
): Promise<Uint8Array<ArrayBuffer> | null> {
  if (ciphertext.length !== ciphertextLength) return null;
  return copy(await new MlKem768().decap(ciphertext, decapsulationKey));
}

/** Its types do not say that the bytes are not shared. */
function copy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}
