import { encodeBase64 } from "../../protocol/mod.ts";

/** Prints one JSON object as a line. */
export type Print = (value: Readonly<Record<string, unknown>>) => void;

/** Text for bytes that are text, else base64: what was received must be printed whole. */
export function readable(body: Uint8Array): { readonly text: string } | { readonly base64: string } {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(body) };
  } catch {
    return { base64: encodeBase64(body) };
  }
}
