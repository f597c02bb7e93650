import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
// @ts-types="../peers/session.d.mts"
import {
  addPiece,
  encodeFrame,
  type Frame,
  type Kit,
  openPacket,
  packetSize,
  packetsOf,
  parseFrames,
  parsePacket,
  type Piece,
  type Progress,
  type Reassembly,
  type Route,
  sealPacket,
  startReassembly,
} from "../peers/session.mjs";
import { blockSizes } from "../../protocol/mod.ts";
import { independentMlKem } from "../support/independent_ml_kem.ts";
import { base64 } from "../support/vectors.ts";
import vectors from "../vectors/ratchet.json" with { type: "json" };

// Packets, pieces and frames of the independent peer (tests/peers/session.mjs) against itself.

const permissions = "none";
const kit: Kit = {
  mlKem: independentMlKem,
  random: (length) => {
    // WebCrypto gives 64 KiB at once at most.
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
    return bytes;
  },
};

const { route: routeText } = vectors.routes.right[0]!;
const route: Route = {
  ...routeText,
  id: base64(routeText.id),
  senderId: base64(routeText.senderId),
  p: base64(routeText.p),
  q: base64(routeText.q),
  key: base64(routeText.key),
};

function pieceOf(packet: Uint8Array, blockSize: number): Piece {
  const piece = parsePacket(packet, blockSize);
  assert(piece.refused === undefined && piece.message === undefined);
  return piece;
}

const plain = (bytes: Uint8Array | null) => bytes === null ? null : new Uint8Array(bytes);

Deno.test(
  "an independent peer gets every message out of its packets, whatever their order and repetitions",
  { permissions },
  () => {
    const order = fc.array(fc.nat(), { maxLength: 30, size: "max" });
    const length = fc.oneof(
      fc.integer({ min: 1, max: 9000 }),
      fc.integer({ min: 3580, max: 3640 }),
      fc.integer({ min: 65_000, max: 140_000 }),
    );
    fc.assert(fc.property(fc.constantFrom(...blockSizes), length, order, (blockSize, length, order) => {
      const message = kit.random(length);
      const there = { ...route, blockSize };
      const packets = packetsOf(message, blockSize).map((packet) => {
        const body = sealPacket(kit, there, packet);
        assertEquals(body.length, blockSize - 448);
        const opened = openPacket(there, body);
        assert(opened.refused === undefined);
        return opened.packet;
      });
      if (length <= packetSize(blockSize) - 3) {
        assertEquals(packets.length, 1);
        const parsed = parsePacket(packets[0]!, blockSize);
        assert("message" in parsed && parsed.message !== undefined);
        return assertEquals(plain(parsed.message), message);
      }
      const pieces = packets.map((packet) => pieceOf(packet, blockSize));
      let state = startReassembly();
      const missing = new Set(pieces);
      const give = (piece: Piece) => {
        const added = addPiece(state, { routeId: route.id, piece, now: 0 });
        assert(added.refused === undefined);
        state = added.state;
        missing.delete(piece);
        assertEquals(plain(added.message), missing.size === 0 ? message : null);
        assertEquals(added.dropped, []);
        if (missing.size === 0) { for (const piece of pieces) missing.add(piece); }
      };
      for (const at of order) give(pieces[at % pieces.length]!);
      for (const piece of [...missing]) give(piece);
      assertEquals(state.unfinished, []);
    }));
  },
);

