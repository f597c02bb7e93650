import type { Aead } from "./keyed.ts";
import type { PublicKey } from "../public_key.ts";

/** What comes at once, or later where the implementation waits for it. */
export type MaybePromise<T> = T | Promise<T>;

/** AES-256-GCM with the authentication tag in front (transport.md Blocks). */
export interface AesKey {
  /**
   * Encrypts `sealed` from byte 16 on, in place, under a 16-byte nonce that this key has never used, and writes the tag
   * before it.
   */
  seal(nonce: Uint8Array<ArrayBuffer>, sealed: Uint8Array<ArrayBuffer>): MaybePromise<void>;
  /** Decrypts tag (16 bytes) and ciphertext; `null` when they are not authentic. */
  open(
    nonce: Uint8Array<ArrayBuffer>,
    sealed: Uint8Array<ArrayBuffer>,
  ): MaybePromise<Uint8Array<ArrayBuffer> | null>;
  /** As {@linkcode open}; the plaintext may take the place of what was sealed, which is lost in any case. */
  openInPlace(
    nonce: Uint8Array<ArrayBuffer>,
    sealed: Uint8Array<ArrayBuffer>,
  ): MaybePromise<Uint8Array<ArrayBuffer> | null>;
  /** Overwrites the key as far as the runtime lets it; nothing may be encrypted or decrypted after that. */
  wipe(): void;
}

/** The operations that an implementation of cryptography has to bring; everything else is made of them. */
export interface CryptoEngine {
  /** What it is called where a program says what it runs on. */
  readonly name: string;
  /** SHA-256 of `data`: 32 bytes. */
  sha256(data: Uint8Array<ArrayBuffer>): MaybePromise<Uint8Array<ArrayBuffer>>;
  /** MGF1-SHA-256 of `seed` (RFC 8017 B.2.1): `length` bytes. */
  mgf1(seed: Uint8Array, length: number): MaybePromise<Uint8Array>;
  /** Makes a key for AES-256-GCM from a copy of 32 raw bytes. */
  importAesKey(raw: Uint8Array<ArrayBuffer>): MaybePromise<AesKey>;
  /** AES-256-GCM under keys that are used once, where this is faster at it than the runtime. */
  readonly aead?: Aead;
  /**
   * `number ** exponent % modulus` for a number as long as the modulus (bytes, big-endian), in as many bytes: what
   * verifying and encrypting with RSA are made of. All of it is public, so that its time may depend on all of it.
   * Zeros for a number that is not below the modulus, after the same work.
   */
  publicOperation(key: PublicKey, number: Uint8Array): Uint8Array<ArrayBuffer>;
  /** Starts something that does public operations on another thread. */
  startHelper(): CryptoHelper;
}

/** Does public operations of RSA on another thread, one after the other: those with a large exponent take milliseconds. */
export interface CryptoHelper {
  /** See {@linkcode CryptoEngine.publicOperation}. One at a time; rejects when the helper has failed or is closed. */
  publicOperation(key: PublicKey, number: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
  /** Ends it; what is under way is rejected or finished. Resolves when nothing of it is under way any more. */
  close(): Promise<void>;
}

/** Length of an authentication tag, bytes. */
export const tagLength = 16;

/** The part of a block that is encrypted. Throws `RangeError` when there is no room for the tag before it. */
export function textOf(sealed: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (sealed.length < tagLength) {
    throw new RangeError(`Cannot encrypt: ${sealed.length} bytes have no room for a tag`);
  }
  return sealed.subarray(tagLength);
}
