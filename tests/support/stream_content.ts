import fc from "fast-check";
import { largestChunk, type StreamContent } from "../../protocol/mod.ts";
import { routeRecord } from "./route_record.ts";
import { anyText } from "./any_text.ts";

const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const exactly = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const streamId = exactly(16), window = fc.integer({ min: 1, max: 128 });
const routes = fc.array(fc.integer({ min: 1, max: 255 }).map((fill) => routeRecord(fill)), {
  minLength: 1,
  maxLength: 4,
});
const name = anyText({ maxLength: 63 });
const reason = fc.integer({ min: 1, max: 255 });

/** Any content of a stream's frame. */
export const streamContent: fc.Arbitrary<StreamContent> = fc.oneof(
  fc.record({
    kind: fc.constant("stream offer" as const),
    streamId,
    key: exactly(32),
    name,
    mediaType: fc.string({ unit: "grapheme-ascii", maxLength: 127 }),
    size: fc.option(u48),
    sha256: fc.option(exactly(32)),
  }),
  fc.record({ kind: fc.constant("stream accept" as const), streamId, offset: u48, window, routes }),
  fc.record({ kind: fc.constant("stream resume" as const), streamId, offset: u48, window, routes }),
  fc.record({
    kind: fc.constant("stream resume" as const),
    streamId,
    offset: fc.constant(0),
    window: fc.constant(0),
    routes: fc.constant([]),
  }),
  fc.record({ kind: fc.constant("stream refuse" as const), streamId, reason, text: name }),
  fc.record({
    kind: fc.constant("stream run" as const),
    streamId,
    run: exactly(16),
    offset: u48,
    chunkSize: fc.integer({ min: 1, max: largestChunk(65_536) }),
  }),
  fc.record({
    kind: fc.constant("stream close" as const),
    streamId,
    from: fc.constantFrom("sender" as const, "receiver" as const),
    reason,
    total: u48,
    text: name,
  }),
);

const id = new Uint8Array(16).fill(1), key = new Uint8Array(32).fill(2);

/** One content of each kind. */
export const streamContents: readonly StreamContent[] = [
  { kind: "stream offer", streamId: id, key, name: "ä.txt", mediaType: "text/plain", size: 5, sha256: key },
  { kind: "stream accept", streamId: id, offset: 0, window: 32, routes: [routeRecord(2)] },
  { kind: "stream refuse", streamId: id, reason: 1, text: "no" },
  { kind: "stream run", streamId: id, run: id, offset: 7, chunkSize: 65_016 },
  { kind: "stream close", streamId: id, from: "receiver", reason: 0, total: 9, text: "" },
  { kind: "stream resume", streamId: id, offset: 7, window: 32, routes: [routeRecord(3)] },
  { kind: "stream resume", streamId: id, offset: 0, window: 0, routes: [] },
];
