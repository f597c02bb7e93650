import { jsonText, printable } from "../../cli/printable.ts";
import { encodeBase64 } from "../../protocol/mod.ts";

export { printable };

/** Prints a line. */
export type Print = (line: string) => Promise<void>;

/** The start of the same that has room in so many columns. */
export function stripped(text: string, columns: number): string {
  let shown = "", left = columns;
  for (const char of printable(text).replaceAll("\t", " ")) {
    // Characters of other scripts may be as wide as two.
    left -= char < "\u0300" ? 1 : 2;
    if (left < 0) return shown;
    shown += char;
  }
  return shown;
}

/** A message as one line; of bytes that are no text those that are not ASCII stand as `\xff`. */
export function printableBody(body: Uint8Array): string {
  const text = textOf(body) ??
    [...body].map((byte) => byte < 0x80 ? String.fromCharCode(byte) : escaped(byte)).join("");
  // What `echo` sends ends its line itself.
  return printable(text.endsWith("\n") ? text.slice(0, -1) : text);
}

/** Text for bytes that are text, else base64. */
export function readable(body: Uint8Array): { readonly text: string } | { readonly base64: string } {
  const text = textOf(body);
  return text === null ? { base64: encodeBase64(body) } : { text };
}

/** JSON without control characters, some of which `JSON.stringify` leaves as they are and terminals obey. */
export function oneLine(value: Readonly<Record<string, unknown>>): string {
  return jsonText(value);
}

function textOf(body: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return null;
  }
}

function escaped(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}
