import process from "node:process";
import type { Interface } from "node:readline";
import { countOnce } from "./display_position.ts";
import { findCursorOnce, insertTogether } from "./paste.ts";

/** Readline's lines, with the row to which it believes that it has to move up before it writes the line anew. */
type Lines = Interface & { prevRows: number };

/** What readline writes the line anew for. */
const changes = [
  { emitter: process.stdin, event: "keypress" },
  { emitter: process.stdout, event: "resize" },
] as const;

/**
 * The row of the line that is being typed in which the cursor is, at any width of the terminal. Readline itself does not
 * notice that a wide character begins a new row, nor that another width has moved the cursor, and writes over what
 * stands above.
 */
export class CursorRow implements Disposable {
  readonly #lines: Lines;
  #columns = 0;
  /** Whether the cursor is behind a full row: readline puts a space there, which takes it to the next one. */
  #isAtEdge = false;
  readonly #correct = () => this.#lines.prevRows = this.#row();
  readonly #written = () => this.written();

  constructor(lines: Interface) {
    this.#lines = lines as Lines;
    // The width now: what stdout itself has is that of its last event.
    Object.defineProperty(process.stdout, "columns", {
      get: () => Deno.consoleSize().columns,
      configurable: true,
    });
    const columns = () => process.stdout.columns;
    countOnce(lines, columns);
    findCursorOnce(lines, columns);
    insertTogether(lines, this.#written);
    for (const { emitter, event } of changes) {
      emitter.prependListener(event, this.#correct);
      emitter.on(event, this.#written);
    }
  }

  /** Gives the row, for a cursor that is moved to the first one and no further. */
  take(): number {
    const row = this.#row();
    this.#lines.prevRows = 0;
    return row;
  }

  /** The line was written. */
  written(): void {
    this.#columns = process.stdout.columns;
    this.#isAtEdge = this.#lines.getCursorPos().cols === 0;
  }

  [Symbol.dispose](): void {
    for (const { emitter, event } of changes) {
      emitter.off(event, this.#correct);
      emitter.off(event, this.#written);
    }
  }

  #row(): number {
    const { rows, cols } = this.#lines.getCursorPos();
    const isAtEnd = this.#lines.cursor === this.#lines.line.length;
    const isNew = process.stdout.columns !== this.#columns && !this.#isAtEdge;
    // A terminal that has changed its width leaves the cursor at the end of a row that is full now.
    return cols === 0 && rows > 0 && isAtEnd && isNew ? rows - 1 : rows;
  }
}
