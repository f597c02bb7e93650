import { assert, assertEquals, assertRejects } from "@std/assert";
import { deadline } from "@std/async/deadline";
import { StreamError } from "../../../agent/mod.ts";
import { type Chunk, Chunks } from "../../../agent/stream/chunks.ts";
import { decodePacket, randomBytes, runKeyOf, sealChunk, sealCredit } from "../../../protocol/mod.ts";

const permissions = "none";
const blockSize = 4096, window = 4, streamKey = randomBytes(32);

/** A sender that sends whatever it likes, and who receives it; chunks have up to 10 bytes. */
async function newSender(
  { size = null as number | null, offset = 0, isAnnounced = true, keyOf = runKeyOf } = {},
) {
  const run = randomBytes(16), chunkSize = 10;
  const keys = { run, key: await runKeyOf(streamKey, run), chunkSize };
  const chunks = new Chunks({ streamKey, offset, window, size, blockSize, keyOf });
  const abort = new AbortController();
  const announce = (change = {}) =>
    chunks.announce({ kind: "stream run", streamId: randomBytes(16), run, offset, chunkSize, ...change });
  if (isAnnounced) await announce();
  const packet = async (number: number, length = 10, isLast = false) => {
    const sealed = await sealChunk(new Uint8Array(length), keys, { number, isLast, blockSize });
    const decoded = decodePacket(sealed);
    assert(decoded.ok && decoded.packet.type === "stream chunk");
    return decoded.packet.content;
  };
  const take = (content: Uint8Array<ArrayBuffer>) => chunks.take(content, abort.signal);
  const send = async (number: number, length = 10, isLast = false) =>
    await take(await packet(number, length, isLast));
  return { chunks, keys, announce, abort, packet, take, send };
}

const numbersOf = (chunks: readonly Chunk[]) => chunks.map(({ number }) => number);

async function refused(promise: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => promise, StreamError)).code;
}

Deno.test(
  "chunks come in their order, whatever order they were sent in, and each once",
  { permissions },
  async () => {
    const { send, chunks } = await newSender();
    assertEquals(numbersOf(await send(2)), []);
    assertEquals([chunks.hasGap, chunks.received], [true, 0]);
    assertEquals(numbersOf(await send(2)), []);
    assertEquals(numbersOf(await send(1)), [1, 2]);
    assertEquals(numbersOf(await send(1)), []);
    assertEquals(numbersOf(await send(4)), []);
    assertEquals(numbersOf(await send(3, 3)), [3, 4]);
    assertEquals([chunks.hasGap, chunks.received], [false, 33]);
  },
);

Deno.test(
  "a chunk that comes by two routes at once is one chunk, also the last",
  { permissions },
  async () => {
    const { packet, take, chunks } = await newSender({ size: 20 });
    const both = async (number: number, isLast: boolean) => {
      const content = await packet(number, 10, isLast);
      return (await Promise.all([take(content), take(content.slice())])).flat();
    };
    assertEquals(numbersOf(await both(1, false)), [1]);
    assertEquals([chunks.hasGap, chunks.received], [false, 10]);
    assertEquals(numbersOf(await both(2, true)), [2]);
    assertEquals([chunks.hasGap, chunks.received, chunks.isComplete], [false, 20, true]);
  },
);

Deno.test("of two runs that are announced at once the later one counts, whichever key is ready first", {
  permissions,
}, async () => {
  const { promise: slow, resolve: hurry } = Promise.withResolvers<void>();
  let made = 0;
  const keyOf: typeof runKeyOf = async (...given) => {
    if (made++ === 0) await slow;
    return await runKeyOf(...given);
  };
  const { take, packet, announce } = await newSender({ isAnnounced: false, keyOf });
  const first = announce({ run: randomBytes(16) });
  await announce();
  hurry();
  await first;
  assertEquals(numbersOf(await deadline(take(await packet(1)), 5_000)), [1]);
});

Deno.test("no more than the window may come before some is taken", { permissions }, async () => {
  const { send, chunks } = await newSender();
  assertEquals(await refused(send(5)), "PROTOCOL");
  for (let number = 1; number <= 4; number++) await send(number);
  assertEquals(await refused(send(5)), "PROTOCOL");
  chunks.taken(1);
  assertEquals(numbersOf(await send(5)), [5]);
  assertEquals(await refused(send(2 ** 48 - 1)), "PROTOCOL");
});

Deno.test("a stream has exactly as many bytes as were said", { permissions }, async () => {
  for (const [lengths, code] of [[[10, 10], "SIZE"], [[10, 4], "SIZE"]] as const) {
    const { send } = await newSender({ size: 15 });
    await send(1, lengths[0]);
    assertEquals(await refused(send(2, lengths[1], true)), code);
  }
  const { send, chunks } = await newSender({ size: 15, offset: 3 });
  await send(1, 10);
  await send(2, 2, true);
  assertEquals([chunks.isComplete, chunks.received], [true, 15]);
});

Deno.test("nothing comes after the end, nor before it what was sent behind it", { permissions }, async () => {
  const { send } = await newSender();
  await send(1, 10, true);
  assertEquals(await refused(send(2)), "PROTOCOL");
  const other = await newSender();
  await other.send(3);
  await other.send(2, 10, true);
  assertEquals(await refused(other.send(1)), "PROTOCOL");
});

Deno.test("a chunk waits for its run to be announced, and for no longer than somebody wants it", {
  permissions,
}, async () => {
  const { announce, abort, send, take, packet } = await newSender({ isAnnounced: false });
  const waiting = send(1);
  await announce({ run: randomBytes(16) });
  await announce();
  assertEquals(numbersOf(await waiting), [1]);
  const other = await packet(2);
  other[0]! ^= 1;
  assertEquals(await refused(take(other)), "PROTOCOL", "runs are not mixed");
  const unknown = await newSender({ isAnnounced: false });
  const never = unknown.send(1);
  unknown.abort.abort();
  assertEquals(await never, []);
  abort.abort();
});

Deno.test(
  "a run that begins elsewhere, or has larger chunks than the route, is refused",
  { permissions },
  async () => {
    for (const change of [{ offset: 1 }, { chunkSize: 3577 }]) {
      const { announce, send } = await newSender({ isAnnounced: false });
      await announce(change);
      assertEquals(await refused(send(1)), "PROTOCOL");
    }
  },
);

Deno.test(
  "a chunk that was changed ends the stream, and what is none is nothing",
  { permissions },
  async () => {
    const { take, packet, keys } = await newSender();
    const content = await packet(1);
    assertEquals(await refused(take(content.with(30, content[30]! ^ 1))), "PROTOCOL");
    assertEquals(await take(new Uint8Array(10)), []);
    const credit = await sealCredit(keys, { number: 1, blockSize });
    assertEquals(await take(credit.slice(1)), []);
    assertEquals(numbersOf(await take(content)), [1]);
  },
);
