import { asciiText, decodeBase64, encodeBase64, joinParts } from "../../protocol/mod.ts";
import type { Head, Kind } from "./kind.ts";

const newline = 0x0a;

/** The longest head that is read, bytes: a number of 16 digits, a time, and hash or extensions in base64. */
const longestHead = 1024;

/** The plaintext of a message of a kind. */
export function encodeFrame<M extends { readonly type: string }>(
  kind: Kind<M>,
  message: M,
): Uint8Array<ArrayBuffer> {
  const head = kind.hasHead ? encodeHead(message as M & Head) : "";
  return joinParts([head, ...kind.encode(message), "\n"]);
}

function encodeHead({ id, timestamp, previousHash }: Head): string {
  return `\n${id} ${timestamp.toISOString()} ${encodeBase64(previousHash)}\n`;
}

/** The head of a plaintext, `null` for a kind that has none, and its content; `null` when the head cannot be parsed. */
export function decodeFrame(
  plaintext: Uint8Array,
): { readonly head: Head | null; readonly content: Uint8Array } | null {
  if (plaintext[0] !== newline) return { head: null, content: plaintext };
  const headEnd = plaintext.indexOf(newline, 1);
  if (headEnd < 0 || headEnd > longestHead) return null;
  const match = /^\n(\d{1,16}) (\S{1,40}) (\S*)$/.exec(asciiText(plaintext, 0, headEnd));
  if (match === null) return null;
  const id = Number(match[1]);
  const timestamp = parseTimestamp(match[2]!);
  const previousHash = decodeBase64(match[3]!);
  if (!Number.isSafeInteger(id) || timestamp === null || previousHash === null) return null;
  return { head: { id, timestamp, previousHash }, content: plaintext.subarray(headEnd + 1) };
}

/** A time in ISO 8601, with or without fractions of a second; `null` when it is none. */
function parseTimestamp(text: string): Date | null {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,12})?Z$/.test(text)) return null;
  const timestamp = new Date(text);
  return Number.isNaN(timestamp.getTime()) ? null : timestamp;
}
