/** How an agent tells another one where to send (sessions.md Packets and routes). */
import { parseAddress } from "../address.ts";
import { asciiText, textBytes } from "../bytes.ts";
import { ParseError } from "../error.ts";
import { blockSizes } from "../transport/block_channel.ts";
import { ByteReader, concat, exactly, numberBytes } from "./_bytes.ts";
import { couldBePrimes, primeLength } from "./sender_key.ts";

/** A way to one agent: a queue that this agent has made and secured, and what it takes to send there. */
export interface RouteRecord {
  /** Random, 8 bytes. */
  readonly routeId: Uint8Array<ArrayBuffer>;
  /** The server's address as {@linkcode parseAddress} takes it, at most 320 characters. */
  readonly server: string;
  /** What the server names the queue by to senders: 1 to 255 bytes, base64 of which commands have. */
  readonly senderId: Uint8Array<ArrayBuffer>;
  /** The larger prime of the RSA-2048 sender key, 128 bytes; secret. */
  readonly p: Uint8Array<ArrayBuffer>;
  /** The smaller one. */
  readonly q: Uint8Array<ArrayBuffer>;
  /** What packets are encrypted with, 32 bytes; secret. */
  readonly routeKey: Uint8Array<ArrayBuffer>;
  /** Bytes of the blocks that the owner reads the queue with, one of {@linkcode blockSizes}. */
  readonly blockSize: number;
}

/** Bytes of a route's ID. */
export const routeIdLength = 8;
/** Characters of the longest address of a server. */
export const longestServer = 320;

/** Encodes a route record. `RangeError` for parts of other lengths, an address, block size or primes that are none. */
export function encodeRouteRecord(record: RouteRecord): Uint8Array<ArrayBuffer> {
  const { routeId, server, senderId, p, q, routeKey, blockSize } = record;
  exactly(p, primeLength, "p");
  exactly(q, primeLength, "q");
  if (!isValid(record)) {
    throw new RangeError(
      "Cannot encode route record: address, sender ID, primes or block size are not valid",
    );
  }
  return concat(
    exactly(routeId, routeIdLength, "route ID"),
    numberBytes(server.length, 2, "length of the address"),
    textBytes(server),
    numberBytes(senderId.length, 1, "length of the sender ID"),
    senderId,
    p,
    q,
    exactly(routeKey, 32, "route key"),
    numberBytes(blockSize, 4, "block size"),
  );
}

/** Reads a route record with nothing behind it, whose memory its parts are; `null` when it is not valid. */
export function decodeRouteRecord(bytes: Uint8Array<ArrayBuffer>): RouteRecord | null {
  const reader = new ByteReader(bytes);
  const record = readRouteRecord(reader);
  return reader.complete ? record : null;
}

/** Reads a route record, with more behind it or not; `null` when it is cut off or not valid. */
export function readRouteRecord(reader: ByteReader): RouteRecord | null {
  const routeId = reader.bytes(routeIdLength);
  const serverLength = reader.u16();
  if (serverLength > longestServer) return null;
  const record = {
    routeId,
    server: asciiText(reader.bytes(serverLength)),
    senderId: reader.bytes(reader.u8()),
    p: reader.bytes(primeLength),
    q: reader.bytes(primeLength),
    routeKey: reader.bytes(32),
    blockSize: reader.u32(),
  };
  return reader.ok && isValid(record) ? record : null;
}

function isValid({ server, senderId, p, q, blockSize }: RouteRecord): boolean {
  return server.length <= longestServer && isAddress(server) && senderId.length > 0 &&
    blockSizes.includes(blockSize) && couldBePrimes({ p, q });
}

function isAddress(text: string): boolean {
  try {
    parseAddress(text);
    return true;
  } catch (error) {
    if (error instanceof ParseError) return false;
    throw error;
  }
}
