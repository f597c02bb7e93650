import { assert, assertEquals } from "@std/assert";
import {
  decodeFrames,
  decodePacket,
  encodeFrame,
  type Frame,
  isCredit,
  openChunk,
  packetLength,
  readStreamHead,
  type RouteRecord,
  runKeyOf,
  sealChunk,
  sealCredit,
} from "../../../protocol/mod.ts";
import { streamVectors } from "../../peers/stream_vectors.mjs";
import vectors from "../../vectors/stream.json" with { type: "json" };

const bytes = (hex: string) => Uint8Array.fromHex(hex);
const { packets, frames: { record, right, refused } } = vectors;
const route: RouteRecord = {
  routeId: bytes(record.id),
  server: record.server,
  senderId: bytes(record.senderId),
  p: bytes(record.p),
  q: bytes(record.q),
  routeKey: bytes(record.key),
  blockSize: record.blockSize,
};
const run = {
  run: bytes(packets.run),
  key: bytes(packets.key),
  chunkSize: packets.chunkSize,
};

type Vector = typeof right[number];

/** The frame that a vector describes. */
function frameOf(vector: Vector): Frame {
  const { number, time } = vector;
  const common = { number, time, streamId: bytes(vector.stream) };
  const routes = Array.from({ length: vector.routes ?? 0 }, () => route);
  switch (vector.kind) {
    case "offer":
      return {
        kind: "stream offer",
        ...common,
        key: bytes(vector.key!),
        name: vector.name!,
        mediaType: vector.type!,
        size: vector.size ?? null,
        sha256: vector.hash == null ? null : bytes(vector.hash),
      };
    case "accept":
      return { kind: "stream accept", ...common, offset: vector.offset!, window: vector.window!, routes };
    case "resume":
      return { kind: "stream resume", ...common, offset: vector.offset!, window: vector.window!, routes };
    case "refuse":
      return { kind: "stream refuse", ...common, reason: vector.reason!, text: vector.why! };
    case "run": {
      const { run, offset, chunkSize } = vector;
      return { kind: "stream run", ...common, run: bytes(run!), offset: offset!, chunkSize: chunkSize! };
    }
    default: {
      const from = vector.side === 1 ? "receiver" : "sender";
      const { reason, total, why } = vector;
      return { kind: "stream close", ...common, from, reason: reason!, total: total!, text: why! };
    }
  }
}

/** A packet with the zeros that the vectors leave out. */
function padded(hex: string): Uint8Array<ArrayBuffer> {
  const packet = new Uint8Array(packetLength(packets.blockSize));
  packet.set(bytes(hex));
  return packet;
}

async function open(packet: Uint8Array<ArrayBuffer>): Promise<object | null> {
  const decoded = decodePacket(packet);
  if (!decoded.ok || decoded.packet.type !== "stream chunk") return null;
  const { content } = decoded.packet;
  const head = readStreamHead(content);
  if (head === null || head.run.toHex() !== packets.run) return null;
  const { number, type } = head;
  if (type === "credit") return await isCredit(content, run) ? { number, type, data: "" } : null;
  const data = await openChunk(content, run);
  return data && { number, type, data: data.toHex() };
}

Deno.test("the vectors of streams are what the independent peer makes", async () => {
  const text = await Deno.readTextFile(new URL("../../vectors/stream.json", import.meta.url));
  assertEquals(streamVectors() === text, true);
});

Deno.test("frames of streams are those of an independent implementation, and so is what is refused", () => {
  for (const vector of right) {
    const frame = frameOf(vector);
    assertEquals(encodeFrame(frame), bytes(vector.bytes), vector.kind);
    assertEquals(decodeFrames(bytes(vector.bytes)), { ok: true, frames: [frame] });
  }
  for (const each of refused) assert(!decodeFrames(bytes(each)).ok, each);
});

Deno.test("packets of streams are those of an independent implementation, and so is what is refused", async () => {
  const { blockSize, streamKey } = packets;
  assertEquals((await runKeyOf(bytes(streamKey), run.run)).toHex(), packets.key);
  for (const { number, type, data, packet } of packets.right) {
    const sealed = type === "credit"
      ? await sealCredit(run, { number, blockSize })
      : await sealChunk(bytes(data), run, { number, isLast: type === "last", blockSize });
    assertEquals(sealed, padded(packet));
    assertEquals(await open(sealed), { number, type, data });
  }
  for (const each of packets.refused) assertEquals(await open(padded(each)), null, each);
});
