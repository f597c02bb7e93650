import { joinParts } from "../bytes.ts";

/** Bytes of a public key. */
export const x25519KeyLength = 32;

/** A key pair of X25519; the private half stays in WebCrypto. */
export interface X25519KeyPair {
  /** Raw, 32 bytes. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  /** The private half. */
  readonly privateKey: CryptoKey;
}

/** Makes a key pair. */
export async function generateX25519KeyPair(): Promise<X25519KeyPair> {
  const pair = await crypto.subtle.generateKey("X25519", false, ["deriveBits"]) as CryptoKeyPair;
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return { publicKey, privateKey: pair.privateKey };
}

/** A key pair of X25519 whose private half can be stored. */
export interface RawX25519KeyPair {
  /** 32 bytes. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  /** 32 bytes, any. */
  readonly privateKey: Uint8Array<ArrayBuffer>;
}

/** What PKCS#8 has before the 32 bytes of an X25519 key (RFC 8410). */
const pkcs8Start = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20];
/** RFC 7748, 4.1. */
const basePoint = new Uint8Array(x25519KeyLength);
basePoint[0] = 9;

/** Takes a private key of 32 bytes; `RangeError` when it has another length. */
export async function importX25519PrivateKey(privateKey: Uint8Array): Promise<CryptoKey> {
  if (privateKey.length !== x25519KeyLength) {
    throw new RangeError(
      `Cannot import X25519 key: it has ${privateKey.length} bytes, not ${x25519KeyLength}`,
    );
  }
  const pkcs8 = joinParts([Uint8Array.from(pkcs8Start), privateKey]);
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, "X25519", false, ["deriveBits"]);
  pkcs8.fill(0);
  return key;
}

/** The key pair of a private key, which is any 32 bytes; `RangeError` when it has another length. */
export async function x25519KeyPairOf(privateKey: Uint8Array<ArrayBuffer>): Promise<RawX25519KeyPair> {
  const publicKey = await x25519(await importX25519PrivateKey(privateKey), basePoint);
  if (publicKey === null) throw new Error("Cannot make X25519 key: WebCrypto refuses the base point");
  return { publicKey, privateKey };
}

/** The secret that two key pairs share, 32 bytes; `null` when `publicKey` is not one, or one whose secrets are all zero. */
export async function x25519(
  privateKey: CryptoKey,
  publicKey: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer> | null> {
  if (publicKey.length !== x25519KeyLength) return null;
  let bits;
  try {
    const imported = await crypto.subtle.importKey("raw", publicKey, "X25519", false, []);
    bits = await crypto.subtle.deriveBits({ name: "X25519", public: imported }, privateKey, 256);
  } catch {
    // RFC 7748, 6.1: runtimes refuse the points of small order themselves.
    return null;
  }
  const secret = new Uint8Array(bits);
  return secret.some((byte) => byte !== 0) ? secret : null;
}
