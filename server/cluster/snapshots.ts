import type { LogStream } from "./log_stream.ts";
import type { PartitionState } from "./partition_state.ts";
import type { LogRecord, SnapshotPlace } from "./records.ts";
import { retrying, type RetryOptions } from "./retrying.ts";
import { sequenceOf, type SnapshotStore, writeSnapshot } from "./snapshot_store.ts";

/** Batches after which a snapshot is taken although they are small: reading them one by one is what a load takes. */
const mostBatches = 2_048;

/** Whose snapshots are taken. */
export interface SnapshotOwner {
  readonly state: PartitionState;
  readonly sequence: number;
  append(records: readonly LogRecord[]): Promise<unknown>;
}

export interface SnapshotsOptions {
  readonly owner: SnapshotOwner;
  readonly stream: LogStream;
  readonly snapshots: SnapshotStore;
  readonly snapshotAfter: number;
  /** Bytes of the log since the last snapshot. */
  readonly bytes: number;
  readonly signal: AbortSignal;
  readonly log?: (message: string, error?: unknown) => void;
}

/**
 * Takes snapshots of a partition when its log has grown enough, and removes what they replace: of the log what is before
 * the older one of the last two, and all snapshots before that. Each step may be the last one, and whatever is left over
 * is removed after the next snapshot.
 */
export class Snapshots {
  readonly #options: SnapshotsOptions;
  readonly #stop = new AbortController();
  readonly #retry: RetryOptions;
  #bytes: number;
  #running: Promise<void> | null = null;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
    const { log, owner: { state, sequence } } = options;
    const batches = sequence - (state.snapshot?.last.sequence ?? 0);
    this.#bytes = Math.max(options.bytes, batches * this.#least);
    this.#retry = { signal: AbortSignal.any([this.#stop.signal, options.signal]), ...(log && { log }) };
  }

  /** The log has grown by `length` bytes. */
  grown(length: number): void {
    this.#bytes += Math.max(length, this.#least);
    const { owner, snapshotAfter } = this.#options;
    const last = owner.state.snapshot?.last.bytes ?? 0;
    if (this.#bytes > Math.max(snapshotAfter, last) && !this.#retry.signal.aborted) {
      this.#running ??= this.#run();
    }
  }

  /** Takes no more, and stops the one that is being taken. */
  close(): void {
    this.#stop.abort(new Error("the partition is handed over"));
  }

  async idle(): Promise<void> {
    await this.#running;
  }

  /** What a batch counts as at least. */
  get #least(): number {
    return this.#options.snapshotAfter / mostBatches;
  }

  async #run(): Promise<void> {
    const { owner, log } = this.#options;
    const { sequence, state } = owner;
    this.#bytes = 0;
    try {
      // Both are of this turn.
      const records = state.records();
      const last = await writeSnapshot(this.#options.snapshots, { sequence, records }, this.#retry);
      const previous = state.snapshot?.last ?? null;
      await owner.append([{ type: "SNAPSHOT", last, previous }]);
      if (previous !== null) await this.#removeBefore(previous);
    } catch (error) {
      if (!this.#retry.signal.aborted) log?.("Cannot take a snapshot, the log goes on growing", error);
    }
    this.#running = null;
  }

  async #removeBefore({ sequence }: SnapshotPlace): Promise<void> {
    const { stream, snapshots } = this.#options;
    await retrying("purge the log", () => stream.purge(sequence + 1), this.#retry);
    const names = await retrying("list snapshots", () => snapshots.names(), this.#retry);
    for (const name of names) {
      // A later one may be one that another owner is writing.
      if ((sequenceOf(name) ?? sequence) >= sequence) continue;
      await retrying("remove a snapshot", () => snapshots.delete(name), this.#retry);
    }
  }
}
