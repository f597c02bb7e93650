import { joinParts } from "../bytes.ts";
import { sha256 } from "../crypto/runtime.ts";
import type { SessionKeys } from "./block_channel.ts";

/**
 * What names an encrypted session (extensions.md Server extensions): 32 bytes that both of its ends know and nobody else,
 * of SHA-256 over the server's key (32 bytes) and the keys from the client's side.
 */
export async function sessionBinding(
  serverKey: Uint8Array<ArrayBuffer>,
  { sndKey, sndBaseIv, rcvKey, rcvBaseIv }: SessionKeys,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = joinParts(["smp-session-binding", serverKey, sndKey, sndBaseIv, rcvKey, rcvBaseIv]);
  const binding = await sha256(bytes);
  bytes.fill(0);
  return binding;
}
