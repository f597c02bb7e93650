import type { Interface } from "node:readline";
import { ownKey } from "./readline_key.ts";

/** How readline takes a key. */
type Take = (this: unknown, text: string | undefined, key: Key | undefined) => void;

interface Key {
  readonly ctrl?: boolean;
  readonly meta?: boolean;
}

/** Control characters but tabs, of which escape sequences begin with one, and ends of lines. */
// deno-lint-ignore no-control-regex
const special = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]/;

/**
 * Has readline insert characters that come at once together, as those of a paste do. For each of them it looks at the whole
 * line, and writes all of it anew at each end of a row, so that a long one holds up the terminal for minutes. `inserted` is
 * called after that.
 */
export function insertTogether(lines: Interface, inserted: () => void): void {
  const key = ownKey(lines, "_ttyWrite");
  if (key === undefined) return;
  const take = (lines as unknown as Record<symbol, Take>)[key]!;
  let waiting = "";
  const insert = () => {
    const text = waiting;
    waiting = "";
    if (text !== "") take.call(lines, text, {});
  };
  const takeLater: Take = (text, typed) => {
    if (text === undefined || text === "" || typed?.ctrl || typed?.meta || special.test(text)) {
      insert();
      return take.call(lines, text, typed);
    }
    // What is read at once comes in one go, before any other task.
    if (waiting === "") {
      queueMicrotask(() => {
        insert();
        inserted();
      });
    }
    waiting += text;
  };
  Object.defineProperty(lines, key, { value: takeLater });
}

/** Has readline find its cursor once for each line that there is, as it is asked for it several times for each key. */
export function findCursorOnce(lines: Interface, columns: () => number): void {
  const find = lines.getCursorPos;
  let line = "", prompt = "", cursor = -1, width = 0;
  let found = { rows: 0, cols: 0 };
  const getCursorPos = () => {
    const now = columns(), shown = lines.getPrompt();
    if (lines.line !== line || lines.cursor !== cursor || now !== width || shown !== prompt) {
      [line, cursor, width, prompt] = [lines.line, lines.cursor, now, shown];
      found = find.call(lines);
    }
    return { ...found };
  };
  Object.defineProperty(lines, "getCursorPos", { value: getCursorPos });
}
