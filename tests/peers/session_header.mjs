// Sessions of agents (sessions.md): the header of a ratchet message. Part of an implementation that is independent of
// this project, see session.mjs.

import { Buffer } from "node:buffer";
import { Fields, Refused, u32, u8 } from "./session_bytes.mjs";
import { CIPHERTEXT_SIZE, DH_SIZE, dhOf, KEM_SIZE, kemOf, TAG_SIZE } from "./session_keys.mjs";

const VERSION = 0;
/** Bytes of the longest message. */
export const MESSAGE_LIMIT = 4 * 1024 * 1024;
export const HEADER_SIZE = 65 + KEM_SIZE + CIPHERTEXT_SIZE;

export function encodeHeader({ session, salt, publicPair, ciphertext, previous, number }) {
  return Buffer.concat([
    u8(VERSION),
    session,
    salt,
    dhOf(publicPair),
    u32(previous),
    u32(number),
    kemOf(publicPair),
    ciphertext,
  ]);
}

/** The header of a message, its bytes, and the ciphertext behind it. */
export function parseMessage(message) {
  if (message.length > MESSAGE_LIMIT) throw new Refused("large");
  if (message.length < HEADER_SIZE + TAG_SIZE) throw new Refused("short");
  const fields = new Fields(message, "short");
  if (fields.u8() !== VERSION) throw new Refused("version");
  const header = {
    bytes: Buffer.from(message).subarray(0, HEADER_SIZE),
    session: fields.take(8),
    salt: fields.take(16),
    dh: fields.take(DH_SIZE),
    previous: fields.u32(),
    number: fields.u32(),
    kem: fields.take(KEM_SIZE),
    ciphertext: fields.take(CIPHERTEXT_SIZE),
  };
  return { header, sealed: fields.rest() };
}
