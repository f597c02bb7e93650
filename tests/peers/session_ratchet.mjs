// Sessions of agents (sessions.md): the double ratchet. Part of an implementation that is independent of this project,
// see session.mjs. A state is a value: what a function is given stays as it was.
//
// Why `decrypt` refuses: large, short, version, session, own key, used (decrypted before, or too old), unexpected chain (a new
// one while a step is due here), far, all of these before any work; damaged, rewound.

import { Buffer } from "node:buffer";
import { orRefused, Refused } from "./session_bytes.mjs";
import { encodeHeader, parseMessage } from "./session_header.mjs";
import {
  decapsulate,
  dhOf,
  encapsulate,
  hkdf,
  hmac,
  isKemKey,
  kemOf,
  makePair,
  open,
  seal,
  x25519,
} from "./session_keys.mjs";

/** How far a number may be beyond the next one of its chain, and how many keys are kept in all. */
export const SKIP_LIMIT = 2000;
/** Milliseconds. */
export const SKIP_AGE_LIMIT = 30 * 24 * 3600 * 1000;
export const RETIRED_LIMIT = 32;

/** The first state; `other` is the public half of the other side's first pair, to which only the joiner makes a step. */
export function startRatchet({ role, transcript, root, pair, other }) {
  const isJoiner = role === "joiner";
  return {
    role,
    transcript,
    rootKey: root,
    pair,
    other: isJoiner ? other : null,
    isStepDue: isJoiner,
    sending: null,
    receiving: null,
    retired: [Buffer.from(dhOf(other))],
    skipped: new Map(),
  };
}

/** `{ state, message }`, or refused as early. */
export function encrypt(kit, before, plaintext) {
  return orRefused(() => {
    const state = before.isStepDue ? step(kit, before) : before;
    if (state.sending === null) throw new Refused("early");
    const { sending, transcript } = state;
    const salt = kit.random(16);
    const header = encodeHeader({
      ...sending,
      session: transcript.subarray(0, 8),
      salt,
    });
    const keys = messageKeys(messageKey(sending.chainKey), salt);
    const sealed = seal({ ...keys, plaintext, additional: Buffer.concat([transcript, header]) });
    return {
      state: {
        ...state,
        sending: { ...sending, chainKey: nextChainKey(sending.chainKey), number: sending.number + 1 },
      },
      message: Buffer.concat([header, sealed]),
    };
  });
}

/** `{ state, plaintext }`, or why it is refused; `now` in milliseconds is for the age of skipped keys. */
export function decrypt(kit, state, message, now) {
  return orRefused(() => {
    const { header, sealed } = parseMessage(message);
    if (!header.session.equals(state.transcript.subarray(0, 8))) throw new Refused("session");
    if (header.dh.equals(dhOf(state.pair.public))) throw new Refused("own key");
    const skipped = withoutOld(state.skipped, now);
    const opened = (chainKey) => {
      const keys = messageKeys(chainKey, header.salt);
      const additional = Buffer.concat([state.transcript, header.bytes]);
      const plaintext = open({ ...keys, sealed, additional });
      if (plaintext === null) throw new Refused("damaged");
      return plaintext;
    };

    const name = nameOf(header.dh, header.number);
    const kept = skipped.get(name);
    if (kept !== undefined) {
      const plaintext = opened(kept.key);
      skipped.delete(name);
      return { state: { ...state, skipped }, plaintext };
    }

    const { receiving } = state;
    if (receiving !== null && header.dh.equals(receiving.dh)) {
      if (header.number < receiving.number) throw new Refused("used");
      if (header.number - receiving.number > SKIP_LIMIT || header.number === 0xffffffff) {
        throw new Refused("far");
      }
      const chain = advance(receiving, header.number);
      const plaintext = opened(messageKey(chain.chainKey));
      keep(skipped, chain.passed, now);
      return { state: { ...state, receiving: advance(chain, header.number + 1).chain, skipped }, plaintext };
    }
    if (state.retired.some((dh) => dh.equals(header.dh))) throw new Refused("used");
    if (state.isStepDue) throw new Refused("unexpected chain");
    if (header.number > SKIP_LIMIT) throw new Refused("far");

    const { rootKey, chainKey } = receivingStep(kit, state, header);
    const chain = advance({ dh: header.dh, chainKey, number: 0 }, header.number);
    const plaintext = opened(messageKey(chain.chainKey));
    if (receiving !== null && header.previous < receiving.number) throw new Refused("rewound");
    if (receiving !== null && header.previous - receiving.number <= SKIP_LIMIT) {
      keep(skipped, advance(receiving, header.previous).passed, now);
    }
    keep(skipped, chain.passed, now);
    return {
      state: {
        ...state,
        rootKey,
        other: Buffer.concat([header.dh, header.kem]),
        isStepDue: true,
        receiving: advance(chain, header.number + 1).chain,
        retired: receiving === null ? state.retired : [...state.retired, receiving.dh].slice(-RETIRED_LIMIT),
        skipped,
      },
      plaintext,
    };
  });
}

function step(kit, state) {
  const pair = makePair(kit);
  const { ciphertext, secret } = encapsulate(kit, kemOf(state.other));
  const dhSecret = x25519(pair.dhPrivate, dhOf(state.other));
  const { rootKey, chainKey } = rootStep(state.rootKey, dhSecret, secret);
  const previous = state.sending?.number ?? 0;
  return {
    ...state,
    rootKey,
    pair,
    isStepDue: false,
    sending: { chainKey, number: 0, previous, publicPair: pair.public, ciphertext },
  };
}

function receivingStep(kit, state, header) {
  const dhSecret = x25519(state.pair.dhPrivate, header.dh);
  if (dhSecret === null || !isKemKey(header.kem)) throw new Refused("damaged");
  return rootStep(state.rootKey, dhSecret, decapsulate(kit, header.ciphertext, state.pair));
}

function rootStep(rootKey, dhSecret, kemSecret) {
  const secret = Buffer.concat([dhSecret, kemSecret]);
  const keys = hkdf({ salt: rootKey, secret, info: "smp-session-root", length: 64 });
  return { rootKey: keys.subarray(0, 32), chainKey: keys.subarray(32) };
}

function messageKey(chainKey) {
  return hmac(chainKey, Buffer.of(1));
}

function nextChainKey(chainKey) {
  return hmac(chainKey, Buffer.of(2));
}

function messageKeys(key, salt) {
  const bytes = hkdf({ salt, secret: key, info: "smp-session-message", length: 44 });
  return { key: bytes.subarray(0, 32), nonce: bytes.subarray(32) };
}

/** A receiving chain moved on to `number`, and the message keys that were passed on the way. */
function advance({ dh, chainKey, number }, to) {
  const passed = [];
  let key = chainKey;
  for (let at = number; at < to; at++) {
    passed.push([nameOf(dh, at), messageKey(key)]);
    key = nextChainKey(key);
  }
  const chain = { dh, chainKey: key, number: Math.max(number, to) };
  return { ...chain, chain, passed };
}

function nameOf(dh, number) {
  return `${dh.toString("hex")} ${number}`;
}

function withoutOld(skipped, now) {
  return new Map([...skipped].filter(([, { time }]) => now - time <= SKIP_AGE_LIMIT));
}

/** Adds message keys to a map that has the oldest first. */
function keep(skipped, passed, now) {
  for (const [name, key] of passed) skipped.set(name, { key, time: now });
  for (const name of [...skipped.keys()].slice(0, Math.max(0, skipped.size - SKIP_LIMIT))) {
    skipped.delete(name);
  }
}
