// Sessions of agents (docs/protocol.md, Repair): packets by which a session is made anew. Part of an implementation that
// is independent of this project's, see session.mjs.

import { Buffer } from "node:buffer";
import { createHash, createHmac, hkdfSync } from "node:crypto";
import { Fields, orRefused, Refused, u16, u48, u8 } from "./session_bytes.mjs";
import { x25519 } from "./session_keys.mjs";

const STEPS = { call: 0, ask: 1, offer: 2, answer: 3 };
/** Those with what is told of frames. */
const TOLD_STEPS = { ask: 4, offer: 5 };
const ROLES = { call: 0, ask: 1, offer: 0, answer: 1 };
const WINDOW_BITS = 512;
const RUNS_LIMIT = 64;
const NAMES_LIMIT = 200;
const PUBLIC_SIZE = 1216;
const CIPHERTEXT_SIZE = 1088;
const MAC_SIZE = 32;

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

/** What is told of frames: `{ digest, names }`, a name for each number in the ranges of `stored`, or none. */
function told({ digest, names }) {
  return Buffer.concat([digest, u16(names.length), ...names]);
}

const CONTENTS = {
  call: ({ time, id, asked }) => [u48(time), id, u48(asked)],
  ask: (said) => [u48(said.time), said.id, ...accountOf(said)],
  offer: (said) => [said.id, said.publicPair, ...accountOf(said), rest(said.rest)],
  answer: (said) => [said.id, said.publicPair, said.ciphertext, rest(said.rest)],
};

function accountOf(said) {
  return said.told === undefined ? [account(said.account)] : [account(said.account), told(said.told)];
}

/** The bytes behind the packet's kind, without padding; `before`: the packets that it follows. */
export function repairPacket(step, said, { repairKey, before = [] }) {
  const code = said.told === undefined ? STEPS[step] : TOLD_STEPS[step];
  const content = Buffer.concat([u8(code), ...CONTENTS[step](said)]);
  return Buffer.concat([content, macOf(step, content, { repairKey, before })]);
}

function macOf(step, content, { repairKey, before }) {
  return createHmac("sha256", repairKey).update(Buffer.concat([u8(ROLES[step]), ...before, content]))
    .digest();
}

/** `{ step, said, bytes }` of what stands behind a packet's kind, or why it is refused. */
export function readRepairPacket(packet, { repairKey, before = [] }) {
  return orRefused(() => {
    const fields = new Fields(packet, "length");
    const code = fields.u8();
    const step = nameOf(STEPS, code) ?? nameOf(TOLD_STEPS, code);
    if (step === undefined) throw new Refused("step");
    const said = TAKES[step](fields, TOLD_STEPS[step] === code);
    const end = packet.length - fields.left;
    const mac = fields.take(MAC_SIZE);
    if (fields.rest().some((byte) => byte !== 0)) throw new Refused("padding");
    const content = packet.subarray(0, end);
    if (!macOf(step, content, { repairKey, before }).equals(mac)) throw new Refused("MAC");
    return { step, said, bytes: packet.subarray(0, end + MAC_SIZE) };
  });
}

const TAKES = {
  call: (fields) => ({ time: time(fields), id: fields.take(16), asked: time(fields) }),
  ask: (fields, isTold) => ({ time: time(fields), id: fields.take(16), ...takeAccount(fields, isTold) }),
  offer: (fields, isTold) => ({
    id: fields.take(16),
    publicPair: fields.take(PUBLIC_SIZE),
    ...takeAccount(fields, isTold),
    rest: takeRest(fields),
  }),
  answer: (fields) => ({
    id: fields.take(16),
    publicPair: fields.take(PUBLIC_SIZE),
    ciphertext: fields.take(CIPHERTEXT_SIZE),
    rest: takeRest(fields),
  }),
};

function takeAccount(fields, isTold) {
  const account = {
    stored: takeWindow(fields, 2 ** 40),
    greatest: below(2 ** 40, fields.u48()),
    user: below(2 ** 40, fields.u48()),
    hash: fields.take(32),
  };
  if (account.greatest < lastOf(account.stored)) throw new Refused("greatest");
  if (!isTold) return { account };
  const digest = fields.take(16), count = fields.u16();
  if (count > NAMES_LIMIT) throw new Refused("names");
  if (count !== 0 && count !== account.stored.others.length) throw new Refused("names");
  return { account, told: { digest, names: Array.from({ length: count }, () => fields.take(8)) } };
}

function takeRest(fields) {
  const rest = {
    receipted: takeWindow(fields, 2 ** 47),
    kept: below(2 ** 47, fields.u48()),
    next: below(2 ** 47, fields.u48()),
  };
  if (rest.next < rest.kept || rest.next < lastOf(rest.receipted)) throw new Refused("next");
  return rest;
}

function takeWindow(fields, limit) {
  const upTo = below(limit, fields.u48()), bits = fields.take(WINDOW_BITS / 8);
  const others = [];
  let runs = 0;
  for (let place = 0; place < WINDOW_BITS; place++) {
    if ((bits[Math.floor(place / 8)] & (128 >> (place % 8))) === 0) continue;
    const number = upTo + 1 + place;
    if (others.at(-1) !== number - 1) runs++;
    others.push(below(limit, number));
  }
  if (others[0] === upTo + 1 || runs > RUNS_LIMIT) throw new Refused("window");
  return { upTo, others };
}

function lastOf({ upTo, others }) {
  return others.at(-1) ?? upTo;
}

function time(fields) {
  return below(2 ** 47, fields.u48());
}

function below(limit, number) {
  if (number >= limit) throw new Refused("number");
  return number;
}

function nameOf(codes, code) {
  return Object.keys(codes).find((name) => codes[name] === code);
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
