import { encodeBase64, joinParts, randomBytes } from "../../protocol/mod.ts";
import { encodeBatch, headerLength } from "./batch.ts";
import type { ClusterClock } from "./clock.ts";
import { PartitionLostError } from "./error.ts";
import { Gathering } from "./gathering.ts";
import { loadPartition, replayTo } from "./load.ts";
import type { BatchKind, LogStream } from "./log_stream.ts";
import type { PartitionState } from "./partition_state.ts";
import { type Fate, storeBatch } from "./publish.ts";
import { encodeRecord, type LogRecord } from "./records.ts";
import { retrying, type RetryOptions, unlessAborted } from "./retrying.ts";
import type { SnapshotStore } from "./snapshot_store.ts";
import { Snapshots } from "./snapshots.ts";

export interface PartitionLogOptions {
  readonly stream: LogStream;
  readonly snapshots: SnapshotStore;
  /** The name of the node that claims the partition. */
  readonly node: string;
  /** Ends the claim, and the log when there is one, as {@linkcode PartitionLog.giveUp} does. */
  readonly signal?: AbortSignal;
  /** Called once when the partition is another's, or was given up. */
  readonly onLost?: (error: PartitionLostError) => void;
  /** Bytes that are stored at once. @default 524288 */
  readonly largestBatch?: number;
  /** Bytes that may wait until they are stored. @default 67108864 */
  readonly mostWaiting?: number;
  /** Bytes of the log after which a snapshot is taken, if the last one has no more. @default 67108864 */
  readonly snapshotAfter?: number;
  /** Milliseconds since 1970. @default Date.now */
  readonly now?: () => number;
  /** Of pauses between batches. @default the machine's */
  readonly clock?: ClusterClock;
  readonly log?: (message: string, error?: unknown) => void;
}

interface Pending {
  readonly records: readonly LogRecord[];
  readonly bytes: Uint8Array;
  readonly kind: BatchKind;
  readonly resolve: (changes: number[]) => void;
  readonly reject: (error: PartitionLostError) => void;
}

const defaults = { largestBatch: 1 << 19, mostWaiting: 1 << 26, snapshotAfter: 1 << 26 };

/**
 * The log of a partition by its owner: one batch is stored at a time, and the next has all that waits meanwhile. What is
 * in memory is a fold over what is stored. An owner that another one has followed learns it by its next batch, which is
 * not stored.
 */
export class PartitionLog implements AsyncDisposable {
  /** The sequence of this owner's claim: greater than that of every owner before. */
  readonly epoch: number;
  /** What the log says as far as it was answered. */
  readonly state: PartitionState;
  readonly #options: PartitionLogOptions & typeof defaults;
  readonly #stop = new AbortController();
  readonly #snapshots: Snapshots;
  readonly #gathering: Gathering;
  #sequence: number;
  /** The sequence of the last batch that is stored. */
  #stored: number;
  #appending: Promise<void> = Promise.resolve();
  #batches = 1;
  #pending: Pending[] = [];
  #storing: readonly Pending[] = [];
  #waiting = 0;
  /** Since when the batch that is being stored is, by `performance.now()`. */
  #storingSince: number | null = null;
  #running: Promise<void> | null = null;
  #resumed: PromiseWithResolvers<void> | null = null;
  #closing = false;
  #lost: PartitionLostError | null = null;

