import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { createHash } from "node:crypto";
import {
  decodeFrames,
  encodeFrame,
  type Frame,
  type FrameContent,
  joinParts,
  largestBody,
  messageHash,
  mostFrames,
  type NumberSet,
} from "../../../protocol/mod.ts";
import { routeRecord } from "../../support/route_record.ts";
import { streamContent } from "../../support/stream_content.ts";

const permissions = "none";

const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const positive = fc.integer({ min: 1, max: 2 ** 48 - 1 });
const exactly = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const routeId = exactly(8);
const fill = fc.integer({ min: 1, max: 255 });
const numberSet: fc.Arbitrary<NumberSet> = fc
  .tuple(fc.nat(1000), fc.array(fc.tuple(fc.integer({ min: 2, max: 50 }), fc.nat(50)), { maxLength: 64 }))
  .map(([upTo, steps]) => {
    let end = upTo;
    const ranges = steps.map(([gap, length]) => [end + gap, end += gap + length] as const);
    return { upTo, ranges };
  });
const content: fc.Arbitrary<FrameContent> = fc.oneof(
  fc.record({
    kind: fc.constant("message" as const),
    userNumber: positive,
    previousHash: exactly(32),
    body: fc.uint8Array({ maxLength: 300 }),
  }),
  fc.record({ kind: fc.constant("receipt" as const), stored: numberSet, acknowledged: numberSet }),
  fc.record({
    kind: fc.constant("route add" as const),
    route: fill.map((fill) => routeRecord(fill)),
    replaces: fc.option(routeId),
    lost: fc.boolean(),
  }),
  fc.record({ kind: fc.constantFrom("route ok" as const, "route end" as const), routeId }),
  fc.record({ kind: fc.constant("route refused" as const), routeId, reason: fill }),
  fc.tuple(positive, positive).map(([a, b]) => ({
    kind: "skip" as const,
    from: Math.min(a, b),
    to: Math.max(a, b),
  })),
  fc.record({ kind: fc.constant("ready" as const), kinds: fc.array(fc.nat(255), { maxLength: 255 }) }),
  fc.record({ kind: fc.constant("last" as const), userNumber: u48 }),
  fc.constant({ kind: "close" as const }),
  fc.record({ kind: fc.constant("digest" as const), digest: exactly(16) }),
  streamContent,
  fc.record({
    kind: fc.constant("unknown" as const),
    kindNumber: fc.constantFrom(0, 18, 19, 200, 255),
    content: fc.uint8Array({ maxLength: 100 }),
  }),
);
const frame: fc.Arbitrary<Frame> = fc.tuple(content, positive, u48).map(([content, number, time]) => ({
  ...content,
  number: content.kind === "receipt" || content.kind === "digest" ? 0 : number,
  time,
}));

Deno.test("Frames are read as they were written, one behind the other", { permissions }, () => {
  fc.assert(fc.property(fc.array(frame, { minLength: 1, maxLength: 5 }), (frames) => {
    assertEquals(decodeFrames(joinParts(frames.map(encodeFrame))), { ok: true, frames });
  }));
});

Deno.test("A plaintext that is cut off, or has anything behind its frames, is refused as a whole", {
  permissions,
}, () => {
  fc.assert(fc.property(frame, frame, (one, two) => {
    const first = encodeFrame(one), both = joinParts([first, encodeFrame(two)]);
    for (let length = 0; length < both.length; length++) {
      const decoded = decodeFrames(both.slice(0, length));
      if (length === first.length) assertEquals(decoded, { ok: true, frames: [one] });
      else assertEquals(decoded, { ok: false, code: length === 0 ? "EMPTY" : "LENGTH" });
    }
  }));
});

const kinds = { receipt: 2, add: 3, ok: 4, refused: 5, end: 6, skip: 7, ready: 8, last: 9, close: 10 };

/** A frame of raw content; its number is 0 for a receipt, else 1. */
function raw(kind: number, content: readonly number[], number = kind === kinds.receipt ? 0 : 1) {
  const head = [kind, 0, 0, 0, 0, 0, number, 0, 0, 0, 0, 0, 0, 0, 0, 0, content.length];
  return Uint8Array.from([...head, ...content]);
}

