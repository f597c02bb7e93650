import { assertEquals } from "@std/assert";
import { textBytes } from "../../protocol/bytes.ts";
import { decodeBase64, encodeBase64 } from "../../protocol/mod.ts";

// transport.md: `base64` means RFC 4648 section 4, padded
Deno.test("Base64 has the test vectors of RFC 4648", { permissions: "none" }, () => {
  const cases = {
    "": "",
    "f": "Zg==",
    "fo": "Zm8=",
    "foo": "Zm9v",
    "foob": "Zm9vYg==",
    "fooba": "Zm9vYmE=",
    "foobar": "Zm9vYmFy",
  };
  for (const [text, encoded] of Object.entries(cases)) {
    assertEquals(encodeBase64(textBytes(text)), encoded);
    assertEquals(decodeBase64(encoded), textBytes(text));
    assertEquals(decodeBase64(textBytes(encoded)), textBytes(text), "from bytes");
  }
});

Deno.test("Base64 agrees with the platform for every byte value and length", { permissions: "none" }, () => {
  for (let length = 0; length <= 256; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => 255 - i);
    const encoded = btoa(String.fromCharCode(...bytes));
    assertEquals(encodeBase64(bytes), encoded);
    assertEquals(decodeBase64(encoded), bytes);
  }
});

Deno.test("Base64 is taken only as it is written", { permissions: "none" }, () => {
  const wrong = [
    ["too short", "A", "AA", "AAA", "AAAAA", "AAAA=", "AAAAAA="],
    ["padding missing", "Zg", "Zg=", "Zm8"],
    ["padding alone or too much", "=", "==", "====", "A===", "Zg===", "Zm9v===="],
    ["padding in the middle", "Zg==Zg==", "Zm8=Zm9v", "Z=9v", "=m9v", "Z==v"],
    [
      "other characters",
      "Zm9 ",
      " m9v",
      "Zm9\n",
      "Zm9v\n",
      "Zm-v",
      "Zm_v",
      "Zm9\0",
      "Zm9\x7f",
      "Zmé",
      "#m9v",
    ],
    ["other characters before the last group", "Zm9*Zm9v", "Z*9vZm9v", "*m9vZm9v", "Zm*vZm9v"],
    ["unused bits that are not zero", "Zh==", "Z/==", "Zm9=", "Zm+=", "Zm9vZh=="],
  ];
  for (const [why, ...texts] of wrong) {
    for (const text of texts) assertEquals(decodeBase64(text), null, `${why}: ${JSON.stringify(text)}`);
  }
  for (let char = 0; char < 256; char++) {
    const known = /[A-Za-z0-9+/]/.test(String.fromCharCode(char));
    for (let at = 0; at < 4; at++) {
      const chars = textBytes("AAAA");
      chars[at] = char;
      const expected = known || (at === 3 && char === 0x3d);
      assertEquals(decodeBase64(chars) !== null, expected, `byte ${char} at ${at}`);
    }
  }
});

Deno.test("Base64 of a view of a larger array is that of the view", { permissions: "none" }, () => {
  const bytes = textBytes("xxfoobarxx").subarray(2, 8);
  assertEquals(encodeBase64(bytes), "Zm9vYmFy");
  assertEquals(decodeBase64(textBytes("==Zm9v==").subarray(2, 6)), textBytes("foo"));
});
