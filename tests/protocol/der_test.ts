import { assertEquals, assertThrows } from "@std/assert";
import { DerReader, derTag, encodeDer, encodePositiveInteger } from "../../protocol/crypto/der.ts";

Deno.test("DER lengths have their shortest form", { permissions: "none" }, () => {
  const headers: Record<number, number[]> = {
    0: [0],
    1: [1],
    127: [127],
    128: [0x81, 128],
    255: [0x81, 255],
    256: [0x82, 1, 0],
    65535: [0x82, 255, 255],
    65536: [0x83, 1, 0, 0],
  };
  for (const [text, header] of Object.entries(headers)) {
    const content = new Uint8Array(Number(text)).fill(7);
    const encoded = encodeDer(derTag.octetString, content.subarray(0, 100), content.subarray(100));
    assertEquals([...encoded.subarray(0, 1 + header.length)], [4, ...header]);
    assertEquals(encoded.length, 1 + header.length + content.length);
    const reader = new DerReader(encoded);
    assertEquals(reader.content(derTag.octetString), content);
    reader.end();
  }
});

Deno.test("DER that is not in its shortest form or not whole is refused", { permissions: "none" }, () => {
  const wrong: Record<string, number[]> = {
    "it ends too early (byte 0)": [],
    "it ends too early (byte 1)": [4],
    "it ends too early (byte 2)": [4, 0x81],
    "it ends too early (byte 3)": [4, 0x82, 1],
    "type 0x4 is expected, not 0x5": [5, 0],
    "1 bytes are announced, 0 are there": [4, 1],
    "256 bytes are announced, 2 are there": [4, 0x82, 1, 0, 7, 7],
    "16777215 bytes are announced, 1 are there": [4, 0x83, 255, 255, 255, 7],
    "a length in its shortest form is expected (byte 3)": [4, 0x81, 1, 7],
    "a length in its shortest form is expected (byte 4)": [4, 0x82, 0, 128, ...new Array(128).fill(7)],
    "a length in its shortest form is expected (byte 5)": [4, 0x83, 0, 1, 0, ...new Array(256).fill(7)],
    "a length of 1 to 3 bytes is expected": [4, 0x80, 7, 0, 0],
    "a length of 1 to 3 bytes is expected (byte 2)": [4, 0x84, 0, 0, 0, 1, 7],
  };
  for (const [message, bytes] of Object.entries(wrong)) {
    assertThrows(
      () => new DerReader(Uint8Array.from(bytes)).content(derTag.octetString),
      SyntaxError,
      message,
    );
  }
});

Deno.test("An INTEGER of a key is positive and in its shortest form", { permissions: "none" }, () => {
  const right: [number[], number[]][] = [[[1], [1]], [[127], [127]], [[0, 128], [128]], [[0, 255, 0], [
    255,
    0,
  ]]];
  for (const [content, number] of right) {
    const encoded = Uint8Array.of(2, content.length, ...content);
    assertEquals(encodePositiveInteger(Uint8Array.from(number)), encoded);
    assertEquals([...new DerReader(encoded).positiveInteger()], number);
  }
  const wrong: Record<string, number[][]> = {
    "a positive INTEGER is expected": [[], [128], [255, 1]],
    "a positive INTEGER in its shortest form is expected": [[0], [0, 0], [0, 1], [0, 127, 1], [0, 0, 128]],
  };
  for (const [message, contents] of Object.entries(wrong)) {
    for (const content of contents) {
      const reader = new DerReader(Uint8Array.of(2, content.length, ...content));
      assertThrows(() => reader.positiveInteger(), SyntaxError, message);
    }
  }
});

Deno.test("A DER value may not reach beyond the one it is in", { permissions: "none" }, () => {
  const sequence = new DerReader(Uint8Array.of(0x30, 3, 2, 2, 1, 1)).enter(derTag.sequence);
  assertThrows(() => sequence.positiveInteger(), SyntaxError, "2 bytes are announced, 1 are there");
  const literal = new DerReader(Uint8Array.of(0x30, 2, 5, 0, 5, 0)).enter(derTag.sequence);
  assertThrows(
    () => literal.literal(Uint8Array.of(5, 0, 5, 0), "two NULLs"),
    SyntaxError,
    "two NULLs is expected",
  );
});

Deno.test("DER values are read one after the other to the end", { permissions: "none" }, () => {
  const reader = new DerReader(Uint8Array.of(9, 9, 0x30, 3, 2, 1, 5, 5, 0, 9), 2, 9);
  assertEquals([...reader.enter(derTag.sequence).positiveInteger()], [5]);
  assertThrows(() => reader.end(), SyntaxError, "2 bytes too many (byte 7)");
  assertThrows(() => reader.literal(Uint8Array.of(5, 1), "NULL"), SyntaxError, "NULL is expected");
  reader.literal(Uint8Array.of(5, 0), "NULL");
  reader.end();
});
