// Sessions of agents (sessions.md): the header of a ratchet message. Part of an implementation that is independent of
// this project, see session.mjs.

import { Buffer } from "node:buffer";
import { Fields, Refused, u32, u8 } from "./session_bytes.mjs";
import { CIPHERTEXT_SIZE, DH_SIZE, dhOf, KEM_SIZE, kemOf, TAG_SIZE } from "./session_keys.mjs";

export const SHORT_HEADER_SIZE = 65;
export const HEADER_SIZE = SHORT_HEADER_SIZE + KEM_SIZE + CIPHERTEXT_SIZE;
/** Form 0 has the KEM key and the ciphertext, form 1 has not. */
const FULL = 0;
const SHORT = 1;

export function encodeHeader({ isShort, session, salt, publicPair, ciphertext, previous, number }) {
  return Buffer.concat([
    u8(isShort ? SHORT : FULL),
    session,
    salt,
    dhOf(publicPair),
    u32(previous),
    u32(number),
    ...(isShort ? [] : [kemOf(publicPair), ciphertext]),
  ]);
}

/** The header of a message, its bytes, and the ciphertext behind it. */
export function parseMessage(message) {
  if (message.length < SHORT_HEADER_SIZE + TAG_SIZE) throw new Refused("short");
  const fields = new Fields(message, "short");
  const form = fields.u8();
  if (form !== FULL && form !== SHORT) throw new Refused("form");
  const size = form === FULL ? HEADER_SIZE : SHORT_HEADER_SIZE;
  if (message.length < size + TAG_SIZE) throw new Refused("short");
  const common = {
    isShort: form === SHORT,
    bytes: Buffer.from(message).subarray(0, size),
    session: fields.take(8),
    salt: fields.take(16),
    dh: fields.take(DH_SIZE),
    previous: fields.u32(),
    number: fields.u32(),
  };
  if (form === SHORT) return { header: common, sealed: fields.rest() };
  const kem = fields.take(KEM_SIZE);
  const ciphertext = fields.take(CIPHERTEXT_SIZE);
  return { header: { ...common, kem, ciphertext }, sealed: fields.rest() };
}