function codeOf(plaintext: Uint8Array<ArrayBuffer>): string {
  const decoded = decodeFrames(plaintext);
  return decoded.ok ? "ok" : decoded.code;
}

const n = (number: number) => [0, 0, 0, 0, number >> 8, number & 255];

Deno.test("A frame is kind, number, time, length and content", { permissions }, () => {
  const skip = raw(kinds.skip, [...n(3), ...n(258)], 5);
  assertEquals(encodeFrame({ kind: "skip", from: 3, to: 258, number: 5, time: 0 }), skip);
  const receipt = raw(kinds.receipt, [...n(4), 2, ...n(6), ...n(6), ...n(8), ...n(9), ...n(0), 0]);
  const stored = { upTo: 4, ranges: [[6, 6], [8, 9]] as const }, acknowledged = { upTo: 0, ranges: [] };
  assertEquals(encodeFrame({ kind: "receipt", stored, acknowledged, number: 0, time: 0 }), receipt);
});

Deno.test(
  "Ranges of a receipt that touch, overlap, are out of order or too many refuse it",
  { permissions },
  () => {
    const of = (upTo: number, ...ranges: readonly (readonly [number, number])[]) =>
      codeOf(raw(kinds.receipt, [
        ...[...n(upTo), ranges.length, ...ranges.flatMap(([from, to]) => [...n(from), ...n(to)])],
        ...[...n(0), 0],
      ]));
    assertEquals(of(4, [6, 6], [8, 9]), "ok");
    assertEquals(of(4, [5, 6]), "CONTENT", "touches what all up to 4 is");
    assertEquals(of(4, [3, 6]), "CONTENT");
    assertEquals(of(4, [6, 6], [7, 9]), "CONTENT", "touches");
    assertEquals(of(4, [8, 9], [6, 6]), "CONTENT", "out of order");
    assertEquals(of(4, [6, 9], [8, 12]), "CONTENT", "overlaps");
    assertEquals(of(4, [7, 6]), "CONTENT", "ends before it begins");
    const many = (count: number) =>
      Uint8Array.from([
        ...[kinds.receipt, ...n(0), ...n(0), 0, 0, (14 + 12 * count) >> 8, (14 + 12 * count) & 255],
        ...[
          ...n(0),
          count,
          ...Array.from({ length: count }, (_, i) => [...n(2 * i + 2), ...n(2 * i + 2)]).flat(),
        ],
        ...[...n(0), 0],
      ]);
    assertEquals([codeOf(many(64)), codeOf(many(65))], ["ok", "CONTENT"]);
  },
);

Deno.test("Numbers that frames must have, or must not, are checked", { permissions }, () => {
  assertEquals(codeOf(raw(kinds.close, [], 0)), "NUMBER");
  assertEquals(codeOf(raw(kinds.receipt, [...n(0), 0, ...n(0), 0], 1)), "NUMBER");
  assertEquals(codeOf(raw(99, [1, 2, 3], 0)), "ok", "a kind to come may have none");
});

Deno.test("Contents that their kind cannot have refuse the plaintext", { permissions }, () => {
  const id = Array.from<number>({ length: 8 }).fill(1);
  const bad = [
    raw(1, [...n(0), ...new Uint8Array(32)]),
    raw(1, [...n(1), ...new Uint8Array(31)]),
    raw(kinds.ok, id.slice(1)),
    raw(kinds.ok, [...id, 0]),
    raw(kinds.refused, id),
    raw(kinds.refused, [...id, 0]),
    raw(kinds.end, []),
    raw(kinds.skip, [...n(5), ...n(4)]),
    raw(kinds.skip, [...n(0), ...n(4)]),
    raw(kinds.ready, []),
    raw(kinds.ready, [2, 1]),
    raw(kinds.ready, [1, 1, 2]),
    raw(kinds.last, n(1).slice(1)),
    raw(kinds.close, [0]),
  ];
  for (const plaintext of bad) assertEquals(codeOf(plaintext), "CONTENT", plaintext.toHex());
  const good = joinParts([raw(kinds.ready, [2, 1, 2]), raw(kinds.last, n(0)), raw(kinds.ok, id)]);
  assertEquals(codeOf(good), "ok");
  assertEquals(codeOf(joinParts([good, bad[0]!])), "CONTENT");
});

