// Sessions of agents (sessions.md): packets of a route, and a ratchet message in pieces. Part of an implementation that
// is independent of this project, see session.mjs.

import { Buffer } from "node:buffer";
import { Fields, orRefused, Refused, u16, u32, u8 } from "./session_bytes.mjs";
import { MESSAGE_LIMIT } from "./session_header.mjs";
import { open, seal, sha256, TAG_SIZE } from "./session_keys.mjs";

const WHOLE = 0;
const PIECE = 1;
const WHOLE_HEADER_SIZE = 3;
const PIECE_HEADER_SIZE = 25;
const NONCE_SIZE = 12;
/** What a reassembly holds at most; the age in milliseconds. */
export const REASSEMBLY_LIMITS = { bytes: 8 * 1024 * 1024, unfinished: 16, age: 7 * 24 * 3600 * 1000 };

export function bodySize(blockSize) {
  return blockSize - 448;
}

export function packetSize(blockSize) {
  return bodySize(blockSize) - NONCE_SIZE - TAG_SIZE;
}

/** The packets of a ratchet message: one when it fits. */
export function packetsOf(message, blockSize) {
  const size = packetSize(blockSize);
  if (message.length <= size - WHOLE_HEADER_SIZE) {
    return [padded([u8(WHOLE), u16(message.length), message], size)];
  }
  if (message.length > MESSAGE_LIMIT) throw new RangeError(`a message has ${message.length} bytes`);
  const pieceSize = size - PIECE_HEADER_SIZE;
  const count = Math.ceil(message.length / pieceSize);
  const start = [u8(PIECE), tagOf(message)];
  return Array.from({ length: count }, (_, index) => {
    const piece = message.subarray(index * pieceSize, (index + 1) * pieceSize);
    return padded([...start, u16(index), u16(count), u32(message.length), piece], size);
  });
}

/** `{ message }` or `{ tag, index, count, total, piece }`, or why it is refused. */
export function parsePacket(packet, blockSize) {
  return orRefused(() => {
    if (packet.length !== packetSize(blockSize)) throw new Refused("size");
    const fields = new Fields(packet, "length");
    const kind = fields.u8();
    if (kind === WHOLE) {
      const length = fields.u16();
      if (length === 0) throw new Refused("length");
      const message = fields.take(length);
      paddingOf(fields);
      return { message };
    }
    if (kind !== PIECE) throw new Refused("kind");
    const head = { tag: fields.take(16), index: fields.u16(), count: fields.u16(), total: fields.u32() };
    const { index, count, total } = head;
    const pieceSize = fields.left;
    if (total === 0 || total > MESSAGE_LIMIT) throw new Refused("total");
    if (count !== Math.ceil(total / pieceSize)) throw new Refused("count");
    if (index >= count) throw new Refused("index");
    const piece = fields.take(Math.min(pieceSize, total - index * pieceSize));
    paddingOf(fields);
    return { ...head, piece };
  });
}

/** The body of a SEND with a packet. */
export function sealPacket(kit, route, packet) {
  const nonce = kit.random(NONCE_SIZE);
  const additional = additionalOf(route);
  return Buffer.concat([nonce, seal({ key: route.key, nonce, plaintext: packet, additional })]);
}

/** `{ packet }`, or why the body is refused. */
export function openPacket(route, body) {
  return orRefused(() => {
    if (body.length !== bodySize(route.blockSize)) throw new Refused("size");
    const fields = new Fields(body, "size");
    const nonce = fields.take(NONCE_SIZE);
    const additional = additionalOf(route);
    const packet = open({ key: route.key, nonce, sealed: fields.rest(), additional });
    if (packet === null) throw new Refused("damaged");
    return { packet };
  });
}

/** A reassembly without anything in it; a state is a value. */
export function startReassembly(limits = REASSEMBLY_LIMITS) {
  return { limits, unfinished: [] };
}

/**
 * Adds a parsed piece that came on a route: `{ state, message, dropped }`, `message` being null until it is whole,
 * `dropped` with the tag and the reason (age, unfinished, bytes, tag) of each that was given up; or why it is refused.
 */
export function addPiece(state, { routeId, piece, now }) {
  const dropped = [];
  const drop = (entry, reason) => dropped.push({ tag: entry.tag, reason });
  let unfinished = state.unfinished.filter((entry) => {
    const isYoung = now - entry.since <= state.limits.age;
    if (!isYoung) drop(entry, "age");
    return isYoung;
  });
  const name = `${Buffer.from(routeId).toString("hex")} ${Buffer.from(piece.tag).toString("hex")}`;
  const before = unfinished.find((entry) => entry.name === name) ?? {
    name,
    tag: piece.tag,
    count: piece.count,
    total: piece.total,
    since: now,
    size: 0,
    pieces: new Map(),
  };
  if (before.count !== piece.count || before.total !== piece.total) return { refused: "contradiction" };
  const known = before.pieces.get(piece.index);
  if (known !== undefined) {
    if (!known.equals(piece.piece)) return { refused: "contradiction" };
    return { state: { ...state, unfinished }, message: null, dropped };
  }
  const entry = {
    ...before,
    size: before.size + piece.piece.length,
    pieces: new Map(before.pieces).set(piece.index, piece.piece),
  };
  unfinished = [...unfinished.filter((other) => other.name !== name), entry];
  if (entry.pieces.size === entry.count) {
    const pieces = Array.from({ length: entry.count }, (_, index) => entry.pieces.get(index));
    const whole = Buffer.concat(pieces);
    const isRight = tagOf(whole).equals(entry.tag);
    if (!isRight) drop(entry, "tag");
    unfinished.pop();
    return { state: { ...state, unfinished }, message: isRight ? whole : null, dropped };
  }
  const give = (reason) => {
    const oldest = unfinished.filter((other) => other !== entry)
      .reduce((first, other) => other.since < first.since ? other : first);
    drop(oldest, reason);
    unfinished = unfinished.filter((other) => other !== oldest);
  };
  while (unfinished.length > state.limits.unfinished) give("unfinished");
  while (unfinished.reduce((sum, { size }) => sum + size, 0) > state.limits.bytes) give("bytes");
  return { state: { ...state, unfinished }, message: null, dropped };
}

function additionalOf({ senderId }) {
  return Buffer.from(Buffer.from(senderId).toString("base64"));
}

function tagOf(message) {
  return sha256(message).subarray(0, 16);
}

function padded(parts, size) {
  const bytes = Buffer.concat(parts);
  return Buffer.concat([bytes, Buffer.alloc(size - bytes.length)]);
}

function paddingOf(fields) {
  if (fields.rest().some((byte) => byte !== 0)) throw new Refused("padding");
}
