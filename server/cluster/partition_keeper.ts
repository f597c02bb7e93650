import type { LocalBrokers } from "../broker/local_brokers.ts";
import type { Turns } from "../guard/turns.ts";
import type { Gate } from "../link/gated_stream.ts";
import type { ClusterStreams } from "./cluster_streams.ts";
import { type ClusterClock, steadyClock } from "./clock.ts";
import { EngineError, PartitionLostError, restoredError } from "./error.ts";
import { FailedClaims } from "./failed_claims.ts";
import type { NodeLease } from "./lease.ts";
import { OlderClaims } from "./older_claims.ts";
import { OwnedPartition } from "./owned_partition.ts";
import { type Ownership, ownershipOf } from "./ownership.ts";
import type { PartitionLog, PartitionLogOptions } from "./partition_log.ts";
import { placePartitions, type Unable } from "./placement.ts";
import { retrying } from "./retrying.ts";

export interface PartitionKeeperOptions {
  readonly node: string;
  readonly partitions: number;
  readonly lease: NodeLease;
  readonly streams: ClusterStreams;
  readonly gate: Gate;
  readonly brokers: LocalBrokers;
  readonly turns: Turns;
  /** Bytes of a log after which a snapshot is taken. */
  readonly snapshotAfter?: number;
  /** This node cannot go on: the engine has an older state than before. */
  readonly restored: (error: EngineError) => void;
  /** What this node owns has changed. */
  readonly changed: () => void;
  /** By which claims are slow, or have failed a while ago. @default the machine's */
  readonly clock?: ClusterClock;
  readonly log: (level: "info" | "warn" | "error", message: string, error?: unknown) => void;
}

/** Partitions that are handed over at a time. */
const mostMoves = 2;
/**
 * Partitions that are claimed at a time: nodes that start meanwhile take their share of the others before this one has
 * loaded all. One that takes longer than `slowClaim` may be waiting for its log, and holds up none.
 */
const mostClaims = 2;
/** Milliseconds. */
const times = { look: 1_000, slowClaim: 5_000 };

interface Claim {
  readonly ending: AbortController;
  readonly since: number;
}

/** The partitions of this node: claims those that it should have and nobody has, and gives away what others should have. */
export class PartitionKeeper {
  readonly #options: PartitionKeeperOptions;
  readonly #clock: ClusterClock;
  readonly #owned = new Map<number, OwnedPartition>();
  readonly #claims = new Map<number, Claim>();
  readonly #releasing = new Set<number>();
  readonly #failed: FailedClaims;
  readonly #older = new OlderClaims();
  readonly #tasks = new Set<Promise<void>>();
  readonly #ending = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  #isPaused = false;
  /** How often this node was taken for dead. */
  #confirmations = 0;

  constructor(options: PartitionKeeperOptions) {
    this.#options = options;
    this.#clock = options.clock ?? steadyClock;
    this.#failed = new FailedClaims(this.#clock);
    this.#timer = setInterval(() => this.look(), times.look);
    this.look();
  }

