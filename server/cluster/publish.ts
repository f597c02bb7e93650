import { equalBytes } from "../../protocol/mod.ts";
import type { BatchKind, LogStream } from "./log_stream.ts";
import { Backoff, retrying, type RetryOptions, unlessAborted } from "./retrying.ts";

/** What has become of a batch, for good. */
export type Fate =
  | "stored"
  /** Another's is in its place: it is not in the log and never will be. */
  | "superseded"
  /** What was in its place was removed since: it may have been this one. */
  | "purged"
  /** The log ends before the message behind which it was to be, and has for a minute. */
  | "behind";

export interface StoreOptions extends RetryOptions {
  readonly expected: number;
  readonly kind: BatchKind;
  /** Answers in a row, of which most come a second after the one before, that the log ends before `expected`. @default 80 */
  readonly mostBehind?: number;
}

/**
 * Appends a batch behind the message `expected`, by as many attempts as it takes: all have the same bytes and the same
 * expected sequence, so that one of them at most is stored. Rejects with the signal's reason alone, and the outcome is
 * unknown then.
 */
export async function storeBatch(stream: LogStream, data: Uint8Array, options: StoreOptions): Promise<Fate> {
  const { expected, signal, mostBehind = 80 } = options;
  const backoff = new Backoff(options);
  for (let behind = 0;;) {
    const outcome = await unlessAborted(stream.publish(data, options), signal);
    if (outcome.type === "stored" && outcome.sequence === expected + 1) return "stored";
    let cause: unknown = null;
    if (outcome.type === "unknown") {
      cause = outcome.cause;
      behind = 0;
    } else {
      const found = await retrying("read the log", () => fateOf(stream, data, expected), options);
      if (typeof found === "string") return found;
      // Of a leader that is a new one, or was followed, for a time: there is no other way to ask whether it has come so far.
      behind = found.last < expected ? behind + 1 : 0;
      if (behind === mostBehind) return "behind";
      if (behind > 0) {
        cause = new Error(`it ends at message ${found.last}, though it had message ${expected}`);
      }
    }
    await backoff.wait("write the log", cause);
  }
}

/** Where the log ends when nothing is in the place of the batch, as far as the leader has come. */
async function fateOf(
  stream: LogStream,
  data: Uint8Array,
  expected: number,
): Promise<Fate | { readonly last: number }> {
  const found = await stream.get(expected + 1);
  if (found !== null) return equalBytes(found, data) ? "stored" : "superseded";
  const { first, last } = await stream.state();
  return first > expected + 1 ? "purged" : { last };
}
