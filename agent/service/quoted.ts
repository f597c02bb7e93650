/** A text in quotes on one line, ASCII alone. */
export function quoted(text: string): string {
  return JSON.stringify(text).replace(
    /[^\x20-\x7e]/gu,
    (char) => [...Array(char.length).keys()].map((at) => escaped(char.charCodeAt(at))).join(""),
  );
}

/** What {@linkcode quoted} has made; `null` for anything else. */
export function unquoted(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "string" && value.isWellFormed() ? value : null;
  } catch {
    return null;
  }
}

function escaped(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, "0")}`;
}
