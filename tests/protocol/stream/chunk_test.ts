import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import {
  blockSizes,
  decodePacket,
  equalBytes,
  isCredit,
  largestChunk,
  openChunk,
  packetLength,
  randomBytes,
  readStreamHead,
  runKeyOf,
  sealChunk,
  sealCredit,
} from "../../../protocol/mod.ts";

const permissions = "none";
const blockSize = 4096;
const streamKey = randomBytes(32);

async function newRun(chunkSize = 40) {
  const run = randomBytes(16);
  return { run, key: await runKeyOf(streamKey, run), chunkSize };
}

function contentOf(packet: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const decoded = decodePacket(packet);
  if (!decoded.ok || decoded.packet.type !== "stream chunk") throw new Error("it is no packet of a stream");
  return decoded.packet.content;
}

Deno.test("A chunk fills the packet of any block, with 44 bytes around it", { permissions }, async () => {
  assertEquals(blockSizes.map(largestChunk), [3576, 7672, 15_864, 32_248, 65_016]);
  for (const blockSize of blockSizes) {
    const run = await newRun(largestChunk(blockSize)), data = randomBytes(run.chunkSize);
    const packet = await sealChunk(data, run, { number: 1, isLast: false, blockSize });
    assertEquals(packet.length, packetLength(blockSize));
    assertEquals(await openChunk(contentOf(packet), run), data);
    const more = new Uint8Array(run.chunkSize + 1);
    await assertRejects(() => sealChunk(more, run, { number: 1, isLast: false, blockSize }), RangeError);
    const larger = { ...run, chunkSize: run.chunkSize + 1 };
    await assertRejects(() => sealChunk(data, larger, { number: 1, isLast: false, blockSize }), RangeError);
  }
});

Deno.test("A chunk of any length is read as it was written, with its number", { permissions }, async () => {
  const run = await newRun();
  const data = fc.uint8Array({ maxLength: 40 }), number = fc.integer({ min: 1, max: 2 ** 48 - 1 });
  await fc.assert(fc.asyncProperty(data, number, fc.boolean(), async (data, number, isLast) => {
    const content = contentOf(await sealChunk(data, run, { number, isLast, blockSize }));
    assertEquals(readStreamHead(content), { run: run.run, number, type: isLast ? "last" : "chunk" });
    assertEquals(await openChunk(content, run), data);
  }));
});

Deno.test("A chunk is decrypted where it is when that is lent, and only then", { permissions }, async () => {
  const blockSize = 65_536, run = await newRun(largestChunk(blockSize)), data = randomBytes(run.chunkSize);
  const content = contentOf(await sealChunk(data, run, { number: 1, isLast: true, blockSize }));
  const before = content.slice();
  const copied = (await openChunk(content, run))!;
  assertEquals([copied.buffer === content.buffer, equalBytes(copied, data)], [false, true]);
  assert(equalBytes(content, before));
  const own = (await openChunk(content, run, { isLent: true }))!;
  assertEquals([own.buffer === content.buffer, equalBytes(own, data)], [true, true]);
  // One that was overwritten by that, or changed before, is no chunk any more.
  for (const changed of [content, before.with(40, before[40]! ^ 1)]) {
    assertEquals(await openChunk(changed, run, { isLent: true }), null);
  }
});

Deno.test("A chunk that was changed anywhere, padding included, is refused", { permissions }, async () => {
  const run = await newRun();
  const content = contentOf(await sealChunk(randomBytes(7), run, { number: 9, isLast: false, blockSize }));
  for (let at = 0; at < content.length; at++) {
    const changed = content.with(at, content[at]! ^ (1 << (at % 8)));
    const head = readStreamHead(changed);
    if (head !== null) assertEquals(await openChunk(changed, run), null, String(at));
  }
});

Deno.test("A chunk of another run or stream is refused", { permissions }, async () => {
  const run = await newRun(), other = await newRun();
  const content = contentOf(await sealChunk(randomBytes(7), run, { number: 1, isLast: true, blockSize }));
  assertEquals(await openChunk(content, other), null);
  const ofOtherStream = { ...run, key: await runKeyOf(randomBytes(32), run.run) };
  assertEquals(await openChunk(content, ofOtherStream), null);
});

Deno.test("The end and credit of a number are encrypted with other nonces than its chunk", {
  permissions,
}, async () => {
  const run = await newRun(), data = randomBytes(40);
  const middle = await sealChunk(data, run, { number: 3, isLast: false, blockSize });
  const last = await sealChunk(data, run, { number: 3, isLast: true, blockSize });
  assert(middle.slice(24, 68).toHex() !== last.slice(24, 68).toHex());
  const credit = contentOf(await sealCredit(run, { number: 3, blockSize }));
  assertEquals(readStreamHead(credit)?.type, "credit");
  assertEquals([await isCredit(credit, run), await openChunk(credit, run)], [true, null]);
  for (let at = 0; at < credit.length; at++) {
    assertEquals(await isCredit(credit.with(at, credit[at]! ^ 1), run), false, String(at));
  }
});

Deno.test("What is too short, of another type or a chunk with number 0 has no head", { permissions }, () => {
  const content = new Uint8Array(23).with(21, 1);
  assertEquals(readStreamHead(content)?.number, 1);
  for (let length = 0; length < 23; length++) assertEquals(readStreamHead(content.slice(0, length)), null);
  assertEquals(readStreamHead(content.with(22, 3)), null);
  assertEquals(readStreamHead(content.with(21, 0)), null);
});
