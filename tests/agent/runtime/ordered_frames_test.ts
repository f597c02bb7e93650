import { assertEquals } from "@std/assert";
import { OrderedFrames } from "../../../agent/runtime/ordered_frames.ts";
import { MemoryStore } from "../../../agent/store/memory.ts";
import type { AgentStore, Connection } from "../../../agent/store/store.ts";
import { encodeFrame, type Frame, largestBody } from "../../../protocol/mod.ts";

/** The frames of a side of which all up to 3 have come, and some after that. */
function framesOf(store: AgentStore, ranges: readonly (readonly [number, number])[] = []): OrderedFrames {
  const connection = { record: { id: "a" }, session: { stored: { upTo: 3, ranges } }, outbound: [] };
  return new OrderedFrames({ store, allowUnverified: false }, connection as unknown as Connection, {
    now: 0,
    changes: [],
  });
}

function ofKind(number: number, length: number): Frame {
  return { kind: "unknown", kindNumber: 200, number, time: 0, content: new Uint8Array(length) };
}

Deno.test("a frame of a kind to come that is larger than a message does not wait for others", {
  permissions: "none",
}, async () => {
  await using store = new MemoryStore();
  const frames = framesOf(store);
  const numbers = (...given: Frame[]) => frames.withFrames(given);
  assertEquals(numbers(ofKind(5, largestBody + 1)), null);
  assertEquals(numbers(ofKind(5, largestBody)), { upTo: 3, ranges: [[5, 5]] });
  assertEquals(numbers(ofKind(4, largestBody + 1)), { upTo: 4, ranges: [] });
  assertEquals(numbers(ofKind(5, largestBody + 1), ofKind(4, 1)), { upTo: 5, ranges: [] });
});

Deno.test(
  "a frame that is held is read once for all that come with its number",
  { permissions: "none" },
  async () => {
    await using store = new MemoryStore();
    let reads = 0;
    store.held = (connection, number) => {
      reads++;
      const frame = encodeFrame(ofKind(number, largestBody));
      return Promise.resolve({ connection, number, frame, serverId: "", serverAt: 0 });
    };
    const frames = framesOf(store, [[5, 5]]);
    const again = Array.from({ length: 100 }, () => ofKind(5, 1));
    await frames.take(again, { serverId: "", serverAt: 0 }, frames.withFrames(again)!);
    assertEquals([reads, frames.isOther], [1, true]);
  },
);
