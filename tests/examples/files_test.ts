import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { fileNameOf, numberedName, sizeText } from "../../examples/files.ts";
import { pictureOf, pictureType } from "../../examples/web-chat/page/picture.ts";
import { anyText } from "../support/any_text.ts";

const permissions = "none";

Deno.test("names of others become names of files, and never paths", { permissions }, () => {
  for (
    const [given, name] of [
      ["photo of us.jpg", "photo of us.jpg"],
      ["Ünïcödé 👋.txt", "Ünïcödé 👋.txt"],
      ["../../etc/passwd", "passwd"],
      ["C:\\windows\\system32\\x.dll", "x.dll"],
      ["..", "file"],
      ["", "file"],
      ["/", "file"],
      [".bashrc", "bashrc"],
      [" . .x. ", "x"],
      ["a\x00b\x1b[2Jc\nd", "ab[2Jcd"],
      ["\u202egpj.exe", "gpj.exe"],
      ["zero\u200bwidth\ufeff", "zerowidth"],
      ['a<b>c:d"e|f?g*h', "a_b_c_d_e_f_g_h"],
      ["con", "_con"],
      ["LPT1.txt", "_LPT1.txt"],
      ["console.txt", "console.txt"],
      ["aux .txt", "_aux .txt"],
      ["COM\u00b9.log", "_COM\u00b9.log"],
      ["conin$", "_conin$"],
      ["a\u3164.png", "a.png"],
      ["\u115f\u2800\ufe0f", "file"],
    ] as const
  ) {
    assertEquals(fileNameOf(given), name, JSON.stringify(given));
  }
  const long = fileNameOf("👋".repeat(200) + ".jpeg");
  assert(long.startsWith("👋👋") && long.endsWith(".jpeg"));
  fc.assert(fc.property(anyText({ maxLength: 600 }), (given) => {
    const name = fileNameOf(given);
    assert(/^[^./\\][^/\\]*$/.test(name) && !/[\p{Cc}\p{Cf}]/u.test(name), JSON.stringify(name));
    assert(new TextEncoder().encode(name).length <= 255);
    assertEquals(fileNameOf(name), name);
  }));
});

Deno.test("a name as long as may be gets a number as any other one", { permissions }, () => {
  assertEquals(numberedName("cat.png", 1), "cat.png");
  assertEquals(numberedName("cat.png", 2), "cat (2).png");
  assertEquals(numberedName("cat.tar.gz", 10), "cat.tar (10).gz");
  assertEquals(numberedName(`${"\u00e4".repeat(125)}.jpeg`, 2), `${"\u00e4".repeat(123)} (2).jpeg`);
  assertEquals(numberedName("a".repeat(255), 3), `${"a".repeat(251)} (3)`);
  assertEquals(numberedName(`a.${"b".repeat(253)}`, 3), `a.${"b".repeat(249)} (3)`);
});

Deno.test("sizes are for people", { permissions }, () => {
  const sizes = [null, 0, 1, 999, 1000, 9949, 9950, 999_499, 999_500, 12_000_000, 3.2e9, 2 ** 47];
  assertEquals(sizes.map(sizeText), [
    "unknown size",
    "0 bytes",
    "1 byte",
    "999 bytes",
    "1.0 kB",
    "9.9 kB",
    "10 kB",
    "999 kB",
    "1.0 MB",
    "12 MB",
    "3.2 GB",
    "141 TB",
  ]);
});

