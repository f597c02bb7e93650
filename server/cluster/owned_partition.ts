import type { Broker } from "../broker/broker.ts";
import type { LocalBrokers } from "../broker/local_brokers.ts";
import type { Turns } from "../guard/turns.ts";
import type { ByteStream } from "../link/byte_stream.ts";
import { type Gate, gatedStream } from "../link/gated_stream.ts";
import { ServedLinks } from "../link/served_links.ts";
import { PartitionLostError } from "./error.ts";
import { PartitionLog, type PartitionLogOptions } from "./partition_log.ts";
import { type LoggedStores, storesOver } from "./partition_stores.ts";

export interface OwnedPartitionOptions extends Omit<PartitionLogOptions, "onLost"> {
  readonly partition: number;
  readonly partitions: number;
  readonly brokers: LocalBrokers;
  readonly turns: Turns;
  /** Open while this node may answer. */
  readonly gate: Gate;
  /** It is another's, or the log cannot be gone on with; its links have ended. */
  readonly lost: (owned: OwnedPartition, error: PartitionLostError) => void;
}

/** What of an owned partition is of interest. */
export interface OwnedStatus {
  readonly epoch: number;
  /** Of the last batch of its log. */
  readonly sequence: number;
  /** Bytes that wait until they are stored. */
  readonly waiting: number;
  /** Milliseconds that the oldest of them have waited. */
  readonly lag: number;
  /** The last snapshot; `null`: there is none. */
  readonly snapshot: {
    readonly sequence: number;
    readonly bytes: number;
    /** Milliseconds since it was taken, by the clocks of who took it and of this node. */
    readonly age: number;
  } | null;
  readonly links: ServedLinks["counts"];
}

/** A partition that this node has claimed: its log, its broker, and the links that use it. */
export class OwnedPartition {
  readonly partition: number;
  readonly log: PartitionLog;
  readonly stores: LoggedStores;
  readonly #options: OwnedPartitionOptions;
  readonly #broker: Broker;
  readonly #links: ServedLinks;
  #isServing = true;
  #ended: Promise<void> | null = null;

  private constructor(log: PartitionLog, options: OwnedPartitionOptions) {
    const { partition, partitions: count, brokers, turns } = options;
    this.partition = partition;
    this.log = log;
    this.#options = options;
    this.stores = storesOver(log);
    const { epoch } = log;
    this.#broker = brokers.add(this.stores, {
      epoch,
      partitions: { own: [partition], count },
      isLost: (error) => error instanceof PartitionLostError,
    });
    this.#links = new ServedLinks(this.#broker, { turns, knowsRepeated: true });
  }

  /** Claims the partition and loads it. Rejects as `PartitionLog.claim` does. */
  static async claim(options: OwnedPartitionOptions): Promise<OwnedPartition> {
    let owned: OwnedPartition | null = null;
    let lost: PartitionLostError | null = null;
    const onLost = (error: PartitionLostError) => {
      lost = error;
      if (owned !== null) owned.#lose(error);
    };
    const log = await PartitionLog.claim({ ...options, onLost });
    if (lost !== null) throw lost;
    return owned = new OwnedPartition(log, options);
  }

  get epoch(): number {
    return this.log.epoch;
  }

  /** Whether links can be made to it. */
  get isServing(): boolean {
    return this.#isServing;
  }

  get status(): OwnedStatus {
    const { epoch, sequence, waiting, lag, state: { snapshot, snapshotAt } } = this.log;
    const last = snapshot && {
      sequence: snapshot.last.sequence,
      bytes: snapshot.last.bytes,
      age: Math.max(0, Date.now() - (snapshotAt ?? 0)),
    };
    return { epoch, sequence, waiting, lag, snapshot: last, links: this.#links.counts };
  }

  /** Serves the sessions of a node. */
  serve(stream: ByteStream): void {
    void this.#links.serve(gatedStream(stream, this.#options.gate));
  }

  /** Takes nothing more, and resolves when all that was taken is stored. */
  async handOver(): Promise<void> {
    await this.#end();
    // What is in work is given again to the next owner, which knows what it has done.
    await this.#broker.idle();
    await this.log.close();
  }

  /** Ends at once. */
  async giveUp(): Promise<void> {
    this.log.giveUp();
    await this.#end();
    await this.log[Symbol.asyncDispose]();
    await this.#broker.idle();
  }

  /** No answer may go out that says that something has failed: the next owner answers. */
  #lose(error: PartitionLostError): void {
    if (!this.#isServing) return;
    void this.#end();
    this.#options.lost(this, error);
  }

  #end(): Promise<void> {
    this.#isServing = false;
    return this.#ended ??= this.#links[Symbol.asyncDispose]().finally(() =>
      this.#options.brokers.remove(this.#broker)
    );
  }
}
