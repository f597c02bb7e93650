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
