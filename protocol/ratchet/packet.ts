/** What a SEND on a route carries (sessions.md Packets and routes). */
import { randomBytes, textBytes } from "../bytes.ts";
import { tagLength } from "../crypto/engine/engine.ts";
import { keyedCrypto, sha256 } from "../crypto/runtime.ts";
import { ByteReader, exactly, numberBytes } from "./_bytes.ts";
import { largestMessage } from "./header.ts";
import type { RandomSource } from "./pair.ts";

/** What packets of a route are encrypted with. */
export interface RouteSecrets {
  /** 32 bytes. */
  readonly routeKey: Uint8Array<ArrayBuffer>;
  /** The queue's sender ID in base64, as commands have it. */
  readonly senderId: string;
  /** Bytes of a block of the route's owner. */
  readonly blockSize: number;
}

/** A whole message, a piece of one, or something of another kind than messages with everything behind the kind. */
export type Packet =
  | { readonly type: "message"; readonly message: Uint8Array<ArrayBuffer> }
  | MessagePiece
  | { readonly type: "repair" | "stream chunk"; readonly content: Uint8Array<ArrayBuffer> };

/** A piece of a message that does not fit one packet. */
export interface MessagePiece {
  /** What tells the packets apart. */
  readonly type: "piece";
  /** The start of SHA-256 of the whole message, 16 bytes. */
  readonly tag: Uint8Array<ArrayBuffer>;
  /** From 0. */
  readonly index: number;
  /** How many pieces the message has. */
  readonly count: number;
  /** Bytes of the whole message. */
  readonly total: number;
  /** Part of the message. */
  readonly piece: Uint8Array<ArrayBuffer>;
}

/**
 * Why a packet cannot be read. `LENGTH`: the body has not the route's length, or the packet not room for what it says.
 * `DAMAGED`: it is not authentic. `KIND`: it is of a kind to come. `PIECE`: index, count and total do not fit each other.
 * `LARGE`: the message is longer than any. `PADDING`: not only zeros are behind it.
 */
export type PacketRefusal = "LENGTH" | "DAMAGED" | "KIND" | "PIECE" | "LARGE" | "PADDING";

/** A packet, or why it cannot be read. */
export type DecodedPacket =
  | { readonly ok: true; readonly packet: Packet }
  | { readonly ok: false; readonly code: PacketRefusal };

/** Bytes of a piece's tag. */
export const pieceTagLength = 16;

const nonceLength = 12;
/** Bytes of a block that are not the body of a SEND, for a signature and a corrId of the longest. */
const outsideBody = 448;
const wholeKind = 0, pieceKind = 1, repairKind = 2, streamKind = 3;
const wholeStart = 3;
const pieceStart = 1 + pieceTagLength + 2 + 2 + 4;

/** Bytes of the body of each SEND on a route with that block size. */
export function bodyLength(blockSize: number): number {
  return blockSize - outsideBody;
}

/** Bytes of each packet of a route with that block size. */
export function packetLength(blockSize: number): number {
  return bodyLength(blockSize) - nonceLength - tagLength;
}

/** Encrypts a packet as the body of one SEND, `block size - 448` bytes. Asks `random` for 12 (nonce). */
export async function sealPacket(
  packet: Uint8Array<ArrayBuffer>,
  { routeKey, senderId, blockSize }: RouteSecrets,
  random: RandomSource = randomBytes,
): Promise<Uint8Array<ArrayBuffer>> {
  const body = new Uint8Array(bodyLength(blockSize));
  await sealPacketInto(body, packet, { routeKey, senderId, blockSize }, random);
  return body;
}

/** The same; `body` is what it is written to, `block size - 448` bytes. */
export async function sealPacketInto(
  body: Uint8Array<ArrayBuffer>,
  packet: Uint8Array<ArrayBuffer>,
  { routeKey, senderId, blockSize }: RouteSecrets,
  random: RandomSource = randomBytes,
): Promise<void> {
  exactly(packet, packetLength(blockSize), "packet");
  exactly(body, bodyLength(blockSize), "body");
  const nonce = random(nonceLength);
  body.set(nonce);
  body.set(packet, nonceLength);
  const parameters = { key: routeKey, nonce, additional: textBytes(senderId) };
  await keyedCrypto().sealInPlace(body.subarray(nonceLength), parameters);
}

