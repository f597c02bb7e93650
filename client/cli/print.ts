import { jsonText } from "../../cli/printable.ts";
import { encodeBase64 } from "../../protocol/mod.ts";

/** Prints one JSON object as a line; rejects when nobody reads it any more. */
export type Print = (value: Readonly<Record<string, unknown>>) => Promise<void>;

/** Text for bytes that are text, else base64: what was received must be printed whole. */
export function readable(body: Uint8Array): { readonly text: string } | { readonly base64: string } {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body) };
  } catch {
    return { base64: encodeBase64(body) };
  }
}

/** JSON without control characters, some of which `JSON.stringify` leaves as they are and terminals obey. */
export function oneLine(value: Readonly<Record<string, unknown>>): string {
  return jsonText(value);
}
