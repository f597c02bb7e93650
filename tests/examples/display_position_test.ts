import { assert, assertEquals } from "@std/assert";
import { createInterface } from "node:readline";
import { PassThrough } from "node:stream";
import { countOnce } from "../../examples/terminal-chat/display_position.ts";

/** Lines of a terminal that nobody sees. */
function linesOf(columns: number) {
  const output = Object.assign(new PassThrough(), { columns });
  output.resume();
  const lines = createInterface({ input: new PassThrough(), output, terminal: true, prompt: "> " });
  return { lines, output, [Symbol.dispose]: () => lines.close() };
}

Deno.test("a long line that grows at its end is counted once", () => {
  using setting = linesOf(80);
  const { lines, output } = setting;
  const prototype = Object.getPrototypeOf(Object.getPrototypeOf(lines));
  const key = Object.getOwnPropertySymbols(prototype).find((one) => one.description === "_getDisplayPos")!;
  const original = prototype[key];
  let counted = 0;
  const value = (text: string) => {
    counted += text.length;
    return original.call(lines, text);
  };
  Object.defineProperty(lines, key, { value, configurable: true });
  countOnce(lines, () => output.columns);
  for (let i = 0; i < 2_000; i++) lines.write("x");
  assertEquals([lines.line.length, lines.getCursorPos()], [2_000, { rows: 25, cols: 2 }]);
  // Each character, behind less than a row of spaces.
  assert(counted < 2_000 * 81, `${counted}`);
});

Deno.test("the cursor is where readline has it, whatever is typed", () => {
  const pieces = ["a", "word ", "\u6f22", "\u6f22\u5b57\u6f22", "\u{1f600}", "e\u0301", "\t", "b".repeat(19)];
  const keys = ["left", "home", "end", "backspace", "delete", "right"];
  let state = 1;
  const random = (below: number) => (state = state * 48_271 % 2_147_483_647) % below;
  using ours = linesOf(20);
  using theirs = linesOf(20);
  countOnce(ours.lines, () => ours.output.columns);
  const write = (text: string | null, key?: { readonly ctrl?: boolean; readonly name: string }) => {
    for (const { lines } of [ours, theirs]) lines.write(text!, key!);
  };
  for (let i = 0; i < 600; i++) {
    const kind = random(40);
    if (kind === 0) ours.output.columns = theirs.output.columns = 7 + random(30);
    else if (kind === 1) write(null, { ctrl: true, name: "u" });
    else if (kind < 12) write(null, { name: keys[random(keys.length)]! });
    else write(pieces[random(pieces.length)]!);
    const { line } = theirs.lines;
    assertEquals([ours.lines.line, ours.lines.getCursorPos()], [line, theirs.lines.getCursorPos()]);
  }
});
