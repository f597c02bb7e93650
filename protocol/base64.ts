import { asciiText, textBytes } from "./bytes.ts";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const padding = 0x3d;
const digits = textBytes(alphabet);
/** 0..63 for the characters of the alphabet, 255 for everything else. */
const values = new Uint8Array(256).fill(255);
digits.forEach((digit, value) => values[digit] = value);

/** What current runtimes have of their own, several times as fast; Node 22 and older browsers lack it. */
const native = Uint8Array as unknown as {
  readonly fromBase64?: (
    text: string,
    options: { readonly lastChunkHandling: "strict" },
  ) => Uint8Array<ArrayBuffer>;
};

/** The base64 text of `bytes` (RFC 4648 section 4, padded). */
export function encodeBase64(bytes: Uint8Array): string {
  const own = bytes as Uint8Array & { toBase64?(): string };
  return own.toBase64?.() ?? encodeText(bytes);
}

function encodeText(bytes: Uint8Array): string {
  const text = new Uint8Array(Math.ceil(bytes.length / 3) * 4).fill(padding);
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
  if (typeof text === "string") return native.fromBase64 ? decodeNative(text) : decodeChars(textBytes(text));
  return decodeChars(text);
}

function decodeNative(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    const bytes = native.fromBase64!(text, { lastChunkHandling: "strict" });
    // White space is skipped: then the text is longer than it has to be.
    return text.length === Math.ceil(bytes.length / 3) * 4 ? bytes : null;
  } catch {
    return null;
  }
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
