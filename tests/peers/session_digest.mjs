// Sessions of agents (docs/protocol.md, Receipts and repeats): digests, by which a receipt says of what it is. Part of an
// implementation that is independent of this project's, see session.mjs.

import { Buffer } from "node:buffer";
import { sha256 } from "./session_keys.mjs";

const DIGEST_SIZE = 16;
const NAME_SIZE = 8;
/** Names of held frames in a packet of a repair. */
const NAMES_LIMIT = 200;

/** The digest of frames, each as `encodeFrame` gives it. */
export function digestOf(frames) {
  const digest = Buffer.alloc(DIGEST_SIZE);
  for (const frame of frames) {
    const hash = sha256(frame);
    for (let at = 0; at < DIGEST_SIZE; at++) digest[at] ^= hash[at];
  }
  return digest;
}

/** What is told of frames in a repair: `stored` as in an account, `frames` the bytes of those that are there, by number. */
export function toldOf({ stored, frames, digest }) {
  const { others = [] } = stored;
  const names = others.length > NAMES_LIMIT ? [] : others.map((number) => {
    const frame = frames.get(number);
    return frame === undefined ? Buffer.alloc(NAME_SIZE) : sha256(frame).subarray(0, NAME_SIZE);
  });
  return { digest, names };
}

/**
 * What a side takes a receipt's `stored` for that has sent `sent` (bytes by number) and was told of `told` (numbers)
 * before: "late", "believed" or "other", which begins a repair. `base`: the digest of the numbers with which the last
 * repair has begun, which counts instead of what was sent with them.
 */
export function judgeReceipt({ stored, digest }, { sent, told, base = noBase }) {
  const numbers = numbersOf(stored);
  const isNew = numbers.some((number) => !told.has(number));
  if ([...told].some((number) => !numbers.includes(number))) return isNew ? "other" : "late";
  const later = numbers.filter((number) => !base.numbers.has(number));
  if (later.some((number) => !sent.has(number))) return "other";
  const expected = joined(base.digest, digestOf(later.map((number) => sent.get(number))));
  return expected.equals(digest) ? "believed" : "other";
}

const noBase = { numbers: new Set(), digest: Buffer.alloc(DIGEST_SIZE) };

/** The digest of two sets of frames that have none in common. */
export function joined(digest, other) {
  return Buffer.from(digest.map((byte, at) => byte ^ other[at]));
}

/** All numbers of a receipt's set. */
export function numbersOf({ upTo, ranges }) {
  const all = [{ from: 1, to: upTo }, ...ranges];
  return all.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, index) => from + index));
}
