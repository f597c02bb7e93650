import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { formatExtensions, longestExtensions, parseExtensions } from "../../protocol/mod.ts";
import { extensions } from "../support/arbitraries.ts";

const permissions = "none";

Deno.test("a list of extensions that is written is read back", { permissions }, () => {
  assertEquals(formatExtensions([]), "");
  assertEquals(formatExtensions(["open1", "window1"]), "ext=open1,window1");
  fc.assert(
    fc.property(extensions, (names) => assertEquals(parseExtensions(formatExtensions(names)), names)),
  );
});

Deno.test("what is read of any text is a list that can be written, or nothing", { permissions }, () => {
  const name = fc.oneof(fc.string({ maxLength: 40 }), fc.stringMatching(/^[a-z]{1,40}\d{0,2}$/));
  const text = fc.oneof(
    fc.string(),
    fc.array(name, { maxLength: 20, size: "max" }).map((names) => `ext=${names.join(",")}`),
  );
  fc.assert(fc.property(text, (text) => {
    const names = parseExtensions(text);
    assert(names.length <= 16 && names.every((name) => name.length <= 32));
    assertEquals(parseExtensions(formatExtensions(names)), names);
  }));
});

Deno.test(
  "a list with anything that is no name, too long or too many announces nothing",
  { permissions },
  () => {
    const longest = Array.from({ length: 16 }, (_, i) => `${"o".repeat(30)}${10 + i}`);
    assertEquals(parseExtensions(`ext=${longest.join(",")}`), longest);
    assertEquals(`ext=${longest.join(",")}`.length, longestExtensions);
    const wrong = [
      "",
      "ext",
      "ext=",
      "ext=,",
      "ext=open1,",
      "ext=open1,open1",
      "ext=,open1",
      "ext=open",
      "ext=1",
      "ext=Open1",
      "ext=open1 ",
      "ext=open1\n",
      " ext=open1",
      "Ext=open1",
      "ext=open1,\u00f6pen1",
      `ext=${"o".repeat(32)}1`,
      `ext=${Array.from({ length: 17 }, (_, i) => `o${i}`).join(",")}`,
      `ext=${"o1,".repeat(100_000)}o1`,
    ];
    for (const text of wrong) assertEquals(parseExtensions(text), [], text.slice(0, 100));
  },
);

Deno.test("what cannot be read is not written", { permissions }, () => {
  for (
    const names of [
      ["Open1"],
      ["a1,b1"],
      [""],
      ["a1", "a1"],
      Array.from({ length: 17 }, (_, i) => `o${i}`),
    ]
  ) {
    assertThrows(() => formatExtensions(names), RangeError);
  }
});
