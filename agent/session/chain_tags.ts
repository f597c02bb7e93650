/** What tells the last messages of the other side's chain from others with their places (sessions.md Repair). */
import { tagLength } from "../../protocol/mod.ts";

/** Messages that are remembered: a restored side may have used some of their keys for what it has never sent. */
const mostTags = 32;

/** Bytes of the tag of each. */
const shortTag = 4;

/** A message of a chain, by its number there. */
interface Placed {
  readonly message: Uint8Array<ArrayBuffer>;
  readonly number: number;
}

/**
 * Short tags of the messages before the next one of a chain, with zeros for those that have not come, after one more.
 * `end`: the number of the next one, before (0: it is a new chain) and after this message.
 */
export function withTag(
  tags: Uint8Array<ArrayBuffer>,
  { message, number }: Placed,
  [before, after]: readonly [before: number, after: number],
): Uint8Array<ArrayBuffer> {
  const known = before === 0 ? new Uint8Array(0) : tags;
  const all = new Uint8Array(known.length + (after - before) * shortTag);
  all.set(known);
  const at = all.length - (after - number) * shortTag;
  if (at >= 0) all.set(tagOf(message), at);
  return all.slice(-mostTags * shortTag);
}

/** Whether another message of a number is known to have come; `end`: the number of the next one of the chain. */
export function isAnother(tags: Uint8Array<ArrayBuffer>, { message, number }: Placed, end: number): boolean {
  const at = tags.length - (end - number) * shortTag;
  if (at < 0 || number >= end) return false;
  const known = tags.subarray(at, at + shortTag);
  return known.some((byte) => byte !== 0) && tagOf(message).some((byte, i) => byte !== known[i]);
}

function tagOf(message: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const at = message.length - tagLength;
  return message.slice(at, at + shortTag);
}