  private constructor(
    { epoch, state, bytes }: {
      readonly epoch: number;
      readonly state: PartitionState;
      readonly bytes: number;
    },
    options: PartitionLogOptions & typeof defaults,
  ) {
    this.epoch = this.#sequence = this.#stored = epoch;
    this.state = state;
    this.#options = options;
    this.#gathering = new Gathering(options.clock);
    this.#snapshots = new Snapshots({ ...options, owner: this, bytes, signal: this.#stop.signal });
    options.signal?.addEventListener("abort", this.#abort);
  }

  /**
   * Takes over a partition: appends a claim, which keeps former owners from appending anything more, and folds the log
   * up to it. Repeats what fails until it succeeds. Rejects with the signal's reason, with {@linkcode PartitionLostError}
   * when another one was faster, and with `PartitionDamagedError` when the log cannot be folded.
   */
  static async claim(given: PartitionLogOptions): Promise<PartitionLog> {
    const options = { ...defaults, ...given };
    const { stream, snapshots, node, signal = new AbortController().signal, now = Date.now, log } = options;
    const retry: RetryOptions = { signal, ...(log && { log }) };
    const parts = { stream, snapshots, retry };
    const state = () => retrying("read the log", () => stream.state(), retry);
    // Most of it before the claim: the former owner may serve until then.
    let loaded = await loadPartition(parts, null);
    for (;;) {
      const { last } = await state();
      const nonce = encodeBase64(randomBytes(16));
      const epoch = last + 1;
      const record = encodeRecord({ type: "CLAIM", node, nonce });
      const batch = encodeBatch({ epoch, number: 0, at: now() }, [record]);
      const fate = await storeBatch(stream, batch, { ...retry, expected: last, kind: "batch" });
      // Another one has written meanwhile. What was removed since may have been this claim: a later one counts.
      if (fate !== "stored") continue;
      loaded = await replayTo(parts, loaded, epoch) ?? await loadPartition(parts, epoch);
      return new PartitionLog({ ...loaded, epoch }, options);
    }
  }

  /** The sequence of the last batch that is folded. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Why the partition is not owned any more; `null` as long as nothing says so. */
  get lost(): PartitionLostError | null {
    return this.#lost;
  }

  get paused(): boolean {
    return this.#resumed !== null;
  }

  /** Bytes that wait until they are stored. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Milliseconds that the oldest of them have waited. */
  get lag(): number {
    return this.#storingSince === null ? 0 : performance.now() - this.#storingSince;
  }

  /**
   * Appends records, together and in this order. Resolves when they are stored and folded, with how many things each has
   * changed; rejects with {@linkcode PartitionLostError} alone, and with `RangeError` for what no batch can hold.
   */
  append(records: readonly LogRecord[]): Promise<number[]> {
    const { largestBatch, mostWaiting } = this.#options;
    if (this.#lost !== null || this.#closing) return Promise.reject(this.#ended());
    let bytes: Uint8Array;
    try {
      bytes = joinParts(records.map(encodeRecord));
      if (headerLength + bytes.length > largestBatch) {
        throw new RangeError(`Cannot append ${bytes.length} bytes: a batch holds ${largestBatch}`);
      }
    } catch (error) {
      return Promise.reject(error);
    }
    if (this.#waiting + bytes.length > mostWaiting) {
      const message = `Cannot append to the partition: ${this.#waiting} bytes wait`;
      return Promise.reject(new PartitionLostError(message, { neverStored: true }));
    }
    const kind = records.some(({ type }) => type === "SNAPSHOT") ? "snapshot" : "batch";
    return new Promise((resolve, reject) => {
      this.#waiting += bytes.length;
      this.#pending.push({ records, bytes, kind, resolve, reject });
      this.#gathering.grown(this.#waiting);
      this.#running ??= this.#run();
    });
  }

  /**
   * Resolves nothing until {@linkcode resume}, and writes nothing but what {@linkcode confirm} does, as an owner that may
   * not be one any more.
   */
  pause(): void {
    this.#resumed ??= Promise.withResolvers();
  }

  resume(): void {
    this.#resumed?.resolve();
    this.#resumed = null;
  }

  /**
   * Whether nobody else has written meanwhile; the partition is given up if so. It stores something: who is asked may be a
   * leader that has been followed itself, or has not come so far.
   */
  async confirm(): Promise<boolean> {
    try {
      const { fate } = await this.#append("batch", []);
      if (fate !== "stored") this.#followed(fate);
    } catch (error) {
      if (this.#lost === null) throw error;
    }
    return this.#lost === null;
  }

  /** Ends at once; what waits is never stored, and the outcome of what is being stored is unknown. */
  giveUp(cause?: unknown): void {
    this.#lose("Cannot go on with the partition: it was given up", { neverStored: false, cause });
  }

  /** Takes nothing more, and ends when all that waits is stored: for an owner that hands its partition over. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#gathering.end();
    this.#snapshots.close();
    await this.#running;
    await this.#snapshots.idle();
    this.giveUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.giveUp();
    await this.#running;
    await this.#snapshots.idle();
  }

  readonly #abort = () => this.giveUp(this.#options.signal?.reason);

  async #run(): Promise<void> {
    // So that all commands of this turn are written together.
    await Promise.resolve();
    try {
      while (this.#pending.length > 0) {
        this.#storingSince = performance.now();
        await this.#unpaused();
        const batch = this.#storing = this.#take();
        const began = this.#gathering.now();
        const isAlone = await this.#store(batch);
        this.#storing = [];
        if (this.#pending.length === 0) this.#storingSince = null;
        if (!isAlone) await this.#gathering.pause(this.#gathering.now() - began, this.#waiting);
      }
    } catch (cause) {
      // The partition was given up, or the fold is not what the log says.
      this.#lose("Cannot go on with the partition", { neverStored: false, cause });
    }
    this.#storingSince = null;
    this.#running = null;
  }

  /** Everything that waits, as far as one batch holds it. */
  #take(): readonly Pending[] {
    const { kind } = this.#pending[0]!;
    let count = 0, size = headerLength;
    for (const pending of this.#pending) {
      size += pending.bytes.length;
      if (size > this.#options.largestBatch || pending.kind !== kind || kind === "snapshot" && count === 1) {
        break;
      }
      count++;
    }
    return this.#pending.splice(0, count);
  }

  /** Resolves with whether nothing else came before it was answered. */
  async #store(batch: readonly Pending[]): Promise<boolean> {
    const { fate, at, length, sequence } = await this.#append(
      batch[0]!.kind,
      batch.map(({ bytes }) => bytes),
    );
    if (fate !== "stored") {
      this.#followed(fate);
      return true;
    }
    await this.#unpaused();
    const changes = batch.map(({ records }) => records.map((record) => this.state.apply(record, at)));
    this.#sequence = sequence;
    const isAlone = batch.length === 1 && this.#pending.length === 0;
    for (const [i, { bytes, resolve }] of batch.entries()) {
      this.#waiting -= bytes.length;
      resolve(changes[i]!);
    }
    this.#snapshots.grown(length);
    return isAlone;
  }

