import process from "node:process";
import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from "node:readline";
import { CursorRow } from "./cursor_row.ts";

/** What a line is, which decides its colour. */
export type Kind = "received" | "sent" | "notice" | "warning" | "plain";

const colours: Readonly<Record<Kind, string>> = {
  received: "\x1b[36m",
  sent: "\x1b[32m",
  notice: "\x1b[2m",
  warning: "\x1b[33m",
  plain: "",
};
const reset = "\x1b[0m";

/** A terminal, or a pipe: lines above, and a line that is being typed below them. */
export class Screen implements Disposable {
  readonly #lines: Interface;
  readonly #row: CursorRow | null;
  readonly #isColoured = process.stdout.isTTY === true && !Deno.noColor;
  #isOpen = true;
  /** What stands between the lines and the one that is being typed, and whether it stands there. */
  #status = "";
  #isStatusShown = false;
  #shownLength = 0;

  constructor() {
    const terminal = process.stdout.isTTY === true;
    this.#lines = createInterface({
      input: process.stdin,
      output: process.stdout,
      terminal,
      prompt: "> ",
      historySize: 100,
    });
    this.#lines.once("close", () => this.#isOpen = false);
    // It stands above a line that is not being typed any more.
    this.#lines.on("line", () => this.#isStatusShown = false);
    this.#row = terminal ? new CursorRow(this.#lines) : null;
  }

  /** The lines that are typed, until the end of the input or Ctrl-C. */
  async *input(): AsyncGenerator<string, void> {
    this.#prompt();
    for await (const line of this.#lines) {
      yield line;
      this.#prompt();
    }
  }

  /** Shows text above the line that is being typed; what others wrote must be {@linkcode harmless}. */
  show(text: string, kind: Kind = "plain"): void {
    this.#erase();
    const colour = this.#isColoured ? colours[kind] : "";
    process.stdout.write(`${colour}${text}${colour === "" ? "" : reset}\n`);
    this.#prompt();
  }

  /** Shows how far something is, in place of what this showed before, above the line that is being typed; not in pipes. */
  status(text: string): void {
    if (this.#row === null || text === this.#status) return;
    this.#erase();
    this.#status = text;
    this.#prompt();
  }

  /** Ends the input. */
  [Symbol.dispose](): void {
    this.#row?.[Symbol.dispose]();
    this.#lines.close();
  }

  /** Removes the line that is being typed, which `#prompt` writes again, and what stands above it. */
  #erase(): void {
    if (this.#row === null || !this.#isOpen) return;
    const rows = this.#isStatusShown ? Math.ceil(this.#shownLength / process.stdout.columns) : 0;
    this.#isStatusShown = false;
    moveCursor(process.stdout, 0, -this.#row.take() - rows);
    cursorTo(process.stdout, 0);
    clearScreenDown(process.stdout);
  }

  #prompt(): void {
    if (this.#row === null || !this.#isOpen) return;
    if (this.#status !== "" && !this.#isStatusShown) {
      const shown = fitting(this.#status, process.stdout.columns - 1);
      this.#shownLength = widthOf(shown);
      this.#isStatusShown = true;
      const [begin, end] = this.#isColoured ? [colours.notice, reset] : ["", ""];
      process.stdout.write(`${begin}${shown}${end}\n`);
    }
    this.#lines.prompt(true);
    this.#row.written();
  }
}

/** Columns of a text at most: those of a character that is not ASCII may be two. */
function widthOf(text: string): number {
  return [...text].reduce((sum, char) => sum + (char < "\x7f" ? 1 : 2), 0);
}

/** The start of a text that has room in some columns. */
function fitting(text: string, columns: number): string {
  const chars = [...text];
  while (widthOf(chars.join("")) > columns) chars.pop();
  return chars.join("");
}

/**
 * Text in which nothing commands the terminal or turns the direction of writing: escape sequences that somebody sends
 * could otherwise hide or forge lines. Further lines are indented, so that they do not look like lines of this program.
 */
export function harmless(text: string): string {
  return text.replaceAll(/\r\n?|\n/g, "\n    ").replaceAll(
    /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu,
    (char) => char === "\n" ? char : `\\u${char.codePointAt(0)!.toString(16).padStart(4, "0")}`,
  );
}
