import { equalBytes } from "../bytes.ts";

/** The most message keys that are kept for messages that have not come yet. */
export const mostSkipped = 2_000;
/** How long they are kept, milliseconds: 30 days. */
export const skippedLifetime: number = 30 * 24 * 60 * 60 * 1000;

/** The key of a message that has not come yet. */
export interface SkippedKey {
  /** The X25519 key that names the chain, 32 bytes. */
  readonly dh: Uint8Array<ArrayBuffer>;
  /** The message's number in the chain. */
  readonly number: number;
  /** The message key, 32 bytes. */
  readonly key: Uint8Array<ArrayBuffer>;
  /** When it was skipped, milliseconds since 1970. */
  readonly at: number;
}

/** The key of a message that is not too old; `null` when there is none. */
export function findSkipped(
  skipped: readonly SkippedKey[],
  { dh, number, now }: { readonly dh: Uint8Array; readonly number: number; readonly now: number },
): SkippedKey | null {
  return skipped.find((entry) =>
    entry.number === number && equalBytes(entry.dh, dh) && isFresh(entry, now)
  ) ??
    null;
}

/** Whether keys of a chain are kept. */
export function hasSkipped(skipped: readonly SkippedKey[], dh: Uint8Array): boolean {
  return skipped.some((entry) => equalBytes(entry.dh, dh));
}

/** The keys without those that are too old. */
export function withoutExpired(skipped: readonly SkippedKey[], now: number): readonly SkippedKey[] {
  return skipped.every((entry) => isFresh(entry, now))
    ? skipped
    : skipped.filter((entry) => isFresh(entry, now));
}

/** Adds keys, the oldest first, and drops the oldest beyond what may be kept. */
export function withSkipped(
  skipped: readonly SkippedKey[],
  added: readonly SkippedKey[],
): readonly SkippedKey[] {
  return added.length === 0 ? skipped : [...skipped, ...added].slice(-mostSkipped);
}

function isFresh({ at }: SkippedKey, now: number): boolean {
  return now - at <= skippedLifetime;
}
