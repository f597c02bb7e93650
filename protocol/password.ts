import { joinParts, textBytes } from "./bytes.ts";

/** The longest password of a server, in characters. */
export const longestPassword = 256;

/** Bytes of {@linkcode passwordProof}. */
export const passwordProofLength = 32;

/** Whether a text can be a server's password: 1 to 256 printable ASCII characters, no spaces. */
export function isPassword(text: string): boolean {
  return text.length <= longestPassword && /^[!-~]+$/.test(text);
}

/**
 * What PASS gives instead of the password (extensions.md pass1): HMAC-SHA-256, so that whoever is not the server of the
 * session's `binding` can do nothing with it.
 */
export async function passwordProof(
  password: string,
  binding: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", textBytes(password), algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, joinParts(["smp-password", binding])));
}
