// Sessions of agents (docs/protocol.md, Repair): packets by which a session is made anew. Part of an implementation that
// is independent of this project's, see session.mjs.

import { Buffer } from "node:buffer";
import { createHash, createHmac, hkdfSync } from "node:crypto";
import { u48, u8 } from "./session_bytes.mjs";
import { x25519 } from "./session_keys.mjs";

const STEPS = { call: 0, ask: 1, offer: 2, answer: 3 };
const ROLES = { call: 0, ask: 1, offer: 0, answer: 1 };

/** A set of numbers, `{ upTo, others }`, as 6 bytes and 512 bits. */
function windowOf({ upTo, others = [] }) {
  const bits = Buffer.alloc(64);
  for (const number of others) {
    const place = number - upTo - 1;
    bits[Math.floor(place / 8)] |= 128 >> (place % 8);
  }
  return Buffer.concat([u48(upTo), bits]);
}

/** What a side has: `{ stored, greatest, user, hash }`. */
function account({ stored, greatest, user, hash }) {
  return Buffer.concat([windowOf(stored), u48(greatest), u48(user), hash]);
}

/** What a side can send: `{ receipted, kept, next }`. */
function rest({ receipted, kept, next }) {
  return Buffer.concat([windowOf(receipted), u48(kept), u48(next)]);
}

const CONTENTS = {
  call: ({ time, id, asked }) => [u48(time), id, u48(asked)],
  ask: (said) => [u48(said.time), said.id, account(said.account)],
  offer: (said) => [said.id, said.publicPair, account(said.account), rest(said.rest)],
  answer: (said) => [said.id, said.publicPair, said.ciphertext, rest(said.rest)],
};

/** The bytes behind the packet's kind, without padding; `before`: the packets that it follows. */
export function repairPacket(step, said, { repairKey, before = [] }) {
  const content = Buffer.concat([u8(STEPS[step]), ...CONTENTS[step](said)]);
  const mac = createHmac("sha256", repairKey).update(
    Buffer.concat([u8(ROLES[step]), ...before, content]),
  ).digest();
  return Buffer.concat([content, mac]);
}

export function repairTranscript({ ask, offer, answer }) {
  return createHash("sha256").update("smp-session-repair-1").update(ask).update(offer).update(answer)
    .digest();
}

/** The root of the new session. */
export function repairedRoot({ transcript, kemSecret, ownPair, otherPublic, repairKey }) {
  const dhSecret = x25519(ownPair.dhPrivate, otherPublic.subarray(0, 32));
  const secret = Buffer.concat([kemSecret, dhSecret, repairKey]);
  return Buffer.from(hkdfSync("sha256", secret, transcript, "smp-session", 32));
}
