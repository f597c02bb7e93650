import type { ClusterClock } from "./clock.ts";
import { EngineError, PartitionLostError } from "./error.ts";

/** Milliseconds. */
const times = { again: 5_000, afterGivingWay: 120_000 };
/** Claims in a row that fail before others are to try. */
const mostFailures = 3;

interface Failure {
  readonly at: number;
  readonly count: number;
  readonly why: string;
  /** Since when nobody has the partition, as far as is known. */
  orphanedAt: number;
}

/** Which claims of partitions have failed at this node. */
export class FailedClaims {
  readonly #clock: ClusterClock;
  readonly #failures = new Map<number, Failure>();

  constructor(clock: ClusterClock) {
    this.#clock = clock;
  }

  /** A claim has failed; whether another node is to take the partition. */
  add(partition: number, error: unknown): boolean {
    const before = this.#failures.get(partition)?.count ?? 0;
    // Who finds that another was faster could have taken it, and what NATS fails at may fail at all nodes.
    const saysNothing = error instanceof PartitionLostError || error instanceof EngineError;
    const count = saysNothing ? before : before + 1;
    const why = error instanceof Error ? error.message : String(error);
    const at = this.#clock.now();
    this.#failures.set(partition, { at, count, why, orphanedAt: at });
    return count >= mostFailures;
  }

  /** The partition was taken. */
  end(partition: number): void {
    this.#failures.delete(partition);
  }

  /** Why the last claim has failed. */
  why(partition: number): string | null {
    return this.#failures.get(partition)?.why ?? null;
  }

  /** Whether the last claim has failed a moment ago. */
  isRecent(partition: number): boolean {
    return this.#clock.now() - (this.#failures.get(partition)?.at ?? -Infinity) < times.again;
  }

  /** Whether others that were to take a partition had time enough; to be asked again and again. */
  hasWaited(partition: number, { isOwned }: { readonly isOwned: boolean }): boolean {
    const failure = this.#failures.get(partition);
    if (failure === undefined) return false;
    const now = this.#clock.now();
    if (isOwned) failure.orphanedAt = now;
    return now - failure.orphanedAt >= times.afterGivingWay;
  }
}
