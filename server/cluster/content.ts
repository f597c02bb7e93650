import type { MemoryMessageStore, MemoryQueueStore } from "../store/memory.ts";
import { partitionOf } from "../broker/partition.ts";
import { type Bucket, findBucket, openBucket } from "./bucket.ts";
import { type ClusterClock, steadyClock } from "./clock.ts";
import { checkCluster, type ClusterIdentity, readCluster } from "./cluster_identity.ts";
import { handshakePartition } from "./cluster_handshakes.ts";
import { ClusterStreams } from "./cluster_streams.ts";
import { Engine, type EngineOptions } from "./engine.ts";
import { EngineError } from "./error.ts";
import { Filling } from "./filling.ts";
import { ImportMarker, type ImportState, importState } from "./import_marker.ts";
import { loadPartition } from "./load.ts";
import { leaseTimes, parseLease } from "./members.ts";
import { PartitionLog } from "./partition_log.ts";
import type { PartitionState } from "./partition_state.ts";
import { retrying } from "./retrying.ts";

/** How a cluster is reached that is read, or filled. */
export interface ContentOptions {
  readonly engine: Omit<EngineOptions, "name" | "log" | "signal">;
  /** The cluster's name. */
  readonly cluster: string;
  /** Base64 of SHA-256 over the public `server_key`. */
  readonly keyHash: string;
  readonly log: (level: "info" | "warn", message: string, error?: unknown) => void;
  readonly signal: AbortSignal;
  /** @default the machine's */
  readonly clock?: ClusterClock;
}

/** What a server has. */
export interface Content {
  readonly queues: MemoryQueueStore;
  readonly messages: MemoryMessageStore;
  /** Numbers of handshakes, the oldest first. */
  readonly handshakes: Iterable<number>;
}

/** A cluster as it is read. */
export interface ReadCluster {
  /** Nodes that run, or have died: what they store from now on is in no partition that was read before. */
  readonly nodes: readonly string[];
  /** Each partition as it is at one moment, one after the other. */
  readonly partitions: AsyncIterable<PartitionState>;
}

/**
 * Reads what a cluster has, whether its nodes run or not, and changes nothing; `read` is done while the cluster can be
 * reached. Throws `RangeError` for options that are wrong, `EngineError`, and `PartitionDamagedError`.
 */
export async function readContent<T>(
  options: ContentOptions,
  read: (cluster: ReadCluster) => Promise<T>,
): Promise<T> {
  const { engine: engineOptions, cluster: name, keyHash, log, signal } = options;
  await using engine = await Engine.connect({ ...engineOptions, name: "smp export", log, signal });
  const { connection } = engine;
  const bucket = await findBucket(connection, name);
  const identity = await readCluster(bucket);
  if (identity.keyHash !== keyHash) {
    throw new EngineError("OTHER_CLUSTER", `Cannot export cluster ${name}: it has another server_key`);
  }
  const { partitions } = identity;
  const replicas = replicasOf(engine);
  const retry = { signal, log: (message: string, error?: unknown) => log("warn", message, error) };
  if (await retrying("look for an import", () => importState(bucket), retry) === "filling") {
    throw new EngineError("CONTENT", `Cannot export: an import into cluster ${name} has not ended`);
  }
  const opening = {
    connection,
    bucket,
    name,
    partitions,
    replicas,
    signal,
    log,
    refusesImport: false,
    isReading: true,
  };
  const streams = await ClusterStreams.open(opening);
  const states = async function* () {
    for (let partition = 0; partition < partitions; partition++) {
      const [stream, snapshots] = [await streams.log(partition), await streams.snapshots(partition)];
      yield (await loadPartition({ stream, snapshots, retry }, null)).state;
    }
  };
  return await read({ nodes: [...(await leasesOf(bucket)).keys()], partitions: states() });
}

/**
 * Fills a cluster that has no queues and no running node, which is made when there is none. Until this has resolved no
 * node starts; it can be done again when it was interrupted. Throws as {@linkcode readContent} does; `EngineError` with
 * `CONTENT` when the cluster has queues, and `NODE` when a node of it runs.
 */
