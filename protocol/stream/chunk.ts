/** The packets of a stream: chunks, and the receiver's credit for more (streams.md Chunks). */
import { textBytes } from "../bytes.ts";
import { tagLength } from "../crypto/engine/engine.ts";
import { keyedCrypto } from "../crypto/runtime.ts";
import { ByteReader, exactly, numberBytes } from "../ratchet/_bytes.ts";
import { packetLength } from "../ratchet/packet.ts";
import { streamIdLength, streamKeyLength } from "./content.ts";

/** What is encrypted with the key of a run. */
export interface StreamRun {
  /** What the sender has announced, 16 bytes. */
  readonly run: Uint8Array<ArrayBuffer>;
  /** {@linkcode runKeyOf}, 32 bytes. */
  readonly key: Uint8Array<ArrayBuffer>;
  /** Uint8Array<ArrayBuffer> that a chunk has room for. */
  readonly chunkSize: number;
}

/** What a packet of a stream says before it is decrypted. */
export interface StreamPacketHead {
  /** 16 bytes. */
  readonly run: Uint8Array<ArrayBuffer>;
  /** Of a chunk: its number in the run, from 1. Of credit: that of the last chunk that was taken. */
  readonly number: number;
  /** `last`: a chunk, the last one of the stream. */
  readonly type: "chunk" | "last" | "credit";
}

const packetKind = 3;
const numberLength = 6;
/** Kind, run, number and type. */
const headLength = 1 + streamIdLength + numberLength + 1;
/** Uint8Array<ArrayBuffer> of a chunk's length, inside the encryption. */
const sizeLength = 4;
const types = ["chunk", "last", "credit"] as const;
const runInfo = textBytes("smp-stream");

/** Uint8Array<ArrayBuffer> that a chunk has room for on routes with that block size. */
export function largestChunk(blockSize: number): number {
  return packetLength(blockSize) - headLength - sizeLength - tagLength;
}

/** The key of a run, 32 bytes. */
export async function runKeyOf(
  streamKey: Uint8Array<ArrayBuffer>,
  run: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  exactly(streamKey, streamKeyLength, "stream key");
  return await keyedCrypto().hkdf(streamKey, {
    salt: exactly(run, streamIdLength, "run"),
    info: runInfo,
    length: 32,
  });
}

/**
 * The packet of a chunk, for a route with that block size; the data is read at once. No other bytes may ever have that number in the run.
 * `RangeError` for more bytes than the chunks of the run or a packet of the route have room for.
 */
export async function sealChunk(
  data: Uint8Array,
  { run, key, chunkSize }: StreamRun,
  { number, isLast, blockSize, packet = new Uint8Array(packetLength(blockSize)) }: {
    readonly number: number;
    readonly isLast: boolean;
    readonly blockSize: number;
    /** What it is written to. */
    readonly packet?: Uint8Array<ArrayBuffer>;
  },
): Promise<Uint8Array<ArrayBuffer>> {
  exactly(packet, packetLength(blockSize), "packet");
  if (data.length > chunkSize || chunkSize > largestChunk(blockSize)) {
    throw new RangeError(`Cannot encode chunk: ${data.length} bytes are more than there is room for`);
  }
  putHead(packet, { run, number, type: isLast ? "last" : "chunk" });
  packet.set(numberBytes(data.length, sizeLength, "length"), headLength);
  packet.set(data, headLength + sizeLength);
  packet.fill(0, headLength + sizeLength + data.length);
  const sealed = packet.subarray(headLength, headLength + sizeLength + chunkSize + tagLength);
  await keyedCrypto().sealInPlace(sealed, { key, ...bound(packet.subarray(1)) });
  return packet;
}

/** The packet that tells which chunks of a run were taken, up to a number, for a route with that block size. */
export async function sealCredit(
  { run, key }: Pick<StreamRun, "run" | "key">,
  { number, blockSize }: { readonly number: number; readonly blockSize: number },
): Promise<Uint8Array<ArrayBuffer>> {
  const packet = new Uint8Array(packetLength(blockSize));
  putHead(packet, { run, number, type: "credit" });
  packet.set(
    await keyedCrypto().seal(new Uint8Array(0), { key, ...bound(packet.subarray(1)) }),
    headLength,
  );
  return packet;
}

/** Reads what a packet of the kind `stream chunk` says in clear, of its bytes behind the kind; `null` when it cannot be. */
export function readStreamHead(content: Uint8Array<ArrayBuffer>): StreamPacketHead | null {
  const reader = new ByteReader(content);
  const run = reader.bytes(streamIdLength), number = reader.u48(), type = types[reader.u8()];
  return reader.ok && type !== undefined && (number > 0 || type === "credit") ? { run, number, type } : null;
}

/**
 * Decrypts a chunk whose head has that run; `null` when it is not authentic, or has more behind it than zeros. `isLent`: the
 * content may be overwritten by that, and what is given be a part of it.
 */
export async function openChunk(
  content: Uint8Array<ArrayBuffer>,
  { key, chunkSize }: StreamRun,
  { isLent = false }: { readonly isLent?: boolean } = {},
): Promise<Uint8Array<ArrayBuffer> | null> {
  const plaintext = await open(content, key, { length: sizeLength + chunkSize, isLent });
  if (plaintext === null) return null;
  const reader = new ByteReader(plaintext);
  const data = reader.bytes(reader.u32());
  return reader.ok && isZero(plaintext, sizeLength + data.length) ? data : null;
}

/** Whether credit whose head has that run is authentic, and has nothing behind it but zeros. */
export async function isCredit(
  content: Uint8Array<ArrayBuffer>,
  { key }: Pick<StreamRun, "key">,
): Promise<boolean> {
  return await open(content, key, { length: 0, isLent: false }) !== null;
}

async function open(
  content: Uint8Array<ArrayBuffer>,
  key: Uint8Array<ArrayBuffer>,
  { length, isLent }: { readonly length: number; readonly isLent: boolean },
): Promise<Uint8Array<ArrayBuffer> | null> {
  const start = headLength - 1, end = start + length + tagLength;
  if (end > content.length || !isZero(content, end)) return null;
  const sealed = content.subarray(start, end), parameters = { key, ...bound(content) };
  const crypto = keyedCrypto();
  return await (isLent ? crypto.openInPlace(sealed, parameters) : crypto.open(sealed, parameters));
}

function putHead(packet: Uint8Array<ArrayBuffer>, { run, number, type }: StreamPacketHead): void {
  packet[0] = packetKind;
  packet.set(exactly(run, streamIdLength, "run"), 1);
  packet.set(numberBytes(number, numberLength, "number"), 1 + streamIdLength);
  packet[headLength - 1] = types.indexOf(type);
}

/** Nonce and additional data: number and type, and all of the head. */
function bound(
  content: Uint8Array<ArrayBuffer>,
): { readonly nonce: Uint8Array<ArrayBuffer>; readonly additional: Uint8Array<ArrayBuffer> } {
  const nonce = new Uint8Array(12);
  nonce.set(content.subarray(streamIdLength, headLength - 1), 12 - numberLength - 1);
  return { nonce, additional: content.slice(0, headLength - 1) };
}

function isZero(bytes: Uint8Array, from: number): boolean {
  let bits = 0;
  for (let at = from; at < bytes.length; at++) bits |= bytes[at]!;
  return bits === 0;
}
