// The vectors of sessions (make_ratchet_vectors.mjs): frames.

import { Buffer } from "node:buffer";
import { base64, flipped, inBase64, replaced } from "./ratchet_vectors_kit.mjs";
import { expectRefused, hostileEntry } from "./ratchet_vectors_upgrade.mjs";
import { encodeFrame, encodeRoute, FRAMES_LIMIT, hashOfMessage, parseFrames } from "./session.mjs";

const time = Date.UTC(2026, 0, 1);
const CONTENT_AT = 17;
const GREATEST = 2 ** 48 - 1;

export function makeFrames(route) {
  const routeId = Buffer.from("0102030405060708", "hex");
  const hash = Buffer.alloc(32, 7);
  const message = {
    kind: "message",
    number: 7,
    time,
    userNumber: 5,
    previousHash: hash,
    body: Buffer.from("hello"),
  };
  const ranges = [{ from: 12, to: 12 }, { from: 14, to: 20 }];
  const frames = [
    message,
    { ...message, number: 1, userNumber: 1, previousHash: Buffer.alloc(32), body: Buffer.alloc(0) },
    { ...message, number: GREATEST, time: GREATEST, userNumber: GREATEST },
    {
      kind: "receipt",
      number: 0,
      time,
      stored: { upTo: 0, ranges: [] },
      acknowledged: { upTo: 0, ranges: [] },
    },
    {
      kind: "receipt",
      number: 0,
      time,
      stored: { upTo: 10, ranges },
      acknowledged: { upTo: 4, ranges: [ranges[0]] },
    },
    { kind: "routeAdd", number: 8, time, route, replaces: null, isLost: false },
    { kind: "routeAdd", number: 9, time, route, replaces: routeId, isLost: true },
    { kind: "routeOk", number: 10, time, routeId },
    ...[1, 2, 3, 4].map((reason) => ({ kind: "routeRefused", number: 10 + reason, time, routeId, reason })),
    ...[5, 255].map((reason) => ({ kind: "routeRefused", number: 20 + reason, time, routeId, reason })),
    { kind: "routeEnd", number: 15, time, routeId },
    { kind: "skip", number: 16, time, from: 3, to: 3 },
    { kind: "ready", number: 17, time, kinds: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] },
    { kind: "last", number: 18, time, userNumber: 42 },
    { kind: "close", number: 19, time },
    { kind: "digest", number: 0, time, digest: Buffer.from("00112233445566778899aabbccddeeff", "hex") },
    { kind: "unknown", code: 200, number: 20, time, content: Buffer.from("later") },
    { kind: "unknown", code: 0, number: 0, time, content: Buffer.alloc(0) },
  ];
  const right = frames.map((frame) => {
    const bytes = encodeFrame(frame);
    const parsed = parseFrames(bytes);
    if (parsed.refused !== undefined) throw new Error(`${frame.kind}: ${parsed.refused}`);
    const back = JSON.stringify(inBase64(parsed.frames));
    const expected = JSON.stringify(inBase64([sorted(frame, parsed.frames[0])]));
    if (back !== expected) throw new Error(`${back} instead of ${expected}`);
    const hash = frame.kind === "message" ? { hash: base64(hashOfMessage(frame)) } : {};
    return { frame: inBase64(frame), bytes: base64(bytes), ...hash };
  });
  const several = Buffer.concat(frames.map(encodeFrame));
  if (parseFrames(several).frames.length !== frames.length) throw new Error("several frames");
  return {
    right,
    several: base64(several),
    repeated: repeatedFrames(),
    hostile: hostileFrames({ route, routeId, message }),
  };
}

/** One frame many times: as often as may be, and once more. */
function repeatedFrames() {
  const frame = encodeFrame({ kind: "close", number: 1, time });
  const of = (count) => parseFrames(Buffer.concat(Array.from({ length: count }, () => frame)));
  const { frames } = of(FRAMES_LIMIT);
  if (frames.length !== FRAMES_LIMIT) throw new Error("the most frames");
  expectRefused("a frame too many", of(FRAMES_LIMIT + 1), "frames");
  return { frame: base64(frame), most: FRAMES_LIMIT, refused: "frames" };
}

/** A frame with its fields in the order of another. */
function sorted(frame, like) {
  return Object.fromEntries(Object.keys(like).map((name) => [name, frame[name]]));
}