export async function fillCluster(
  options: ContentOptions & Pick<ClusterIdentity, "partitions">,
  content: Content,
): Promise<void> {
  const { engine: engineOptions, cluster: name, keyHash, partitions, log, signal } = options;
  checkIds(content.queues, partitions);
  await using engine = await Engine.connect({ ...engineOptions, name: "smp import", log, signal });
  const { connection } = engine;
  const replicas = replicasOf(engine);
  const changeServer = () => engine.changeServer();
  const bucket = await openBucket(connection, { name, replicas, log, signal, changeServer });
  await checkCluster(bucket, { keyHash, partitions });
  const retry = { signal, log: (message: string, error?: unknown) => log("warn", message, error) };
  const marker = await retrying("look for an import", () => ImportMarker.read(bucket), retry);
  const mark = async (state: ImportState) => {
    const work = () => marker.set(state).catch((error) => notForever(error));
    const refusal = await retrying("store the state of the import", work, retry);
    if (refusal instanceof EngineError) throw refusal;
  };
  // What an import has left that was interrupted is deleted; nothing else ever is.
  const isAgain = marker.state === "filling";
  const refuseNodes = async () => {
    const nodes = await runningNodes(bucket, options);
    if (nodes.length === 0) return;
    throw new EngineError("NODE", `Cannot import: node ${nodes.join(", ")} runs; stop all nodes first`);
  };
  await refuseNodes();
  const opening = { connection, bucket, name, partitions, replicas, signal, log, refusesImport: false };
  const streams = await ClusterStreams.open(opening);
  await using logs = new AsyncDisposableStack();
  const claimed: PartitionLog[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    const [stream, snapshots] = [await streams.log(partition), await streams.snapshots(partition)];
    claimed.push(
      logs.use(await PartitionLog.claim({ stream, snapshots, node: "import", signal, log: retry.log })),
    );
  }
  const count = claimed.reduce((sum, { state }) => sum + state.queues.size + state.messages.size, 0);
  if (!isAgain) {
    try {
      if (count > 0) {
        const why = `cluster ${name} has queues already; give it another name`;
        throw new EngineError("CONTENT", `Cannot import: ${why}`);
      }
      await mark("begun");
      // A node has stored that it is there before it looks for an import: one that started meanwhile is found.
      await refuseNodes();
    } catch (error) {
      if (marker.state === "begun") await mark("ended");
      throw error;
    }
  }
  await mark("filling");
  await fill(claimed, content);
  for (const log of claimed) await log.close();
  await mark("ended");
}

/** What waiting does not change. */
function notForever(error: unknown): EngineError {
  if (error instanceof EngineError) return error;
  throw error;
}

async function fill(logs: readonly PartitionLog[], { queues, messages, handshakes }: Content): Promise<void> {
  const filling = new Filling(logs);
  const of = (queueId: string) => partitionOf(queueId, logs.length);
  // What an import has left that was interrupted.
  for (const [partition, { state }] of logs.entries()) {
    for (const { recipientId } of [...state.queues.records()]) {
      await filling.add(partition, { type: "DELETE", recipientId });
    }
  }
  for (const queue of queues.records()) await filling.add(of(queue.recipientId), { type: "CREATE", queue });
  for (const [recipientId, { id, timestamp, body }] of messages.messages()) {
    const at = timestamp.getTime();
    await filling.add(of(recipientId), { type: "MESSAGE", recipientId, id, at, body });
  }
  for (const digest of handshakes) {
    await filling.add(handshakePartition(digest, logs.length), { type: "HANDSHAKE", digest });
  }
  await filling.end();
}

/** Earlier versions made IDs of which each says another partition. */
function checkIds(queues: MemoryQueueStore, partitions: number): void {
  let count = 0;
  for (const { recipientId, senderId } of queues.records()) {
    if (partitionOf(recipientId, partitions) !== partitionOf(senderId, partitions)) count++;
  }
  if (count === 0) return;
  throw new EngineError(
    "CONTENT",
    `Cannot import: ${count} queues were made by an earlier version, with IDs that a cluster cannot find them by`,
  );
}

/** Revisions of the leases of nodes that have not left, by their names. */
async function leasesOf(bucket: Bucket): Promise<ReadonlyMap<string, number>> {
  const entries = await bucket.readAll(prefix);
  const leases = entries.filter(({ value }) => (parseLease(value)?.state ?? "gone") !== "gone");
  return new Map(leases.map(({ key, revision }) => [key.slice(prefix.length), revision]));
}

/** Those that renew their leases: one that was killed does not. */
async function runningNodes(
  bucket: Bucket,
  { signal, log, clock = steadyClock }: Pick<ContentOptions, "signal" | "log" | "clock">,
): Promise<string[]> {
  const retry = { signal, log: (message: string, error?: unknown) => log("warn", message, error) };
  const leases = () => retrying("read the leases", () => leasesOf(bucket), retry);
  const before = await leases();
  if (before.size === 0) return [];
  const end = clock.now() + leaseTimes.silence + leaseTimes.renewal;
  for (;;) {
    await clock.wait(leaseTimes.renewal / 4, signal);
    signal.throwIfAborted();
    const running = [...await leases()].filter(([node, revision]) => before.get(node) !== revision);
    if (running.length > 0 || clock.now() > end) return running.map(([node]) => node);
  }
}

const prefix = "node.";

function replicasOf({ connection }: Engine): number {
  return connection.info?.cluster === undefined ? 1 : 3;
}