  /** Those that links can be made to. */
  get serving(): readonly number[] {
    return [...this.#owned.values()].filter(({ isServing }) => isServing).map(({ partition }) => partition);
  }

  get all(): Iterable<OwnedPartition> {
    return this.#owned.values();
  }

  /** Partitions that are being claimed. */
  get claiming(): ReadonlySet<number> {
    return new Set(this.#claims.keys());
  }

  /** Why this node leaves a partition to others; `null` where it does not. */
  unable(partition: number): string | null {
    return this.#options.lease.isUnable(partition) ? this.#failed.why(partition) : null;
  }

  /** A partition that links can be made to. */
  serves(partition: number): OwnedPartition | undefined {
    const owned = this.#owned.get(partition);
    return owned?.isServing === true ? owned : undefined;
  }

  /** Who owns each partition, by what this node knows and the others say. */
  get ownership(): readonly (Ownership | null)[] {
    const { lease, partitions, node } = this.#options;
    return ownershipOf(lease.members, partitions).map((known, partition) => {
      const own = this.#owned.get(partition);
      if (own === undefined) return known?.node === node ? null : known;
      return known === null || known.epoch <= own.epoch ? { node, epoch: own.epoch } : known;
    });
  }

  /** Writes nothing until {@linkcode resume}. */
  pause(): void {
    this.#isPaused = true;
    for (const { log } of this.#owned.values()) log.pause();
  }

  resume(): void {
    this.#isPaused = false;
    for (const { log } of this.#owned.values()) log.resume();
    this.look();
  }

  /** Resolves when it is known which partitions others have claimed while this node was taken for dead. */
  async confirm(): Promise<void> {
    this.#confirmations++;
    const { signal } = this.#ending;
    await Promise.all([...this.#owned.values()].map(({ log }) => confirm(log, signal)));
  }

  /** Does what the others make necessary. */
  look(): void {
    const { lease, node } = this.#options;
    if (this.#ending.signal.aborted || this.#isPaused || !lease.holds) return;
    const ownership = this.ownership;
    const older = this.#older.look(ownership, this.#clock.now());
    if (older !== null) return this.#options.restored(restoredError(older));
    const current = ownership.map((owner) => owner?.node ?? null);
    const { live } = lease;
    const unable = this.#unable;
    placePartitions(current, live, unable).forEach((desired, partition) => {
      const isOwned = current[partition] !== null;
      if (this.#failed.hasWaited(partition, { isOwned })) lease.setUnable(partition, false);
      const own = this.#owned.get(partition);
      if (own === undefined) {
        if (desired === node && !isOwned) this.#claim(partition);
      } else if (current[partition] !== node) {
        this.#run(own.giveUp());
      } else if (desired !== null && desired !== node && this.#releasing.size < mostMoves) {
        // What no other can take stays.
        if (unable.get(desired)?.has(partition) !== true) this.#release(own);
      }
    });
  }

  /** Gives all partitions away while there is somebody to take them; resolves at the latest when the signal aborts. */
  async handOver(signal: AbortSignal): Promise<void> {
    const { lease, node } = this.#options;
    const isWanted = (partition: number) =>
      lease.live.some((other) => other !== node && this.#unable.get(other)?.has(partition) !== true);
    while (!signal.aborted && [...this.#owned.keys()].some(isWanted)) {
      this.look();
      await this.#clock.wait(20, signal);
    }
  }

  /** Stores what waits, and ends; what could not be stored when the signal aborts never is. */
  async end(signal: AbortSignal): Promise<void> {
    clearInterval(this.#timer);
    const ends = new Error("the node ends");
    this.#ending.abort(ends);
    for (const { ending } of this.#claims.values()) ending.abort(ends);
    const giveUp = () => [...this.#owned.values()].forEach((owned) => this.#run(owned.giveUp()));
    signal.addEventListener("abort", giveUp);
    if (signal.aborted) giveUp();
    for (const owned of [...this.#owned.values()]) if (owned.isServing) this.#release(owned);
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    signal.removeEventListener("abort", giveUp);
  }

  #claim(partition: number): void {
    const now = this.#clock.now();
    if (this.#claims.has(partition) || this.#failed.isRecent(partition)) return;
    const others = [...this.#claims.values()].filter(({ since }) => now - since < times.slowClaim);
    if (others.length >= mostClaims) return;
    const ending = new AbortController();
    this.#claims.set(partition, { ending, since: now });
    this.#run(
      this.#claimNow(partition, ending.signal).catch((error) => {
        if (this.#ending.signal.aborted) return;
        const { lease, log } = this.#options;
        const wasLost = error instanceof PartitionLostError;
        log(wasLost ? "warn" : "error", `Cannot take over partition ${partition}`, error);
        if (!this.#failed.add(partition, error) || lease.isUnable(partition)) return;
        log("error", `leaves partition ${partition} to other nodes, as it could not take it again and again`);
        lease.setUnable(partition, true);
      }).finally(() => {
        this.#claims.delete(partition);
        this.look();
      }),
    );
  }

  async #claimNow(partition: number, signal: AbortSignal): Promise<void> {
    const { node, partitions, brokers, turns, gate, lease, snapshotAfter, log } = this.#options;
    const begunAt = this.#clock.now();
    let confirmed = this.#confirmations;
    const owned = await OwnedPartition.claim({
      ...await this.#open(partition),
      partition,
      partitions,
      brokers,
      turns,
      gate,
      node,
      signal,
      lost: (owned, error) => this.#lost(owned, error),
      log: (message, error) => log("warn", `partition ${partition}: ${message}`, error),
      ...(snapshotAfter !== undefined && { snapshotAfter }),
    });
    // Another may have followed while it was loaded.
    while (confirmed !== this.#confirmations) {
      confirmed = this.#confirmations;
      await confirm(owned.log, signal);
      if (owned.log.lost !== null) throw owned.log.lost;
    }
    this.#owned.set(partition, owned);
    if (signal.aborted) return await owned.giveUp();
    if (this.#isPaused) owned.log.pause();
    this.#failed.end(partition);
    lease.own(partition, owned.epoch);
    log("info", `owns partition ${partition}, loaded in ${Math.round(this.#clock.now() - begunAt)} ms`);
    this.#options.changed();
  }

  async #open(partition: number): Promise<Pick<PartitionLogOptions, "stream" | "snapshots">> {
    const { streams } = this.#options;
    try {
      return { stream: await streams.log(partition), snapshots: await streams.snapshots(partition) };
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new EngineError("STREAM", `Cannot open its streams of NATS: ${why}`, { cause });
    }
  }

  /** By what the nodes say of themselves. */
  get #unable(): Unable {
    return new Map(this.#options.lease.members.map(({ node, unable }) => [node, unable]));
  }

  #release(owned: OwnedPartition): void {
    const { partition } = owned;
    if (this.#releasing.has(partition)) return;
    this.#releasing.add(partition);
    this.#run(
      owned.handOver().finally(() => {
        this.#releasing.delete(partition);
        if (this.#owned.get(partition) === owned) {
          this.#options.log("info", `gave partition ${partition} away`);
        }
        this.#disown(owned);
      }),
    );
  }

  #lost(owned: OwnedPartition, error: PartitionLostError): void {
    this.#options.log("warn", `does not own partition ${owned.partition} any more`, error);
    this.#disown(owned);
    this.#run(owned.giveUp());
  }

  #disown(owned: OwnedPartition): void {
    const { partition } = owned;
    if (this.#owned.get(partition) !== owned) return;
    this.#owned.delete(partition);
    this.#options.lease.disown(partition);
    this.#options.changed();
  }

  #run(task: Promise<void>): void {
    const tracked = task.catch((error) => {
      this.#options.log("error", "Cannot take over or give away a partition", error);
    }).finally(() => this.#tasks.delete(tracked));
    this.#tasks.add(tracked);
  }
}

async function confirm(log: PartitionLog, signal: AbortSignal): Promise<void> {
  await retrying("look whether a partition is still this node's", () => log.confirm(), { signal });
}
