// Sessions of agents (sessions.md): route records. Part of an implementation that is independent of this project, see
// session.mjs.

import { Buffer } from "node:buffer";
import { Fields, orRefused, Refused, u16, u32, u8 } from "./session_bytes.mjs";

export const BLOCK_SIZES = [4096, 8192, 16384, 32768, 65536];
export const ROUTE_ID_SIZE = 8;
const SERVER_LIMIT = 320;
const PRIME_SIZE = 128;
const EXPONENT = 65537n;

export function encodeRoute(route) {
  const server = Buffer.from(route.server, "ascii");
  return Buffer.concat([
    route.id,
    u16(server.length),
    server,
    u8(route.senderId.length),
    route.senderId,
    route.p,
    route.q,
    route.key,
    u32(route.blockSize),
  ]);
}

/** Takes a route record off the fields. */
export function takeRoute(fields) {
  const id = fields.take(ROUTE_ID_SIZE);
  const serverLength = fields.u16();
  if (serverLength < 1 || serverLength > SERVER_LIMIT) throw new Refused("server");
  const serverBytes = fields.take(serverLength);
  if (serverBytes.some((byte) => byte < 0x21 || byte > 0x7e)) throw new Refused("server");
  const senderId = fields.take(fields.u8());
  if (senderId.length === 0) throw new Refused("sender ID");
  const p = fields.take(PRIME_SIZE);
  const q = fields.take(PRIME_SIZE);
  if (!arePrimesOfKey(number(p), number(q))) throw new Refused("sender key");
  const key = fields.take(32);
  const blockSize = fields.u32();
  if (!BLOCK_SIZES.includes(blockSize)) throw new Refused("block size");
  return { id, server: serverBytes.toString("ascii"), senderId, p, q, key, blockSize };
}

/** `{ route }`, or why the record is refused. */
export function decodeRoute(bytes) {
  return orRefused(() => {
    const fields = new Fields(bytes, "length");
    const route = takeRoute(fields);
    fields.end();
    return { route };
  });
}

function number(bytes) {
  return BigInt(`0x${bytes.toString("hex")}`);
}

/** What can be seen of them without work: whether they are primes is for whoever uses the key. */
function arePrimesOfKey(p, q) {
  const isOdd = (p & q & 1n) === 1n;
  const isCoprime = (p - 1n) % EXPONENT !== 0n && (q - 1n) % EXPONENT !== 0n;
  return isOdd && isCoprime && p > q && (p * q) >> 2047n === 1n;
}
