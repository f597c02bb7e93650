import { asciiText, textBytes } from "./bytes.ts";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const padding = 0x3d;
const digits = textBytes(alphabet);
/** 0..63 for the characters of the alphabet, 255 for everything else. */
const values = new Uint8Array(256).fill(255);
digits.forEach((digit, value) => values[digit] = value);

/** What current runtimes have of their own, several times as fast; Node 22 and older browsers lack it. */
type NativeBytes = Uint8Array<ArrayBuffer> & {
  toBase64?(): string;
  setFromBase64?(
    text: string,
    options: { readonly lastChunkHandling: "strict" },
  ): { readonly read: number; readonly written: number };
};

/** Holds what was decoded as long as it is looked at: most of it is short, and making an array takes longer. */
const scratch: NativeBytes = new Uint8Array(4096);

/** The base64 text of `bytes` (RFC 4648 section 4, padded). */
export function encodeBase64(bytes: Uint8Array): string {
  return (bytes as NativeBytes).toBase64?.() ?? encodeText(bytes);
}

/** The characters of the base64 text of `length` bytes. */
export function base64Length(length: number): number {
  return Math.ceil(length / 3) * 4;
}

function encodeText(bytes: Uint8Array): string {
  const text = new Uint8Array(base64Length(bytes.length)).fill(padding);
  let at = 0;
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const group = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text[at] = digits[group >> 18]!;
    text[at + 1] = digits[(group >> 12) & 63]!;
    if (left > 1) text[at + 2] = digits[(group >> 6) & 63]!;
    if (left > 2) text[at + 3] = digits[group & 63]!;
    at += 4;
  }
  return asciiText(text);
}

/**
 * Decodes base64 (RFC 4648 section 4), given as text or as its ASCII bytes; `null` when it is not exactly what
 * {@linkcode encodeBase64} writes: padding missing, other characters, or unused bits that are not zero.
 */
export function decodeBase64(text: string | Uint8Array): Uint8Array<ArrayBuffer> | null {
  return typeof text === "string" ? lendBase64(text, (bytes) => bytes.slice()) : decodeChars(text);
}

/**
 * Decodes as {@linkcode decodeBase64} does and gives what `use` makes of the bytes, which are lent to it: they are
 * others when it has returned. `null` when the text is not base64.
 */
export function lendBase64<T>(text: string, use: (bytes: Uint8Array<ArrayBuffer>) => T): T | null {
  if (scratch.setFromBase64 === undefined || text.length > scratch.length) {
    const bytes = decodeChars(textBytes(text));
    return bytes && use(bytes);
  }
  let written;
  try {
    written = scratch.setFromBase64(text, { lastChunkHandling: "strict" }).written;
  } catch {
    return null;
  }
  // White space is skipped: then the text is longer than it has to be.
  return text.length === base64Length(written) ? use(scratch.subarray(0, written)) : null;
}

function decodeChars(chars: Uint8Array): Uint8Array<ArrayBuffer> | null {
  const length = chars.length;
  if (length % 4 !== 0) return null;
  if (length === 0) return new Uint8Array(0);
  const pads = chars[length - 1] !== padding ? 0 : chars[length - 2] !== padding ? 1 : 2;
  const bytes = new Uint8Array(length / 4 * 3 - pads);
  const last = length - 4;
  let at = 0;
  for (let i = 0; i < last; i += 4) {
    const a = values[chars[i]!]!,
      b = values[chars[i + 1]!]!,
      c = values[chars[i + 2]!]!,
      d = values[chars[i + 3]!]!;
    if ((a | b | c | d) > 63) return null;
    bytes[at] = (a << 2) | (b >> 4);
    bytes[at + 1] = (b << 4) | (c >> 2);
    bytes[at + 2] = (c << 6) | d;
    at += 3;
  }
  const a = values[chars[last]!]!, b = values[chars[last + 1]!]!;
  const c = pads > 1 ? 0 : values[chars[last + 2]!]!, d = pads > 0 ? 0 : values[chars[last + 3]!]!;
  if ((a | b | c | d) > 63) return null;
  if ((pads === 2 && (b & 15) !== 0) || (pads === 1 && (c & 3) !== 0)) return null;
  bytes[at] = (a << 2) | (b >> 4);
  if (pads < 2) bytes[at + 1] = (b << 4) | (c >> 2);
  if (pads < 1) bytes[at + 2] = (c << 6) | d;
  return bytes;
}