Deno.test("pictures are known by their bytes, with how large they are", { permissions }, () => {
  const bytes = (...parts: readonly (string | number[])[]) =>
    Uint8Array.from(
      parts.flatMap((part) => typeof part === "string" ? [...part].map((char) => char.charCodeAt(0)) : part),
    );
  const png = bytes("\x89PNG\r\n\x1a\n", [0, 0, 0, 13], "IHDR", [0, 0, 2, 128, 0, 0, 1, 104], [
    8,
    6,
    0,
    0,
    0,
  ]);
  const frame = [0x2c, 0, 0, 0, 0, 64, 1, 200, 0, 0];
  const gif = bytes("GIF89a", [64, 1, 200, 0, 0x80, 0, 0], Array<number>(6).fill(9), [
    ...[0x21, 0xf9, 4, 0, 0, 0, 0, 0],
    ...[0x21, 0xfe, 2, 0x2c, 0x2c, 1, 0x2c, 0],
    ...frame,
  ]);
  const sof = [0xff, 0xc2, 0, 17, 8, 1, 104, 2, 128, 3];
  const jpeg = bytes([0xff, 0xd8, 0xff, 0xe0, 0, 6, 1, 2, 3, 4, 0xff], sof);
  const riff = bytes("RIFF", [0, 0, 0, 0], "WEBP");
  const lossy = bytes([...riff], "VP8 ", Array<number>(10).fill(0), [128, 2, 104, 1]);
  const lossless = bytes([...riff], "VP8L", [0, 0, 0, 0, 0x2f, 0x7f, 0xc2, 0x59, 0], [0, 0, 0, 0, 0]);
  const extended = bytes([...riff], "VP8X", [0, 0, 0, 0, 0, 0, 0, 0], [0x7f, 2, 0, 0x67, 1, 0]);
  const size = { width: 640, height: 360 };
  assertEquals(pictureOf(png), { type: "image/png", ...size });
  assertEquals(pictureOf(gif), { type: "image/gif", width: 320, height: 200 });
  assertEquals(pictureOf(jpeg), { type: "image/jpeg", ...size });
  for (const webp of [lossy, lossless, extended]) {
    assertEquals(pictureOf(webp), { type: "image/webp", ...size });
  }
  for (const other of ["<svg xmlns='http://www.w3.org/2000/svg'/>", "<html>", "BM......", ""]) {
    assertEquals(pictureOf(bytes(other)), null);
  }
  // Half of one is none, and anything else does not break it.
  for (const whole of [png, gif, jpeg, lossy, lossless, extended]) {
    for (let length = 0; length < 8; length++) assertEquals(pictureOf(whole.slice(0, length)), null);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (rest) => {
      pictureOf(bytes([...whole.slice(0, 3), ...rest]));
      pictureOf(bytes([...whole.slice(0, 16), ...rest]));
    }));
  }
});

Deno.test("what the head of a picture says is what browsers make of it", { permissions }, () => {
  const gif = (...rest: readonly number[]) =>
    pictureOf(
      Uint8Array.from([..."GIF89a"].map((char) => char.charCodeAt(0)).concat(1, 0, 1, 0, 0, 0, 0, rest)),
    );
  // A first frame that does not fit makes it larger.
  const frame = [0x2c, 2, 0, 0, 0, 64, 1, 200, 0, 0];
  assertEquals(gif(...frame), { type: "image/gif", width: 322, height: 200 });
  // Not all of them take the length of an extension for what it says.
  for (const label of [0xf9, 0xff, 0x01]) {
    assertEquals(gif(0x21, label, 10, ...frame, 0, ...frame), null);
  }
  for (const rest of [[], [0x3b], [0, ...frame], [0x21, 0xfe, 1, 0, 0]]) assertEquals(gif(...rest), null);
  // Markers that stand alone have no length: what is behind them is not to be jumped over.
  const large = [0xff, 0xc0, 0, 17, 8, 39, 16, 39, 16, 3], small = [0xff, 0xc0, 0, 17, 8, 0, 1, 0, 1, 3];
  for (const marker of [0x00, 0x01, 0xd0, 0xd7, 0xd8, 0xd9, 0xda]) {
    const jpeg = [0xff, 0xd8, 0xff, marker, 0, 12, ...large, ...small];
    assertEquals(pictureOf(Uint8Array.from(jpeg)), null, `${marker}`);
  }
});

Deno.test("no picture is shown that is too large, whatever it is called", { permissions }, async () => {
  const png = (width: number, height: number, length = 0) => {
    const head = new DataView(new ArrayBuffer(29));
    [..."\x89PNG\r\n\x1a\n\0\0\0\rIHDR"].forEach((char, at) => head.setUint8(at, char.charCodeAt(0)));
    head.setUint32(16, width);
    head.setUint32(20, height);
    return new Blob([head, new Uint8Array(length)], { type: "text/html" });
  };
  assertEquals(await pictureType(png(640, 360)), "image/png");
  assertEquals(await pictureType(png(10_000, 5_000)), "image/png");
  assertEquals(await pictureType(png(10_001, 5_000)), null);
  assertEquals(await pictureType(png(640, 360, 20_000_000)), null);
  assertEquals(await pictureType(new Blob(["<svg/>"], { type: "image/png" })), null);
});
