import { assertEquals } from "@std/assert";
import { OrderedFrames } from "../../../agent/runtime/ordered_frames.ts";
import { MemoryStore } from "../../../agent/store/memory.ts";
import type { Connection } from "../../../agent/store/store.ts";
import { type Frame, largestBody } from "../../../protocol/mod.ts";

Deno.test("a frame of a kind to come that is larger than a message does not wait for others", {
  permissions: "none",
}, async () => {
  await using store = new MemoryStore();
  const connection = { record: { id: "a" }, session: { stored: { upTo: 3, ranges: [] } }, outbound: [] };
  const frames = new OrderedFrames({ store, allowUnverified: false }, connection as unknown as Connection, {
    now: 0,
    changes: [],
  });
  const ofKind = (number: number, length: number): Frame => (
    { kind: "unknown", kindNumber: 200, number, time: 0, content: new Uint8Array(length) }
  );
  const numbers = (...given: Frame[]) => frames.withFrames(given);
  assertEquals(numbers(ofKind(5, largestBody + 1)), null);
  assertEquals(numbers(ofKind(5, largestBody)), { upTo: 3, ranges: [[5, 5]] });
  assertEquals(numbers(ofKind(4, largestBody + 1)), { upTo: 4, ranges: [] });
  assertEquals(numbers(ofKind(5, largestBody + 1), ofKind(4, 1)), { upTo: 5, ranges: [] });
});
