import type { PublicKey } from "../public_key.ts";

/** AES-256-GCM with the authentication tag in front (transport.md Blocks). */
export interface AesKey {
  /** Encrypts `plaintext` under a 16-byte nonce that this key has never used; gives tag (16 bytes), then ciphertext. */
  encrypt(
    nonce: Uint8Array<ArrayBuffer>,
    plaintext: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array<ArrayBuffer>>;
  /** Decrypts tag (16 bytes) and ciphertext; `null` when they are not authentic. */
  decrypt(
    nonce: Uint8Array<ArrayBuffer>,
    sealed: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array<ArrayBuffer> | null>;
}

/** The operations that an implementation of cryptography has to bring; everything else is made of them. */
export interface CryptoEngine {
  /** What it is called where a program says what it runs on. */
  readonly name: string;
  /** SHA-256 of `data`: 32 bytes. */
  sha256(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
  /** MGF1-SHA-256 of `seed` (RFC 8017 B.2.1): `length` bytes. */
  mgf1(seed: Uint8Array, length: number): Promise<Uint8Array>;
  /** Makes a key for AES-256-GCM from 32 raw bytes. */
  importAesKey(raw: Uint8Array<ArrayBuffer>): Promise<AesKey>;
  /**
   * `number ** exponent % modulus` for a number as long as the modulus (bytes, big-endian), in as many bytes: what
   * verifying and encrypting with RSA are made of. All of it is public, so that its time may depend on all of it.
   * Zeros for a number that is not below the modulus, after the same work.
   */
  publicOperation(key: PublicKey, number: Uint8Array): Uint8Array<ArrayBuffer>;
}

/** Length of an authentication tag, bytes. */
export const tagLength = 16;
