import { encodeBase64 } from "../base64.ts";
import type { PublicKey } from "./public_key.ts";
import { sha256 } from "./runtime.ts";

/** The key hash of a server address: base64 of SHA-256 over the key's DER (transport.md Address). */
export async function publicKeyHash(key: PublicKey): Promise<string> {
  return encodeBase64(await sha256(key.der));
}
