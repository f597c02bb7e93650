import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { textBytes } from "../../../protocol/mod.ts";
import { LinkError } from "../../../server/link/error.ts";
import {
  type OwnerMessage,
  readOwnerMessage,
  readSessionMessage,
  type SessionMessage,
  writeMessage,
} from "../../../server/link/messages.ts";
import { FrameReader, FrameWriter, longestFrame } from "../../../server/link/wire.ts";
import { mutated } from "../../support/arbitraries.ts";
import { ownerMessage, sessionMessage } from "../../support/link_arbitraries.ts";

const permissions = "none";

function written(messages: readonly (SessionMessage | OwnerMessage)[]): Uint8Array<ArrayBuffer> {
  const writer = new FrameWriter();
  for (const message of messages) writeMessage(writer, message);
  return writer.bytes.slice();
}

function readAll<T>(bytes: Uint8Array<ArrayBuffer>, read: (reader: FrameReader) => T | null): T[] {
  const reader = new FrameReader(bytes);
  const messages: T[] = [];
  for (let message = read(reader); message !== null; message = read(reader)) messages.push(message);
  return messages;
}

/** What a message says; keys in the form of their encoding. */
function plain(message: SessionMessage | OwnerMessage): unknown {
  return JSON.parse(JSON.stringify(message, (_name, value) => {
    if (value instanceof Uint8Array) return [...value];
    if (typeof value === "bigint") return String(value);
    return typeof value === "object" && value !== null && "der" in value ? [...value.der] : value;
  }));
}

Deno.test(
  "messages of both sides are read as they were written, one behind the other",
  { permissions },
  () => {
    fc.assert(fc.property(fc.array(sessionMessage, { maxLength: 5 }), (messages) => {
      assertEquals(readAll(written(messages), readSessionMessage).map(plain), messages.map(plain));
    }));
    fc.assert(fc.property(fc.array(ownerMessage, { maxLength: 5 }), (messages) => {
      assertEquals(readAll(written(messages), readOwnerMessage).map(plain), messages.map(plain));
    }));
  },
);

Deno.test("what is read does not change with the bytes that it was read from", { permissions }, () => {
  fc.assert(fc.property(sessionMessage, (message) => {
    const bytes = written([message]);
    const [read] = readAll(bytes, readSessionMessage);
    bytes.fill(0);
    assertEquals(plain(read!), plain(message));
  }));
  fc.assert(fc.property(ownerMessage, (message) => {
    const bytes = written([message]);
    const [read] = readAll(bytes, readOwnerMessage);
    bytes.fill(0);
    assertEquals(plain(read!), plain(message));
  }));
});

