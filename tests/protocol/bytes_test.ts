import { assertEquals } from "@std/assert";
import { asciiText, latin1Bytes } from "../../protocol/mod.ts";

Deno.test("text of any length and place has a character for each byte", { permissions: "none" }, () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i * 83);
  for (let start = 0; start < 10; start++) {
    for (let end = start; end <= start + 34; end++) {
      const expected = [...bytes.subarray(start, end)].map((byte) => String.fromCharCode(byte)).join("");
      assertEquals(asciiText(bytes, start, end), expected);
    }
  }
  assertEquals(latin1Bytes(asciiText(bytes)), bytes);
});
