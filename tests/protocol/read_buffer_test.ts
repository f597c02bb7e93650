import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ReadAhead, ReadBuffer } from "../../protocol/transport/read_buffer.ts";
import { tcpChannel } from "../../protocol/transport/tcp_channel.ts";

const size = 4096;
const [small, large] = [size + 1, 16 * size + 1];

/** Takes all units that are there. */
function takeAll(buffer: ReadBuffer): void {
  while (buffer.length >= size) buffer.take(size);
}

/** Reads as much as there is room for, or as much as waits; gives how much room there was. */
function read(buffer: ReadBuffer, waiting: number = Infinity): number {
  const left = buffer.length;
  const { length } = buffer.space(size);
  buffer.filled(Math.min(waiting, length), size);
  takeAll(buffer);
  return left + length;
}

Deno.test("What waits in a socket is read many units at a time", { permissions: "none" }, () => {
  const buffer = new ReadBuffer(new ReadAhead(1));
  assertEquals([1, 2, 3].map(() => read(buffer)), [small, large, large]);
});

Deno.test("A connection that waits for more has room for one unit, whatever came before", {
  permissions: "none",
}, () => {
  const buffer = new ReadBuffer(new ReadAhead(1));
  for (const units of [1, 1, 1, 2, 16, 5, 1, 40, 1]) {
    let left = units * size;
    while (left > 0) {
      const before = buffer.length;
      const room = buffer.space(size).length;
      const count = Math.min(room, left);
      assert(before < size);
      buffer.filled(count, size);
      takeAll(buffer);
      left -= count;
    }
    assertEquals([buffer.length, buffer.readsAhead(size), buffer.space(size).length], [0, false, small]);
  }
});

Deno.test(
  "No more channels than allowed read ahead, and those that end make room",
  { permissions: "none" },
  () => {
    const readAhead = new ReadAhead(2);
    const buffers = Array.from({ length: 3 }, () => new ReadBuffer(readAhead));
    for (const buffer of buffers) read(buffer);
    assertEquals(buffers.map((buffer) => read(buffer)), [large, large, small]);
    buffers[0]!.release();
    buffers[0]!.release();
    assertEquals([buffers[1]!, buffers[2]!].map((buffer) => read(buffer)), [large, large]);
  },
);

Deno.test("Units are the same in whatever pieces they come, and stay while more is read ahead", {
  permissions: "none",
}, () => {
  const bytes = Uint8Array.from({ length: 64 * size }, (_, i) => (i >> 8) ^ i);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1 }), (pieces) => {
      const buffer = new ReadBuffer(new ReadAhead(1));
      let [at, taken] = [0, 0];
      const fill = () => {
        const space = buffer.space(size);
        const piece = bytes.subarray(at, at + Math.min(pieces[at % pieces.length]!, space.length));
        space.set(piece);
        buffer.filled(piece.length, size);
        at += piece.length;
      };
      while (taken < bytes.length) {
        while (buffer.length < size) fill();
        const unit = buffer.take(size);
        if (buffer.length < size && at < bytes.length && buffer.readsAhead(size)) fill();
        assertEquals(unit, bytes.subarray(taken, taken + size));
        taken += size;
      }
    }),
    { numRuns: 30 },
  );
});

Deno.test("A channel that is closed as bytes come leaves its place to others", {
  permissions: "none",
}, async () => {
  const readAhead = new ReadAhead(1);
  const arriving = Promise.withResolvers<void>();
  const channel = tcpChannel({
    async read(buffer) {
      await arriving.promise;
      return buffer.length;
    },
    write: ({ length }) => Promise.resolve(length),
    closeWrite: () => Promise.resolve(),
    close() {},
    setNoDelay() {},
  }, readAhead);
  const reading = channel.read(size);
  arriving.resolve();
  const closing = Promise.resolve().then(() => channel.close());
  await Promise.allSettled([reading, closing]);
  assert(readAhead.take());
});
