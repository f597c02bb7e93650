import {
  asciiText,
  formatExtensions,
  longestExtensions,
  parseExtensions,
  textBytes,
} from "../../protocol/mod.ts";

/**
 * What HELLO and REPLY carry in the place of the previous message's hash, which 0.3 ignores there: the extensions that
 * an agent has (extensions.md Agent to agent). Empty for none; throws `RangeError` for what is no list of names.
 */
export function encodeExtensions(names: readonly string[]): Uint8Array<ArrayBuffer> {
  return textBytes(formatExtensions(names));
}

/** The extensions that the other agent announces; none when the bytes are anything else. */
export function decodeExtensions(bytes: Uint8Array): readonly string[] {
  return bytes.length > longestExtensions ? [] : parseExtensions(asciiText(bytes));
}