function hostileFrames({ route, routeId, message }) {
  const common = { number: 1, time };
  const raw = (code, content, number = 1) => encodeFrame({ kind: "unknown", code, number, time, content });
  const range = (...numbers) => numbers.flatMap((number) => [0, 0, 0, 0, 0, number]);
  const nothing = [...range(0), 0];
  const receipt = (...content) => raw(2, Buffer.from(content), 0);
  const right = encodeFrame(message);
  const refused = [
    ["no frame", Buffer.alloc(0), "length"],
    ["a cut head", right.subarray(0, CONTENT_AT - 1), "length"],
    ["a cut content", right.subarray(0, -1), "length"],
    ["a right frame and half of one", Buffer.concat([right, right.subarray(0, 10)]), "length"],
    ["a length beyond the plaintext", replaced(right, 13, [0xff, 0xff, 0xff, 0xff]), "length"],
    [
      "a message without a whole hash",
      raw(1, Buffer.concat([Buffer.alloc(5), Buffer.of(1), Buffer.alloc(31)])),
      "length",
    ],
    ["a message with number 0", encodeFrame({ ...message, number: 0 }), "number", "silent"],
    ["a message with user number 0", encodeFrame({ ...message, userNumber: 0 }), "number", "silent"],
    ["a receipt with a number", raw(2, Buffer.from([...nothing, ...nothing])), "number", "silent"],
    ["a receipt with one value", receipt(...nothing), "length"],
    ["a receipt with a byte behind", receipt(...nothing, ...nothing, 0), "length"],
    ["a range that ends before it begins", receipt(...range(1), 1, ...range(5, 4), ...nothing), "ranges"],
    ["ranges that descend", receipt(...range(1), 2, ...range(7, 8, 4, 5), ...nothing), "ranges"],
    ["ranges that overlap", receipt(...range(1), 2, ...range(4, 6, 6, 8), ...nothing), "ranges"],
    ["ranges that touch", receipt(...range(1), 2, ...range(4, 6, 7, 8), ...nothing), "ranges"],
    ["a range not beyond", receipt(...range(9), 1, ...range(4, 12), ...nothing), "ranges"],
    [
      "a range that touches what is stored",
      receipt(...range(9), 1, ...range(10, 12), ...nothing),
      "ranges",
      "silent",
    ],
    ["65 ranges", receipt(...nothing.slice(0, -1), 65, ...range(...numbers(65)), ...nothing), "ranges"],
    [
      "65 ranges acknowledged",
      receipt(...nothing, ...nothing.slice(0, -1), 65, ...range(...numbers(65))),
      "ranges",
    ],
    ["a route with flag 4", raw(3, Buffer.concat([encodeRoute(route), Buffer.of(4)])), "flags", "silent"],
    ["a route that replaces nothing", raw(3, Buffer.concat([encodeRoute(route), Buffer.of(1)])), "length"],
    ["a route with a byte behind", raw(3, Buffer.concat([encodeRoute(route), Buffer.of(0, 0)])), "length"],
    [
      "a route with an even prime",
      raw(3, Buffer.concat([flipped(encodeRoute(route), -37 + encodeRoute(route).length), Buffer.of(0)])),
      "sender key",
    ],
    ["a route ID of 7 bytes", raw(4, routeId.subarray(1)), "length"],
    ["a route ID of 9 bytes", raw(6, Buffer.concat([routeId, Buffer.of(0)])), "length"],
    ["reason 0", raw(5, Buffer.concat([routeId, Buffer.of(0)])), "reason", "silent"],
    ["a skip that ends before it begins", encodeFrame({ kind: "skip", ...common, from: 4, to: 3 }), "range"],
    ["a skip from 0", encodeFrame({ kind: "skip", ...common, from: 0, to: 3 }), "number", "silent"],
    ["ready with fewer kinds than it says", raw(8, Buffer.of(3, 1, 2)), "length"],
    ["ready with more kinds than it says", raw(8, Buffer.of(1, 1, 2)), "length"],
    ["last with 5 bytes", raw(9, Buffer.alloc(5)), "length"],
    ["close with content", raw(10, Buffer.of(0)), "length"],
    ["a digest with a number", raw(17, Buffer.alloc(16)), "number"],
    ["a digest of 15 bytes", raw(17, Buffer.alloc(15), 0), "length"],
    ["a digest of 17 bytes", raw(17, Buffer.alloc(17), 0), "length"],
  ];
  for (const [name, bytes, reason] of refused) expectRefused(name, parseFrames(bytes), reason);
  return refused.map(hostileEntry);
}

/** The ends of single numbers that do not touch. */
function numbers(count) {
  return Array.from({ length: count }, (_, index) => [2 * index + 2, 2 * index + 2]).flat();
}
