import { equalBytes } from "../../protocol/mod.ts";
import type { BatchKind, LogStream } from "./log_stream.ts";
import { Backoff, retrying, type RetryOptions, unlessAborted } from "./retrying.ts";

/** What has become of a batch, for good. */
export type Fate =
  | "stored"
  /** Another's is in its place: it is not in the log and never will be. */
  | "superseded"
  /** What was in its place was removed since: it may have been this one. */
  | "purged";

export interface StoreOptions extends RetryOptions {
  readonly expected: number;
  readonly kind: BatchKind;
}

/** Answers in a row that the log ends before `expected` until another leader is asked for: after 3 s, and each 10 s. */
const behindAnswers = { first: 8, every: 10 };

/**
 * Appends a batch behind the message `expected`, by as many attempts as it takes: all have the same bytes and the same
 * expected sequence, so that one of them at most is stored. Rejects with the signal's reason alone, and the outcome is
 * unknown then.
 */
export async function storeBatch(stream: LogStream, data: Uint8Array, options: StoreOptions): Promise<Fate> {
  const { expected, signal, log } = options;
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
      behind = found.last < expected ? behind + 1 : 0;
      if (behind > 0) {
        cause = new Error(`it ends at message ${found.last}, though it had message ${expected}`);
      }
      if (behind % behindAnswers.every === behindAnswers.first) {
        // A new leader may not have come so far yet; one that NATS elected though it lacks some of it never does.
        log?.("its leader is behind: asking for another one", cause);
        await unlessAborted(stream.stepDown(), signal).catch((error) => {
          if (!signal.aborted) log?.("Cannot have another leader", error);
        });
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
