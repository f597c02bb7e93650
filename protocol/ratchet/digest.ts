/** What tells sets of frames apart that have the same numbers (sessions.md Repair). */
import { sha256 } from "../crypto/runtime.ts";

/** Bytes of a digest. */
export const digestLength = 16;

/** Bytes of the name of a frame. */
export const frameNameLength = 8;

/** What tells a frame, as `encodeFrame` gives it, from others with its number: the first 8 bytes of its SHA-256. */
export async function frameName(frame: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return (await sha256(frame)).slice(0, frameNameLength);
}

/** The digest of no frame. */
export function emptyDigest(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(digestLength);
}

/**
 * The digest of a set with one frame more, or one less, as `encodeFrame` gives it: the first 16 bytes of its SHA-256, XOR
 * the digest of the others. In which order frames are taken does not matter.
 */
export async function digestWith(
  digest: Uint8Array,
  frame: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const name = await sha256(frame);
  return Uint8Array.from({ length: digestLength }, (_, i) => digest[i]! ^ name[i]!);
}