Deno.test("Flags of route add that nobody knows, and bytes behind it, refuse it", { permissions }, () => {
  const add = encodeFrame({
    kind: "route add",
    route: routeRecord(1),
    replaces: null,
    lost: false,
    number: 1,
    time: 0,
  });
  for (
    const [flags, code] of [[0, "ok"], [1, "CONTENT"], [2, "ok"], [4, "CONTENT"], [128, "CONTENT"]] as const
  ) {
    assertEquals(codeOf(add.with(add.length - 1, flags)), code, `${flags}`);
  }
});

Deno.test("A plaintext has at most 1 000 frames, a message at most 1 MiB", { permissions }, () => {
  const close = raw(kinds.close, []);
  assertEquals(codeOf(joinParts(Array.from({ length: mostFrames }, () => close))), "ok");
  assertEquals(codeOf(joinParts(Array.from({ length: mostFrames + 1 }, () => close))), "FRAMES");
  const message = (length: number): Frame => ({
    kind: "message",
    userNumber: 1,
    previousHash: new Uint8Array(32),
    body: new Uint8Array(length),
    number: 1,
    time: 1,
  });
  const longest = encodeFrame(message(largestBody));
  assertEquals(codeOf(longest), "ok");
  const longer = joinParts([longest, new Uint8Array(1)]);
  new DataView(longer.buffer).setUint32(13, largestBody + 1 + 38);
  assertEquals(codeOf(longer), "CONTENT");
  assertThrows(() => encodeFrame(message(largestBody + 1)), RangeError);
});

Deno.test("What would be refused is not encoded", { permissions }, () => {
  const head = { number: 1, time: 0 };
  const set = { upTo: 1, ranges: [] };
  const wrong: Frame[] = [
    { kind: "close", number: 0, time: 0 },
    { kind: "digest", digest: new Uint8Array(16), number: 1, time: 0 },
    { kind: "digest", digest: new Uint8Array(15), number: 0, time: 0 },
    { kind: "close", number: 2 ** 48, time: 0 },
    { kind: "close", number: 1, time: -1 },
    { kind: "receipt", stored: set, acknowledged: set, ...head },
    { kind: "receipt", stored: set, acknowledged: { upTo: 1, ranges: [[2, 3]] }, number: 0, time: 0 },
    { kind: "skip", from: 2, to: 1, ...head },
    { kind: "route ok", routeId: new Uint8Array(7), ...head },
    { kind: "route refused", routeId: new Uint8Array(8), reason: 256, ...head },
    { kind: "ready", kinds: [256], ...head },
    { kind: "unknown", kindNumber: 1, content: new Uint8Array(0), ...head },
    { kind: "unknown", kindNumber: 256, content: new Uint8Array(0), ...head },
  ];
  for (const frame of wrong) assertThrows(() => encodeFrame(frame), RangeError);
});

Deno.test("A message's hash is over number, hash before, time and body", { permissions }, async () => {
  const message = {
    userNumber: 258,
    previousHash: new Uint8Array(32).fill(9),
    time: 0x01_02_03_04_05_06,
    body: new Uint8Array(5).fill(4),
  };
  const bytes = Uint8Array.of(0, 0, 0, 0, 1, 2, ...message.previousHash, 1, 2, 3, 4, 5, 6, ...message.body);
  assertEquals((await messageHash(message)).toHex(), createHash("sha256").update(bytes).digest("hex"));
});

Deno.test("Any bytes are frames or refused, and frames are encoded as they came", { permissions }, () => {
  const changes = fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { maxLength: 4 });
  fc.assert(
    fc.property(
      fc.oneof(frame.map(encodeFrame), fc.uint8Array({ maxLength: 80 })),
      changes,
      (bytes, changes) => {
        const changed = Uint8Array.from(bytes);
        for (const [at, byte] of changes) if (changed.length > 0) changed[at % changed.length] = byte;
        const decoded = decodeFrames(changed);
        if (decoded.ok) assertEquals(joinParts(decoded.frames.map(encodeFrame)), changed);
        else assert(/^[A-Z]+$/.test(decoded.code));
      },
    ),
    { numRuns: 2000 },
  );
});
