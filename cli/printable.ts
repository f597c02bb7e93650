/** Characters that a terminal may obey, and those that change the order of what is around them. */
const controls = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** Text that may come from somebody else, as one line that no terminal obeys: `\n`, `\x1b`, `\u202e`. */
export function printable(text: string): string {
  return text.replaceAll(controls, (char) => {
    if (char === "\t") return char;
    if (char === "\n") return "\\n";
    const code = char.charCodeAt(0);
    return code < 0x100
      ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** JSON without control characters, some of which `JSON.stringify` leaves as they are and terminals obey. */
export function jsonText(value: object, indent?: number): string {
  return JSON.stringify(value, null, indent).replaceAll(
    controls,
    (char) => char === "\n" ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
