import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { DataReader } from "../../../agent/service/data_reader.ts";
import { largestData } from "../../../agent/service/stream_command.ts";
import { someBytes } from "../../support/streams.ts";

const parts = fc.array(fc.integer({ min: 1, max: 150_000 }), { maxLength: 8 });

/** Reads parts of a stream with these lengths as data; `isFull[i]`: whether the end was asked for before data i came. */
async function read(lengths: readonly number[], isSized: boolean) {
  const all = someBytes(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0, next = 0, isEnded = false;
  const readable = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      const length = lengths[next++];
      if (length !== undefined) return controller.enqueue(all.slice(at, at += length));
      isEnded = true;
      controller.close();
    },
  }, { highWaterMark: 0 });
  const reader = new DataReader(readable, isSized ? all.length : null);
  const data: Uint8Array[] = [];
  for (let one; (one = await reader.next()) !== null;) {
    // What is told as received was given before.
    assert(!isEnded);
    data.push(one.slice());
  }
  assert(isEnded);
  assertEquals(await new Blob(data as BlobPart[]).bytes(), all);
  return data.map(({ length }) => length);
}

Deno.test("of a stream with a size all data but the last is of one length", async () => {
  await fc.assert(
    fc.asyncProperty(parts, async (lengths) => {
      const data = await read(lengths, true);
      assert(data.slice(0, -1).every((length) => length === largestData));
      assert(data.every((length) => length > 0 && length <= largestData));
    }),
    { numRuns: 30 },
  );
});

Deno.test("of a stream without one data comes as it was put, or in more than one where it is too large", async () => {
  await fc.assert(
    fc.asyncProperty(parts, async (lengths) => {
      const expected = lengths.flatMap((length) => [
        ...Array.from({ length: Math.floor(length / largestData) }, () => largestData),
        ...(length % largestData > 0 ? [length % largestData] : []),
      ]);
      assertEquals(await read(lengths, false), expected);
    }),
    { numRuns: 30 },
  );
});