Deno.test("whatever is read is a message or a LinkError", { permissions }, () => {
  const encodings = fc.oneof(sessionMessage, ownerMessage).map((message) => written([message]));
  fc.assert(
    fc.property(mutated(encodings), (bytes) => {
      for (const read of [readSessionMessage, readOwnerMessage]) {
        try {
          readAll<unknown>(bytes, read);
        } catch (error) {
          assert(error instanceof LinkError && error.code === "FRAME", String(error));
        }
      }
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("every cut message is a LinkError", { permissions }, () => {
  fc.assert(fc.property(fc.oneof(sessionMessage, ownerMessage), (message) => {
    const bytes = written([message]);
    for (let length = 1; length < Math.min(bytes.length, 60); length++) {
      for (const read of [readSessionMessage, readOwnerMessage]) {
        assertThrows(() => readAll<unknown>(bytes.slice(0, length), read), LinkError);
      }
    }
  }));
});

const hostile: readonly [name: string, reason: string, type: number, body: readonly number[]][] = [
  ["a type that there is not", "does not send type 99", 99, []],
  ["a message of the other side", "does not send type 129", 129, [1, 1]],
  ["another version", "version 2", 1, [2, ...new Array(10).fill(0)]],
  ["an incarnation that is too long", "1 bytes are left", 1, [1, ...new Array(11).fill(0)]],
  ["blocks of a size that there is not", "no blocks of 4097 bytes", 2, [
    0,
    0,
    0,
    0,
    0,
    1,
    0,
    0,
    0x10,
    1,
    ...new Array(32).fill(0),
  ]],
  ["a binding that is too short", "32 bytes are expected", 2, [
    0,
    0,
    0,
    0,
    0,
    1,
    0,
    0,
    0x10,
    0,
    ...new Array(31).fill(0),
  ]],
  [
    "an address that is too long",
    "address is too long",
    2,
    [0, 0, 0, 0, 0, 1, 0, 0, 0x10, 0, ...new Array(32).fill(0), 0, 65, ...new Array(65).fill(0x30)],
  ],
  ["a transmission that is none", "ERR BLOCK", 3, [...new Array(12).fill(0), 0, 0, 0, 0x20, 0x20]],
  ["bytes behind a transmission", "canonical", 3, [
    ...new Array(12).fill(0),
    0,
    0,
    0,
    ...textBytes("   PING #"),
  ]],
  ["REKEY", "of the session", 3, [...new Array(12).fill(0), 0, 0, 0, ...textBytes("   REKEY AAAA ")]],
  ["a flag that is neither yes nor no", "neither yes nor no", 3, [
    ...new Array(12).fill(0),
    2,
    0,
    0,
    ...textBytes("   PING "),
  ]],
  ["an ID that is empty", "ID is empty", 7, [...new Array(6).fill(0), 0, 0]],
  ["a window that is too large", "window of 129", 6, [
    ...new Array(6).fill(0),
    0,
    1,
    0x41,
    129,
    ...new Array(12).fill(0),
  ]],
  [
    "more delivered messages than the window takes",
    "than the window takes",
    6,
    [...new Array(6).fill(0), 0, 1, 0x41, 0, ...new Array(12).fill(0), 0, 1, 0x41, 0, 1, 0x42],
  ],
];

for (const [name, reason, type, body] of hostile) {
  Deno.test(`an owner does not take ${name}`, { permissions }, () => {
    const writer = new FrameWriter();
    writer.begin(type);
    writer.rest(Uint8Array.from(body));
    writer.end();
    const error = assertThrows(() => readAll(writer.bytes, readSessionMessage), LinkError, reason);
    assertEquals(error.code, "FRAME");
  });
}

const sevenNoughts = new Array(7).fill(0);
const hostileOwner: readonly (readonly [name: string, reason: string, body: readonly number[]])[] = [
  ["a budget that there is not", "no such budget", [...sevenNoughts.with(6, 2), ...new Array(8).fill(0)]],
  ["work of less than nothing", "cannot be -2 ms", [...sevenNoughts, 0xc0, ...sevenNoughts]],
  ["work without end", "cannot be Infinity ms", [...sevenNoughts, 0x7f, 0xf0, ...new Array(6).fill(0)]],
  ["work that is no number", "cannot be NaN ms", [...sevenNoughts, 0x7f, 0xf8, ...new Array(6).fill(0)]],
];

for (const [name, reason, body] of hostileOwner) {
  Deno.test(`a session's process does not take ${name}`, { permissions }, () => {
    const writer = new FrameWriter();
    writer.begin(135);
    writer.rest(Uint8Array.from(body));
    writer.end();
    assertThrows(() => readAll(writer.bytes, readOwnerMessage), LinkError, reason);
  });
}

Deno.test("a frame that is too long is neither written nor read", { permissions }, () => {
  const body = new Uint8Array(longestFrame);
  const response = { type: "MSG", messageId: "AAAA", timestamp: new Date(0), body } as const;
  const writer = new FrameWriter();
  const message = { type: "NOTIFY", connection: 1, queueId: "AAAA", age: null, response } as const;
  assertThrows(() => writeMessage(writer, message), RangeError);
  writer.cancel();
  assert(writer.isEmpty);
  const bytes = new Uint8Array(longestFrame + 5);
  new DataView(bytes.buffer).setUint32(0, longestFrame + 1);
  assertThrows(() => readAll(bytes, readOwnerMessage), LinkError, "more than");
});
