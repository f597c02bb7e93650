/** What PKCS#8 has before the 32 bytes of an X25519 key (RFC 8410). */
const pkcs8Start = "302e020100300506032b656e04220420";

/** The private key of 32 bytes in hex. */
export function x25519PrivateKey(hex: string): Promise<CryptoKey> {
  const pkcs8 = Uint8Array.fromHex(pkcs8Start + hex);
  return crypto.subtle.importKey("pkcs8", pkcs8, "X25519", false, ["deriveBits"]);
}