  /** Stores records behind what was stored last, when what is being stored has been. */
  async #append(kind: BatchKind, records: readonly Uint8Array[]) {
    const { stream, now = Date.now, log } = this.#options;
    const before = this.#appending, { promise, resolve } = Promise.withResolvers<void>();
    this.#appending = promise;
    await before;
    try {
      this.#stop.signal.throwIfAborted();
      const at = now(), expected = this.#stored;
      const data = encodeBatch({ epoch: this.epoch, number: this.#batches++, at }, records);
      const options = { signal: this.#stop.signal, ...(log && { log }), expected, kind };
      const fate = await storeBatch(stream, data, options);
      if (fate === "stored") this.#stored++;
      return { fate, at, length: data.length, sequence: expected + 1 };
    } finally {
      resolve();
    }
  }

  #followed(fate: Fate): void {
    const neverStored = fate === "superseded";
    this.#lose("Cannot write to the partition: another owner has followed", { neverStored });
  }

  async #unpaused(): Promise<void> {
    while (this.#resumed !== null) await unlessAborted(this.#resumed.promise, this.#stop.signal);
    this.#stop.signal.throwIfAborted();
  }

  /** `neverStored`: of what is being stored; what waits behind it never is. */
  #lose(message: string, details: { readonly neverStored: boolean; readonly cause?: unknown }): void {
    if (this.#lost !== null) return;
    this.#options.signal?.removeEventListener("abort", this.#abort);
    const error = this.#lost = new PartitionLostError(message, details);
    const never = new PartitionLostError(message, { ...details, neverStored: true });
    for (const { reject } of this.#storing) reject(error);
    for (const { reject } of this.#pending.splice(0)) reject(never);
    this.#storing = [];
    this.#waiting = 0;
    this.#gathering.end();
    this.#stop.abort(error);
    this.#options.onLost?.(error);
  }

  #ended(): PartitionLostError {
    const { message } = this.#lost ?? { message: "Cannot append to the partition: it is being handed over" };
    return new PartitionLostError(message, { neverStored: true, cause: this.#lost });
  }
}
