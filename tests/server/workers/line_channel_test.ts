import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ControlError } from "../../../cli/json.ts";
import { LineChannel } from "../../../server/workers/line_channel.ts";

const permissions = "none";

/** A channel that reads the given pieces and whose written text is kept. */
function channel(
  pieces: readonly (string | Uint8Array<ArrayBuffer>)[],
  options: { readonly longest?: number; readonly mostWaiting?: number; readonly isStuck?: boolean } = {},
) {
  const written: string[] = [];
  const readable = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      for (const piece of pieces) {
        controller.enqueue(typeof piece === "string" ? new TextEncoder().encode(piece) : piece);
      }
      controller.close();
    },
  });
  const writable = new WritableStream<Uint8Array<ArrayBuffer>>({
    write: (bytes) =>
      options.isStuck ? new Promise(() => {}) : void written.push(new TextDecoder().decode(bytes)),
  });
  return { channel: new LineChannel({ readable, writable, ...options }), written };
}

Deno.test("lines are read however they are cut", { permissions }, async () => {
  const bytes = new TextEncoder().encode('{"a":"ä"}\n[1]\n');
  for (let at = 0; at <= bytes.length; at++) {
    const { channel: split } = channel([bytes.slice(0, at), bytes.slice(at)]);
    assertEquals(await Array.fromAsync(split.lines()), [{ a: "ä" }, [1]]);
  }
});

Deno.test("a last line without its end is not taken", { permissions }, async () => {
  const { channel: cut } = channel(['{"a":1}\n{"b":2']);
  assertEquals(await Array.fromAsync(cut.lines()), [{ a: 1 }]);
});

Deno.test(
  "what is no JSON, no UTF-8 or too long ends the reading with an error",
  { permissions },
  async () => {
    const bad = [
      "hello\n",
      "\n",
      "{\n",
      new Uint8Array([0x22, 0xff, 0x22, 0x0a]),
      "x".repeat(101),
      "x".repeat(101) + "\n",
    ];
    for (const piece of bad) {
      const { channel: reading } = channel([piece], { longest: 100 });
      await assertRejects(() => Array.fromAsync(reading.lines()), ControlError);
    }
  },
);

Deno.test("what is sent in one turn is written at once, in its order", { permissions }, async () => {
  const { channel: sending, written } = channel([]);
  sending.send({ a: 1 });
  sending.send({ b: 2 });
  await sending.flush();
  sending.send({ c: 3 });
  await sending.flush();
  assertEquals(written, ['{"a":1}\n{"b":2}\n', '{"c":3}\n']);
});

Deno.test("only so much waits for who does not read", { permissions }, async () => {
  const { channel: sending } = channel([], { mostWaiting: 100, isStuck: true });
  sending.send({ text: "x".repeat(50) });
  assertThrows(() => sending.send({ text: "x".repeat(50) }), ControlError);
  await sending[Symbol.asyncDispose]();
  sending.send({ text: "x".repeat(500) });
});
