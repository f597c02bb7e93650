import { assert, assertEquals } from "@std/assert";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { PassThrough } from "node:stream";
import { countOnce } from "../../examples/terminal-chat/display_position.ts";
import { findCursorOnce, insertTogether } from "../../examples/terminal-chat/paste.ts";
import { soon } from "../support/wait.ts";

/** Lines of a terminal whose output is counted. */
function linesOf(columns: number) {
  let written = 0;
  const input = new PassThrough(), output = Object.assign(new PassThrough(), { columns });
  output.on("data", (bytes: Uint8Array) => written += bytes.length);
  const lines = createInterface({ input, output, terminal: true, prompt: "> " });
  return { input, output, lines, written: () => written, [Symbol.dispose]: () => lines.close() };
}

/** As the terminal chat has them. */
function ours(columns: number) {
  const setting = linesOf(columns), { lines, output } = setting;
  let inserted = 0;
  countOnce(lines, () => output.columns);
  findCursorOnce(lines, () => output.columns);
  insertTogether(lines, () => inserted++);
  return { ...setting, inserted: () => inserted };
}

/** Resolves when what was written to an input has been read. */
function read(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

Deno.test("a long text that is pasted is written little more than once", async () => {
  using setting = ours(80);
  const { input, lines } = setting;
  const text = "some words, \u6f22\u5b57 \u{1f600} ".repeat(4_000),
    bytes = new TextEncoder().encode(`${text}\r`);
  const line = once(lines, "line");
  const length = 4_096;
  for (let at = 0; at < bytes.length; at += length) {
    // As terminals give it to who reads.
    input.write(bytes.subarray(at, at + length));
    await read();
  }
  assertEquals((await soon(line))[0], text);
  const pieces = bytes.length / length;
  assert(setting.inserted() < 2 * pieces, `${setting.inserted()} times`);
  // Anew where a piece ends with a row.
  assert(setting.written() < 4 * bytes.length, `${setting.written()} bytes`);
});

Deno.test("what is typed and pasted is what readline makes of it", async () => {
  const pieces = ["a", "some words", "\u6f22\u5b57", "\u{1f600}", "e\u0301\t", "B".repeat(50), "1\r", "x\ry"];
  const keys = [
    "\x1b[D",
    "\x1b[C",
    "\x1b[A",
    "\x1b[B",
    "\x01",
    "\x05",
    "\x7f",
    "\x1b[3~",
    "\x15",
    "\x17",
    "\x19",
    "\x1bb",
  ];
  let state = 1;
  const random = (below: number) => (state = state * 48_271 % 2_147_483_647) % below;
  using our = ours(20);
  using their = linesOf(20);
  const said: string[][] = [[], []];
  for (const [i, { lines }] of [our, their].entries()) lines.on("line", (line) => said[i]!.push(line));
  for (let round = 0; round < 200; round++) {
    let text = "";
    for (let n = 1 + random(4); n > 0; n--) {
      text += random(3) > 0 ? pieces[random(pieces.length)] : keys[random(keys.length)];
    }
    for (const { input } of [our, their]) input.write(text);
    await read();
    const [mine, plain] = [our, their].map(({ lines }) => [lines.line, lines.cursor, lines.getCursorPos()]);
    assertEquals([mine, said[0]], [plain, said[1]], JSON.stringify(text));
  }
});
