// The text of tests/vectors/stream.json (make_stream_vectors.mjs).

import { Buffer } from "node:buffer";
import {
  encodeStreamFrame,
  openStreamPacket,
  parseStreamFrame,
  runKey,
  sealStreamPacket,
} from "./stream.mjs";

const time = Date.UTC(2026, 0, 1);
const GREATEST = 2 ** 48 - 1;
const fill = (length, byte) => Buffer.alloc(length, byte);
const stream = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");

const about = [
  "Streams between agents (docs/protocol.md), made by tests/peers/stream.mjs. Bytes are hexadecimal.",
  "frames.right: each `bytes` is a frame with the fields beside it; `route` of `routes` stands for routes.record.",
  "frames.refused: frames that have to be refused.",
  "packets: the key of a run, packets of that run, and packets that have to be refused in it.",
];

const record = {
  id: fill(8, 1),
  server: `smp.example.org:5223#${fill(32, 2).toString("base64")}`,
  senderId: fill(24, 3),
  p: fill(128, 0xf1),
  q: fill(128, 0xe3),
  key: fill(32, 4),
  blockSize: 65536,
};

const frames = [
  { kind: "offer", key: fill(32, 9), name: "a.txt", type: "text/plain", size: 5, hash: fill(32, 8) },
  { kind: "offer", key: fill(32, 9), name: "", type: "", size: null, hash: null },
  { kind: "offer", key: fill(32, 9), name: "bücher/../ß", type: "x", size: GREATEST, hash: null },
  { kind: "accept", offset: 0, window: 32, routes: [record] },
  { kind: "accept", offset: GREATEST, window: 128, routes: [record, record, record, record] },
  { kind: "resume", offset: 65016, window: 1, routes: [record] },
  { kind: "resume", offset: 0, window: 0, routes: [] },
  { kind: "refuse", reason: 1, why: "" },
  { kind: "refuse", reason: 255, why: "no room for it" },
  { kind: "run", run: fill(16, 5), offset: 0, chunkSize: 65016 },
  { kind: "run", run: fill(16, 6), offset: GREATEST, chunkSize: 1 },
  { kind: "close", side: 1, reason: 0, total: GREATEST, why: "" },
  { kind: "close", side: 0, reason: 4, total: 12, why: "cancelled" },
  { kind: "close", side: 1, reason: 9, total: 12, why: "" },
].map((frame, at) => ({ ...frame, stream, number: at + 1, time }));

const hostile = [
  { kind: "offer", key: fill(32, 9), name: "a", type: "ü", size: null, hash: null },
  { kind: "accept", offset: 0, window: 0, routes: [record] },
  { kind: "accept", offset: 0, window: 129, routes: [record] },
  { kind: "accept", offset: 0, window: 1, routes: [] },
  { kind: "accept", offset: 0, window: 1, routes: [record, record, record, record, record] },
  { kind: "resume", offset: 1, window: 0, routes: [] },
  { kind: "resume", offset: 0, window: 1, routes: [] },
  { kind: "resume", offset: 0, window: 0, routes: [record] },
  { kind: "refuse", reason: 0, why: "" },
  { kind: "run", run: fill(16, 5), offset: 0, chunkSize: 0 },
  { kind: "run", run: fill(16, 5), offset: 0, chunkSize: 65017 },
  { kind: "close", side: 0, reason: 0, total: 5, why: "" },
  { kind: "close", side: 2, reason: 1, total: 5, why: "" },
].map((frame) => encodeStreamFrame({ ...frame, stream, number: 1, time }));

/** A frame with one byte more or less in its content. */
function resized(frame, difference) {
  const bytes = difference > 0 ? Buffer.concat([frame, fill(difference, 0)]) : frame.subarray(0, difference);
  const copy = Buffer.from(bytes);
  copy.writeUInt32BE(frame.readUInt32BE(13) + difference, 13);
  return copy;
}

/** A frame whose number is 0. */
function unnumbered(frame) {
  const copy = Buffer.from(frame);
  copy.fill(0, 1, 7);
  return copy;
}

function flipped(bytes, at, bit = 1) {
  const copy = Buffer.from(bytes);
  copy[at] ^= bit;
  return copy;
}

function hex(value) {
  if (Buffer.isBuffer(value)) return value.toString("hex");
  if (Array.isArray(value)) return value.map(hex);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, hex(each)]));
}

function makeFrames() {
  const right = frames.map((frame) => {
    const bytes = encodeStreamFrame(frame);
    const { frame: back } = parseStreamFrame(bytes);
    if (back === undefined) throw new Error(`${frame.kind} is refused`);
    const { routes, ...rest } = frame;
    return { ...rest, ...(routes === undefined ? {} : { routes: routes.length }), bytes };
  });
  const some = [0, 3, 5, 7, 9, 11].map((at) => right[at].bytes);
  const badText = Buffer.from(right[0].bytes);
  badText[badText.indexOf("a.txt")] = 0xff;
  const flags = flipped(right[1].bytes, 17 + 16 + 32, 4);
  const damaged = some.flatMap((bytes) => [resized(bytes, 1), resized(bytes, -1), unnumbered(bytes)]);
  const refused = [...hostile, badText, flags, ...damaged];
  for (const bytes of refused) if (parseStreamFrame(bytes).frame) throw new Error("it is not refused");
  return { record, right, refused };
}

function makePackets() {
  const streamKey = fill(32, 9);
  const run = fill(16, 5);
  const key = runKey(streamKey, run);
  const chunkSize = 24;
  const secrets = { key, run, chunkSize, blockSize: 4096 };
  const wanted = [
    { number: 1, type: "chunk", data: Buffer.from("hello") },
    { number: 2, type: "chunk", data: Buffer.alloc(0) },
    { number: 3, type: "last", data: fill(24, 7) },
    { number: GREATEST, type: "last", data: Buffer.alloc(0) },
    { number: 0, type: "credit" },
    { number: 3, type: "credit" },
  ];
  const right = wanted.map(({ data, ...head }) => {
    const packet = sealStreamPacket({ ...secrets, ...head }, data);
    const opened = openStreamPacket(packet, secrets);
    if (opened.refused) throw new Error(opened.refused);
    return { ...head, data: opened.data, packet: trimmed(packet) };
  });
  const [first] = wanted.map(({ data, ...head }) => sealStreamPacket({ ...secrets, ...head }, data));
  const long = sealStreamPacket({ ...secrets, chunkSize: 25, number: 1, type: "chunk" }, fill(25, 1));
  const refused = [
    ...[1, 16, 17, 22, 23, 24, 24 + 27, 24 + 28 + 15].map((at) => flipped(first, at)),
    flipped(first, 23, 2),
    flipped(first, 23, 4),
    flipped(first, first.length - 1),
    long,
    sealStreamPacket({ ...secrets, number: 0, type: "chunk" }, Buffer.alloc(0)),
  ];
  for (const packet of refused) {
    const opened = openStreamPacket(packet, secrets);
    if (!opened.refused && packet.subarray(1, 17).equals(run)) throw new Error("it is not refused");
  }
  return { streamKey, run, key, chunkSize, blockSize: 4096, right, refused: refused.map(trimmed) };
}

/** Without the zeros at the end, of which there are as many as a packet of the route takes. */
function trimmed(packet) {
  let end = packet.length;
  while (packet[end - 1] === 0) end--;
  return packet.subarray(0, end);
}

/** The text of the file. */
export function streamVectors() {
  return `${JSON.stringify({ about, frames: hex(makeFrames()), packets: hex(makePackets()) }, null, 1)}\n`;
}
