import { equalBytes } from "../../protocol/mod.ts";
import type { BatchKind, LogStream, PublishOutcome } from "./log_stream.ts";
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

/**
 * Appends a batch behind the message `expected`, by as many attempts as it takes: all have the same bytes and the same
 * expected sequence, so that one of them at most is stored. Rejects with the signal's reason alone, and the outcome is
 * unknown then.
 */
export async function storeBatch(stream: LogStream, data: Uint8Array, options: StoreOptions): Promise<Fate> {
  const { expected, signal } = options;
  const backoff = new Backoff(options);
  for (;;) {
    const outcome = await unlessAborted(stream.publish(data, options), signal);
    if (outcome.type === "stored" && outcome.sequence === expected + 1) return "stored";
    if (outcome.type !== "unknown") {
      const fate = await retrying("read the log", () => fateOf(stream, data, expected), options);
      if (fate !== null) return fate;
    }
    await backoff.wait("write the log", causeOf(outcome));
  }
}

/** `null` when nothing is in the place of the batch, as far as the leader has come. */
async function fateOf(stream: LogStream, data: Uint8Array, expected: number): Promise<Fate | null> {
  const found = await stream.get(expected + 1);
  if (found !== null) return equalBytes(found, data) ? "stored" : "superseded";
  const { first } = await stream.state();
  return first > expected + 1 ? "purged" : null;
}

function causeOf(outcome: PublishOutcome): unknown {
  return outcome.type === "unknown" ? outcome.cause : undefined;
}
