import type { StreamConfig } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import type { Bucket } from "./bucket.ts";
import { EngineError } from "./error.ts";
import type { LogStream } from "./log_stream.ts";
import { createStream, openLogStream, openSnapshotStream, streamConfig, tryStream } from "./nats_streams.ts";
import { importState } from "./import_marker.ts";
import { retrying } from "./retrying.ts";
import type { SnapshotStore } from "./snapshot_store.ts";
import { lossOf } from "./stream_check.ts";

export interface ClusterStreamsOptions {
  readonly connection: NatsConnection;
  readonly bucket: Bucket;
  /** What names of streams begin with. */
  readonly name: string;
  readonly partitions: number;
  readonly replicas: number;
  /** Whether there must be no import that has not ended. @default true */
  readonly refusesImport?: boolean;
  /** Whether nothing is stored, so that it does not matter what NATS would lose of it. @default false */
  readonly isReading?: boolean;
  readonly signal: AbortSignal;
  readonly log: (level: "info" | "warn", message: string, error?: unknown) => void;
}

const key = "streams";
/** Milliseconds. */
const creationTime = 5_000;
const patience = 60_000;

/** The streams of a cluster: one for the log of each partition, one for all snapshots. */
export class ClusterStreams {
  readonly #options: ClusterStreamsOptions;

  private constructor(options: ClusterStreamsOptions) {
    this.#options = options;
  }

  /**
   * Makes the streams when the cluster is new. Throws `EngineError`: `STREAM` when one that was made is gone, as what was
   * in it is lost, which must not look like a cluster without queues, or has settings by which it would lose something;
   * `CONTENT` when an import has not ended.
   */
  static async open(options: ClusterStreamsOptions): Promise<ClusterStreams> {
    const end = AbortSignal.timeout(patience);
    const retry = {
      signal: AbortSignal.any([options.signal, end]),
      first: 100,
      log: (message: string, error?: unknown) => options.log("warn", message, error),
    };
    const streams = new ClusterStreams(options);
    try {
      await streams.#open(retry);
    } catch (error) {
      options.signal.throwIfAborted();
      if (!end.aborted) throw error;
      throw new EngineError("STREAM", "Cannot open the streams of the cluster: NATS stores nothing", {
        cause: error,
      });
    }
    return streams;
  }

  async log(partition: number): Promise<LogStream> {
    return await openLogStream(this.#stream(`${partition}`));
  }

  async snapshots(partition: number): Promise<SnapshotStore> {
    return await openSnapshotStream({ ...this.#stream("snapshots"), partition: `${partition}` });
  }

  async #open(retry: Parameters<typeof retrying>[2]): Promise<void> {
    const { bucket, partitions, name, replicas, log, refusesImport = true, isReading = false } =
      this.#options;
    if (
      refusesImport && await retrying("look for an import", () => importState(bucket), retry) !== "ended"
    ) {
      throw new EngineError(
        "CONTENT",
        `Cannot start: an import into cluster ${name} has not ended: run it again`,
      );
    }
    const wasMade = await retrying("read what the cluster has", () => bucket.read(key), retry) !== null;
    const all = [...Array(partitions).keys()].map(String);
    const few: string[] = [];
    for (const suffix of [...all, "snapshots"]) {
      const stream = { ...this.#stream(suffix), timeout: creationTime };
      if (!wasMade) await retrying("make the streams", () => createStream(stream), retry);
      const config = await retrying("open the streams", async () => {
        const found = await configOf(stream);
        if (found === null && !wasMade) throw new Error("it was not made");
        return found;
      }, retry);
      if (config === null) {
        throw new EngineError(
          "STREAM",
          `Cannot start: stream ${stream.name} of NATS is gone, and what was in it: restore it from a backup, ` +
            `or give this cluster another name than ${name}`,
        );
      }
      const loss = isReading ? null : lossOf(config);
      if (loss !== null) {
        const why = `stream ${stream.name} of NATS would lose what is accepted: ${loss}`;
        throw new EngineError("STREAM", `Cannot start: ${why}: set it right with NATS' own tool`);
      }
      if (config.num_replicas < replicas) few.push(stream.name);
    }
    if (!isReading) await this.#tryAll();
    if (few.length > 0) {
      log(
        "warn",
        `fewer than ${replicas} NATS servers keep ${
          few.join(", ")
        }: when one is lost, so may be what was accepted: ` +
          `nats stream edit --replicas ${replicas} each of them, and KV_${name}`,
      );
    }
    if (!wasMade) {
      // Another node may be as far.
      await retrying("write what the cluster has", async () => {
        if (await bucket.write(key, "made", 0) === null && await bucket.read(key) === null) {
          throw new Error("it was not stored");
        }
      }, retry);
    }
  }

  async #tryAll(): Promise<void> {
    const logs = [...Array(this.#options.partitions).keys()].map((partition) => this.#stream(`${partition}`));
    try {
      await Promise.all([
        ...logs.flatMap((log) => [tryStream(log, "batch"), tryStream(log, "snapshot")]),
        tryStream(this.#stream("snapshots"), "0.none.0"),
      ]);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const message = `Cannot use the streams of NATS: this user may not do what nodes do: ${why}`;
      throw new EngineError("STREAM", message, { cause });
    }
  }

  #stream(suffix: string) {
    const { connection, name, replicas } = this.#options;
    return { connection, name: `${name}-${suffix}`, replicas };
  }
}

/** `null`: there is no such stream. */
async function configOf(stream: Parameters<typeof streamConfig>[0]): Promise<StreamConfig | null> {
  try {
    return await streamConfig(stream);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === 10059) return null;
    throw error;
  }
}
