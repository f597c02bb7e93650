import { assertEquals } from "@std/assert";
import { Reading } from "../../../agent/stream/reading.ts";
import type { StreamPorts } from "../../../agent/stream/ports.ts";
import { Way } from "../../../agent/stream/way.ts";
import type { StreamRecord } from "../../../agent/store/store.ts";
import {
  deferred,
  randomBytes,
  runKeyOf,
  sealChunk,
  type ServerAddress,
  type StreamRunContent,
} from "../../../protocol/mod.ts";
import { soon } from "../../support/wait.ts";

const blockSize = 4096, hour = 3_600_000;

/** What makes ways is `make`, until it is disposed of. */
function waysBy(make: typeof Way.make): Disposable {
  const own = Way.make;
  Way.make = make;
  return { [Symbol.dispose]: () => void (Way.make = own) };
}

/** The steady clock is ahead by so much until it is disposed of. */
function later(milliseconds: number): Disposable {
  const { now } = performance;
  performance.now = () => now.call(performance) + milliseconds;
  return { [Symbol.dispose]: () => void (performance.now = now) };
}

Deno.test("what a sender asks for while another way is made is what it gets: no more ways are made for it", {
  permissions: "none",
}, async () => {
  const streamId = randomBytes(16), key = randomBytes(32), run = randomBytes(16);
  const content: StreamRunContent = { kind: "stream run", streamId, run, offset: 0, chunkSize: 1 };
  const keys = { run, key: await runKeyOf(key, run), chunkSize: 1 };
  const packet = await sealChunk(new Uint8Array(1), keys, { number: 1, isLast: false, blockSize });
  const server: ServerAddress = { host: "localhost", port: 5223 };
  const context = { ownServers: () => [server], routes: 1, retry: { first: hour, most: hour } };
  const told = deferred<void>();
  let resumed = 0;
  const ports = {
    context,
    connection: () => undefined,
    record: () => ({ status: "accepted" }),
    tell() {
      if (++resumed === 1) reading.announced(content);
      else told.resolve();
      return Promise.resolve();
    },
  } as unknown as StreamPorts;
  let made = 0;
  const way = (number: number) => ({
    record: { blockSize },
    async *packets(signal: AbortSignal) {
      if (number === 1) yield packet.slice(1);
      else await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
    advanced() {},
    delete: () => Promise.resolve(),
  });
  using _ways = waysBy(async () => {
    const number = ++made;
    // Whoever waits for its turn has it.
    await new Promise((resolve) => setTimeout(resolve));
    if (number > 1) {
      using _clock = later(hour);
      reading.asked();
    }
    if (number > 20) told.resolve();
    return way(number) as unknown as Way;
  });
  const record = { id: "00".repeat(16), key, size: null } as StreamRecord;
  const reading: Reading = new Reading(record, ports, 0);
  assertEquals((await soon(reading.read()))?.length, 1);
  await soon(told.promise);
  assertEquals([made, resumed], [2, 2]);
  await reading.stop(null);
});
