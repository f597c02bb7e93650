/** Ratchet keys: an X25519 and an ML-KEM-768 key pair, always together (sessions.md Session cryptography). */
import { randomBytes } from "../bytes.ts";
import {
  decapsulationKeyLength,
  encapsulationKeyLength,
  encapsulationKeyOf,
  generateKemKeyPair,
  isEncapsulationKey,
} from "../crypto/ml_kem.ts";
import { x25519KeyLength, x25519KeyPairOf } from "../crypto/x25519.ts";
import { concat, exactly } from "./_bytes.ts";

/**
 * Where random bytes come from: gives as many as it is asked for. Each function says in which order it asks, so that
 * vectors can be made; everything else takes `randomBytes`.
 */
export type RandomSource = (length: number) => Uint8Array<ArrayBuffer>;

/** The public half of a ratchet key. */
export interface PublicPair {
  /** X25519, 32 bytes. */
  readonly dh: Uint8Array<ArrayBuffer>;
  /** ML-KEM-768, 1184 bytes. */
  readonly kem: Uint8Array<ArrayBuffer>;
}

/** A ratchet key with its private half. */
export interface RatchetPair extends PublicPair {
  /** X25519, 32 bytes. */
  readonly dhPrivate: Uint8Array<ArrayBuffer>;
  /** ML-KEM-768, 2400 bytes. */
  readonly kemPrivate: Uint8Array<ArrayBuffer>;
}

/** Bytes of an encoded public half. */
export const publicPairLength: number = x25519KeyLength + encapsulationKeyLength;
/** Bytes of an encoded pair with its private half. */
export const ratchetPairLength: number = 2 * x25519KeyLength + decapsulationKeyLength;

/** Makes a pair. Asks `random` for 32 bytes (the X25519 private key), then 64 (d and z of FIPS 203). */
export async function generateRatchetPair(random: RandomSource = randomBytes): Promise<RatchetPair> {
  const { publicKey, privateKey } = await x25519KeyPairOf(random(x25519KeyLength));
  const { encapsulationKey, decapsulationKey } = await generateKemKeyPair(random(64));
  return { dh: publicKey, kem: encapsulationKey, dhPrivate: privateKey, kemPrivate: decapsulationKey };
}

/** The 1216 bytes of a pair's public half, as a UPG and a header have them. `RangeError` for keys of other lengths. */
export function encodePublicPair({ dh, kem }: PublicPair): Uint8Array<ArrayBuffer> {
  return concat(
    exactly(dh, x25519KeyLength, "X25519 key"),
    exactly(kem, encapsulationKeyLength, "ML-KEM key"),
  );
}

/** Reads the public half of a pair; `null` when it has not 1216 bytes or its ML-KEM key is not valid. */
export function decodePublicPair(bytes: Uint8Array<ArrayBuffer>): PublicPair | null {
  if (bytes.length !== publicPairLength) return null;
  const kem = bytes.slice(x25519KeyLength);
  return isEncapsulationKey(kem) ? { dh: bytes.slice(0, x25519KeyLength), kem } : null;
}

/** The 2464 bytes of a pair for the store; secret. `RangeError` for keys of other lengths. */
export function encodeRatchetPair({ dh, dhPrivate, kemPrivate }: RatchetPair): Uint8Array<ArrayBuffer> {
  return concat(
    exactly(dh, x25519KeyLength, "X25519 key"),
    exactly(dhPrivate, x25519KeyLength, "X25519 private key"),
    exactly(kemPrivate, decapsulationKeyLength, "ML-KEM private key"),
  );
}

/** Reads a pair from the store; `null` when it has not 2464 bytes or its ML-KEM key is not valid. */
export function decodeRatchetPair(bytes: Uint8Array<ArrayBuffer>): RatchetPair | null {
  if (bytes.length !== ratchetPairLength) return null;
  const kemPrivate = bytes.slice(2 * x25519KeyLength);
  const kem = encapsulationKeyOf(kemPrivate);
  if (!isEncapsulationKey(kem)) return null;
  const dh = bytes.slice(0, x25519KeyLength), dhPrivate = bytes.slice(x25519KeyLength, 2 * x25519KeyLength);
  return { dh, kem, dhPrivate, kemPrivate };
}
