import type { Interface } from "node:readline";
import { ownKey } from "./readline_key.ts";

/** What may have another width behind other characters than behind as many spaces. */
// deno-lint-ignore no-control-regex
const special = /[\x00-\x1f\x7f-\x9f\p{Cs}]/u;

interface Position {
  readonly rows: number;
  readonly cols: number;
}

/** How readline finds where a text ends on the screen. */
type Find = (this: unknown, text: string) => Position;

/**
 * Has readline count a line that grows at its end once. It counts all of it several times for each character, so that a
 * long text that is pasted holds up the terminal for minutes, Ctrl-C included.
 */
export function countOnce(lines: Interface, columns: () => number): void {
  const key = ownKey(lines, "_getDisplayPos");
  if (key === undefined) return;
  const whole = (lines as unknown as Record<symbol, Find>)[key]!;
  /** What was counted last. */
  let text = "", width = 0, position: Position | null = null;
  const find: Find = (next) => {
    const now = columns();
    const start = width === now && next.slice(0, text.length) === text ? position : null;
    const piece = start === null ? next : next.slice(text.length);
    const isPlain = !special.test(piece);
    if (start === null || !isPlain) position = whole.call(lines, next);
    else if (piece !== "") {
      const { rows, cols } = whole.call(lines, " ".repeat(start.cols) + piece);
      position = { rows: start.rows + rows, cols };
    }
    const found = { ...position! };
    if (isPlain) [text, width] = [next, now];
    else position = null;
    return found;
  };
  Object.defineProperty(lines, key, { value: find });
}