Deno.test("an independent peer drops what is unfinished beyond its limits, the oldest first, and tells", {
  permissions,
}, () => {
  const limits = { bytes: 4 * packetSize(4096), unfinished: 3, age: 100 };
  const start = Array.from({ length: 5 }, () => packetsOf(kit.random(20_000), 4096));
  const give = (state: Reassembly, message: number, index: number, now: number) => {
    const piece = pieceOf(start[message]![index]!, 4096);
    const added = addPiece(state, { routeId: route.id, piece, now });
    assert(added.refused === undefined);
    const names = added.dropped.map(({ tag, reason }) => {
      const of = start.findIndex(([packet]) => packet!.slice(1, 17).join() === new Uint8Array(tag).join());
      return `${of} ${reason}`;
    });
    return [added.state, names] as const;
  };
  let state = startReassembly(limits);
  let dropped: readonly string[] = [];
  for (const message of [0, 1, 2]) {
    [state, dropped] = give(state, message, 0, message);
    assertEquals(dropped, []);
  }
  [state, dropped] = give(state, 3, 0, 3);
  assertEquals(dropped, ["0 unfinished"]);
  [state, dropped] = give(state, 3, 1, 4);
  assertEquals(dropped, []);
  [state, dropped] = give(state, 3, 2, 5);
  assertEquals(dropped, ["1 bytes"]);
  [state, dropped] = give(state, 3, 2, 102);
  assertEquals(dropped, []);
  [state, dropped] = give(state, 3, 2, 103);
  assertEquals(dropped, ["2 age"]);
  [state, dropped] = give(state, 4, 0, 104);
  assertEquals(dropped, ["3 age"]);
});

const u48 = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 48 - 1 }));
const routeId = fc.uint8Array({ minLength: 8, maxLength: 8 });
const progress: fc.Arbitrary<Progress> = fc.tuple(
  fc.nat(1000),
  fc.array(fc.tuple(fc.integer({ min: 2, max: 9 }), fc.nat(9)), { maxLength: 64, size: "max" }),
).map(([upTo, steps]) => {
  let end = upTo;
  const ranges = steps.map(([gap, length]) => {
    const from = end + gap;
    end = from + length;
    return { from, to: end };
  });
  return { upTo, ranges };
});
const common = { number: u48, time: fc.nat({ max: 2 ** 48 - 1 }) };
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({
    kind: fc.constant("message"),
    ...common,
    userNumber: u48,
    previousHash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    body: fc.uint8Array({ maxLength: 500 }),
  }),
  fc.record({
    kind: fc.constant("receipt"),
    ...common,
    number: fc.constant(0),
    stored: progress,
    acknowledged: progress,
  }),
  fc.record({
    kind: fc.constant("routeAdd"),
    ...common,
    route: fc.constant(route),
    replaces: fc.option(routeId),
    isLost: fc.boolean(),
  }),
  fc.record({ kind: fc.constantFrom("routeOk", "routeEnd"), ...common, routeId }),
  fc.record({
    kind: fc.constant("routeRefused"),
    ...common,
    routeId,
    reason: fc.integer({ min: 1, max: 255 }),
  }),
  fc.tuple(u48, u48).chain(([one, other]) =>
    fc.record({
      kind: fc.constant("skip"),
      ...common,
      from: fc.constant(Math.min(one, other)),
      to: fc.constant(Math.max(one, other)),
    })
  ),
  fc.record({
    kind: fc.constant("ready"),
    ...common,
    kinds: fc.array(fc.nat(255), { maxLength: 255, size: "max" }),
  }),
  fc.record({ kind: fc.constant("last"), ...common, userNumber: u48 }),
  fc.record({ kind: fc.constant("close"), ...common }),
  fc.record({
    kind: fc.constant("digest"),
    ...common,
    number: fc.constant(0),
    digest: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  }),
  fc.record({
    kind: fc.constant("unknown"),
    ...common,
    code: fc.integer({ min: 18, max: 255 }),
    content: fc.uint8Array({ maxLength: 100 }),
  }),
);

/** A value whose bytes are all Uint8Arrays. */
function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return value.map(comparable);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, comparable(field)]));
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

Deno.test("an independent peer reads back the frames that it has written, and refuses them when cut", {
  permissions,
}, () => {
  fc.assert(fc.property(fc.array(frame, { minLength: 1, maxLength: 4 }), fc.nat(), (frames, cut) => {
    const parts = frames.map(encodeFrame);
    const bytes = joined(parts);
    const parsed = parseFrames(bytes);
    assert(parsed.refused === undefined, parsed.refused);
    assertEquals(comparable(parsed.frames), comparable(frames));
    const last = parts.at(-1)!.length;
    const missing = 1 + cut % (frames.length > 1 ? last - 1 : last);
    assertEquals(parseFrames(bytes.subarray(0, bytes.length - missing)), { refused: "length" });
  }));
});
