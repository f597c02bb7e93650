import type { SessionKeys } from "../../protocol/mod.ts";

/** Session keys of 96 bytes in hex, in the order of the client's handshake. */
export function sessionKeys(hex: string): SessionKeys {
  const bytes = Uint8Array.fromHex(hex);
  return {
    sndKey: bytes.slice(0, 32),
    sndBaseIv: bytes.slice(32, 48),
    rcvKey: bytes.slice(48, 80),
    rcvBaseIv: bytes.slice(80, 96),
  };
}

/** The 96 bytes of session keys, in hex. */
export function sessionKeysHex({ sndKey, sndBaseIv, rcvKey, rcvBaseIv }: SessionKeys): string {
  return [sndKey, sndBaseIv, rcvKey, rcvBaseIv].map((bytes) => bytes.toHex()).join("");
}
