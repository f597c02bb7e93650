import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { deserialize, serialize } from "../../../agent/store/serialize.ts";
import { textBytes } from "../../../protocol/mod.ts";
import { everything } from "./samples.ts";
import { anyText } from "../../support/any_text.ts";

const none = { permissions: "none" } as const;
const text = new TextDecoder();

Deno.test("records of every kind come back as they were", none, () => {
  for (const change of everything()) assertEquals(deserialize(serialize(change)), change);
});

Deno.test("any names, texts, numbers and bytes come back as they were", none, () => {
  const name = fc.oneof(
    anyText(),
    fc.constantFrom("$bytes", "$", "$$bytes", "__proto__"),
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      fc.constant(null),
      fc.boolean(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0),
      anyText(),
      fc.uint8Array().map((bytes) => Uint8Array.from(bytes)),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.array(fc.tuple(name, tie("value")), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
    ),
  }));
  fc.assert(fc.property(value, (value) => {
    const record = { value };
    assertEquals(deserialize(serialize(record)), record);
  }));
});

Deno.test("bytes are told from objects that look like them", none, () => {
  const record = { a: Uint8Array.of(1), b: { $bytes: "AQ==" }, c: { $bytes: "AQ==", d: 1 }, e: "$bytes" };
  assertEquals(deserialize(serialize(record)), record);
  assertEquals(text.decode(serialize({ a: Uint8Array.of(1) })), '{"a":{"$bytes":"AQ=="}}');
  assertEquals(text.decode(serialize({ a: { $bytes: "AQ==" }, b: undefined })), '{"a":{"$$bytes":"AQ=="}}');
});

Deno.test("what was not written so is refused", none, () => {
  const deep = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  const refused = [
    "",
    "{",
    "{}x",
    '\uFEFF{"a":1}',
    '{"$bytes":1}',
    '{"$bytes":"AQ="}',
    '{"$bytes":"AR=="}',
    '{"$bytes":" AQ=="}',
    '{"$bytes":"AQ==","b":1}',
    '{"$other":1}',
    '{"a":1e999}',
    deep(40),
    deep(100_000),
  ];
  for (const json of refused) {
    assertThrows(() => deserialize(textBytes(json)), SyntaxError, "Cannot parse record");
  }
  assertThrows(() => deserialize(Uint8Array.of(0x22, 0xff, 0x22)), SyntaxError, "Cannot parse record");
});

Deno.test("what would not come back is not written", none, () => {
  let deep: object = {};
  for (let i = 0; i < 40; i++) deep = { deep };
  for (const value of [NaN, Infinity, 1n, () => {}, Symbol(), new Date(0), new Map(), deep]) {
    assertThrows(() => serialize({ value }), TypeError, "Cannot serialize record");
  }
});