/** Decrypts the body of a SEND and reads the packet in it; `isLent`: the body may be overwritten by that. */
export async function openPacket(
  body: Uint8Array<ArrayBuffer>,
  { routeKey, senderId, blockSize }: RouteSecrets,
  { isLent = false }: { readonly isLent?: boolean } = {},
): Promise<DecodedPacket> {
  if (body.length !== bodyLength(blockSize)) return refuse("LENGTH");
  const nonce = body.slice(0, nonceLength);
  const parameters = { key: routeKey, nonce, additional: textBytes(senderId) };
  const sealed = body.subarray(nonceLength);
  const crypto = keyedCrypto();
  const packet = await (isLent ? crypto.openInPlace(sealed, parameters) : crypto.open(sealed, parameters));
  return packet === null ? refuse("DAMAGED") : decodePacket(packet);
}

/**
 * The packets of a ratchet message on a route with that block size: one that has it whole, or those of its pieces. Throws
 * `RangeError` when it is empty or has more than 4 MiB.
 */
export async function splitMessage(
  message: Uint8Array<ArrayBuffer>,
  blockSize: number,
): Promise<readonly Uint8Array<ArrayBuffer>[]> {
  if (message.length === 0 || message.length > largestMessage) {
    throw new RangeError(
      `Cannot split message: it has ${message.length} bytes, 1 to ${largestMessage} can be sent`,
    );
  }
  const length = packetLength(blockSize);
  if (message.length <= length - wholeStart) {
    return [padded(length, Uint8Array.of(wholeKind), numberBytes(message.length, 2, "length"), message)];
  }
  const tag = await messageTag(message);
  const pieceLength = length - pieceStart;
  const count = Math.ceil(message.length / pieceLength);
  return Array.from({ length: count }, (_, index) =>
    padded(
      length,
      Uint8Array.of(pieceKind),
      tag,
      numberBytes(index, 2, "index"),
      numberBytes(count, 2, "count"),
      numberBytes(message.length, 4, "total"),
      message.subarray(index * pieceLength, (index + 1) * pieceLength),
    ));
}

/** What the pieces of a message have in common: 16 bytes. */
export async function messageTag(message: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return (await sha256(message)).slice(0, pieceTagLength);
}

/** Reads a decrypted packet, whose memory its parts are. */
export function decodePacket(packet: Uint8Array<ArrayBuffer>): DecodedPacket {
  switch (packet[0]) {
    case wholeKind:
      return decodeWhole(packet);
    case pieceKind:
      return decodePiece(packet);
    case repairKind:
      return { ok: true, packet: { type: "repair", content: packet.subarray(1) } };
    case streamKind:
      return { ok: true, packet: { type: "stream chunk", content: packet.subarray(1) } };
    default:
      return refuse(packet.length === 0 ? "LENGTH" : "KIND");
  }
}

function decodeWhole(packet: Uint8Array<ArrayBuffer>): DecodedPacket {
  const reader = new ByteReader(packet, 1);
  const message = reader.bytes(reader.u16());
  if (!reader.ok || message.length === 0) return refuse("LENGTH");
  return hasPadding(reader) ? { ok: true, packet: { type: "message", message } } : refuse("PADDING");
}

function decodePiece(packet: Uint8Array<ArrayBuffer>): DecodedPacket {
  const reader = new ByteReader(packet, 1);
  const tag = reader.bytes(pieceTagLength), index = reader.u16(), count = reader.u16(), total = reader.u32();
  const pieceLength = reader.left;
  if (!reader.ok || pieceLength === 0) return refuse("LENGTH");
  if (total > largestMessage) return refuse("LARGE");
  if (count === 0 || index >= count || count !== Math.ceil(total / pieceLength)) return refuse("PIECE");
  const piece = reader.bytes(index < count - 1 ? pieceLength : total - index * pieceLength);
  if (!hasPadding(reader)) return refuse("PADDING");
  return { ok: true, packet: { type: "piece", tag, index, count, total, piece } };
}

/** Whether zeros are all that is left. */
function hasPadding(reader: ByteReader): boolean {
  const rest = reader.bytes(reader.left);
  let bits = 0;
  for (let at = 0; at < rest.length; at++) bits |= rest[at]!;
  return bits === 0;
}

function padded(length: number, ...parts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const packet = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    packet.set(part, at);
    at += part.length;
  }
  return packet;
}

function refuse(code: PacketRefusal): DecodedPacket {
  return { ok: false, code };
}
