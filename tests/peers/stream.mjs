// Streams of agents (streams.md): contents of frames and packets. Part of an implementation that is independent of this
// project, on node:crypto, see session.mjs.

import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import { Fields, orRefused, Refused, u32, u48, u8 } from "./session_bytes.mjs";
import { packetSize } from "./session_packets.mjs";
import { encodeRoute, takeRoute } from "./session_routes.mjs";

const CODES = { offer: 11, accept: 12, refuse: 13, run: 14, close: 15, resume: 16 };
const PACKET_KIND = 3;
const TYPES = { chunk: 0, last: 1, credit: 2 };
const HEAD = 24;
const TAG = 16;
const LARGEST_CHUNK = packetSize(65536) - HEAD - 4 - TAG;

const id = (fields) => fields.take(16);
const sized = (bytes) => [u8(bytes.length), bytes];

function text(fields) {
  const bytes = fields.take(fields.u8());
  const string = bytes.toString("utf8");
  if (!Buffer.from(string, "utf8").equals(bytes)) throw new Refused("text");
  return string;
}

function takeWay(fields, isOptional) {
  const way = { offset: fields.u48(), window: fields.u8(), routes: [] };
  const count = fields.u8();
  if (count > 4 || way.window > 128) throw new Refused("way");
  for (let i = 0; i < count; i++) way.routes.push(takeRoute(fields));
  const isWay = count > 0 && way.window > 0;
  const isNone = count === 0 && way.window === 0 && way.offset === 0;
  if (!isWay && !(isOptional && isNone)) throw new Refused("way");
  return way;
}

const encodeWay = ({ offset, window, routes }) => [
  u48(offset),
  u8(window),
  u8(routes.length),
  ...routes.map(encodeRoute),
];

const contents = {
  offer: {
    encode: ({ key, name, type, size, hash }) => [
      key,
      u8((size === null ? 0 : 1) + (hash === null ? 0 : 2)),
      size === null ? Buffer.alloc(0) : u48(size),
      hash ?? Buffer.alloc(0),
      ...sized(Buffer.from(name, "utf8")),
      ...sized(Buffer.from(type, "ascii")),
    ],
    take: (fields) => {
      const key = fields.take(32);
      const flags = fields.u8();
      if (flags > 3) throw new Refused("flags");
      const size = flags & 1 ? fields.u48() : null;
      const hash = flags & 2 ? fields.take(32) : null;
      const name = text(fields);
      const type = fields.take(fields.u8());
      if (type.length > 127 || type.some((byte) => byte < 0x20 || byte > 0x7e)) throw new Refused("type");
      return { key, name, type: type.toString("ascii"), size, hash };
    },
  },
  accept: { encode: encodeWay, take: (fields) => takeWay(fields, false) },
  resume: { encode: encodeWay, take: (fields) => takeWay(fields, true) },
  refuse: {
    encode: ({ reason, why }) => [u8(reason), ...sized(Buffer.from(why, "utf8"))],
    take: (fields) => {
      const reason = fields.u8();
      if (reason === 0) throw new Refused("reason");
      return { reason, why: text(fields) };
    },
  },
  run: {
    encode: ({ run, offset, chunkSize }) => [run, u48(offset), u32(chunkSize)],
    take: (fields) => {
      const content = { run: id(fields), offset: fields.u48(), chunkSize: fields.u32() };
      if (content.chunkSize < 1 || content.chunkSize > LARGEST_CHUNK) throw new Refused("chunk size");
      return content;
    },
  },
  close: {
    encode: ({ side, reason, total, why }) => [
      u8(side),
      u8(reason),
      u48(total),
      ...sized(Buffer.from(why, "utf8")),
    ],
    take: (fields) => {
      const side = fields.u8();
      const content = { side, reason: fields.u8(), total: fields.u48(), why: text(fields) };
      if (side > 1 || side === 0 && content.reason === 0) throw new Refused("side");
      return content;
    },
  },
};

/** A frame of a stream. */
export function encodeStreamFrame({ kind, number, time, stream, ...rest }) {
  const content = Buffer.concat([stream, ...contents[kind].encode(rest)]);
  return Buffer.concat([u8(CODES[kind]), u48(number), u48(time), u32(content.length), content]);
}

/** `{ frame }`, or why it is refused. */
export function parseStreamFrame(bytes) {
  return orRefused(() => {
    const fields = new Fields(bytes, "length");
    const code = fields.u8();
    const kind = Object.keys(CODES).find((name) => CODES[name] === code);
    const common = { kind, number: fields.u48(), time: fields.u48() };
    if (common.number === 0) throw new Refused("number");
    const inner = new Fields(fields.take(fields.u32()), "length");
    fields.end();
    const frame = { ...common, stream: id(inner), ...contents[kind].take(inner) };
    inner.end();
    return { frame };
  });
}

/** The key of a run. */
export function runKey(streamKey, run) {
  return Buffer.from(hkdfSync("sha256", streamKey, run, "smp-stream", 32));
}

function headOf({ run, number, type }) {
  return Buffer.concat([run, u48(number), u8(TYPES[type])]);
}

const nonceOf = (head) => Buffer.concat([Buffer.alloc(5), head.subarray(16)]);

/** The packet of a chunk, or of credit, which has no `data`. */
export function sealStreamPacket({ key, chunkSize, blockSize, ...head }, data) {
  const clear = headOf(head);
  const cipher = createCipheriv("aes-256-gcm", key, nonceOf(clear));
  cipher.setAAD(clear);
  const room = data === undefined ? Buffer.alloc(0) : Buffer.alloc(4 + chunkSize);
  if (data !== undefined) Buffer.concat([u32(data.length), data]).copy(room);
  const sealed = Buffer.concat([cipher.update(room), cipher.final(), cipher.getAuthTag()]);
  const packet = Buffer.alloc(packetSize(blockSize));
  Buffer.concat([u8(PACKET_KIND), clear, sealed]).copy(packet);
  return packet;
}

/** `{ number, type, data }` of a packet of a run, or why it is refused. */
export function openStreamPacket(packet, { key, chunkSize }) {
  return orRefused(() => {
    if (packet[0] !== PACKET_KIND) throw new Refused("kind");
    const clear = packet.subarray(1, HEAD);
    const number = clear.readUIntBE(16, 6);
    const type = Object.keys(TYPES).find((name) => TYPES[name] === clear[22]);
    if (type === undefined || number === 0 && type !== "credit") throw new Refused("head");
    const end = HEAD + (type === "credit" ? 0 : 4 + chunkSize);
    if (packet.subarray(end + TAG).some((byte) => byte !== 0)) throw new Refused("padding");
    const decipher = createDecipheriv("aes-256-gcm", key, nonceOf(clear));
    decipher.setAAD(clear);
    decipher.setAuthTag(packet.subarray(end, end + TAG));
    let plaintext;
    try {
      plaintext = Buffer.concat([decipher.update(packet.subarray(HEAD, end)), decipher.final()]);
    } catch {
      throw new Refused("damaged");
    }
    if (type === "credit") return { number, type, data: Buffer.alloc(0) };
    const length = plaintext.readUInt32BE(0);
    if (length > chunkSize) throw new Refused("length");
    if (plaintext.subarray(4 + length).some((byte) => byte !== 0)) throw new Refused("padding");
    return { number, type, data: plaintext.subarray(4, 4 + length) };
  });
}
