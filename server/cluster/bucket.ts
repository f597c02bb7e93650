import { jetstream, JetStreamApiError, jetstreamManager, StorageType } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import { errors, type NatsConnection } from "@nats-io/nats-core";
import { type ClusterClock, steadyClock } from "./clock.ts";
import { EngineError } from "./error.ts";
import { stepDown } from "./step_down.ts";

export interface BucketEntry {
  readonly key: string;
  /** Greater than those of all entries that were stored before, whatever their keys. */
  readonly revision: number;
  readonly value: string;
}

/**
 * Small values that all nodes of a cluster see alike. What fails says nothing of whether it was done, but for
 * `EngineError` (`BUCKET`): this user may not do it.
 */
export interface Bucket {
  /** What is stored, as its leader knows it. */
  read(key: string): Promise<BucketEntry | null>;
  /** All that is stored under keys that begin with `prefix`, which ends with a dot. */
  readAll(prefix: string): Promise<BucketEntry[]>;
  /** Stores unless the key's revision is not `expected` any more (0: there is none); gives the revision, or `null`. */
  write(key: string, value: string, expected: number): Promise<number | null>;
  /**
   * Calls `listener` with what is stored from now on, in its order, until what is returned is called. What is stored
   * while the connection is lost or the leader changes may be left out.
   */
  watch(listener: (entry: BucketEntry) => void): () => void;
  /** Asks for another leader; `false` where there can be none. */
  stepDown(): Promise<boolean>;
}

export interface BucketOptions {
  /** Letters, digits, `_` and `-`. */
  readonly name: string;
  /** @default 3 where NATS servers form a cluster, else 1 */
  readonly replicas?: number;
  readonly log: (level: "info" | "warn", message: string, error?: unknown) => void;
  readonly signal: AbortSignal;
  /** Connects to another server: the one that is connected to may be cut off from the others. */
  readonly changeServer?: () => Promise<void>;
  /** @default the machine's */
  readonly clock?: ClusterClock;
}

/** Milliseconds. */
const times = { request: 1000, creation: 5000, retry: 1000, change: 15_000, patience: 60_000 };
const longestValue = 16_384;
const mostKeys = 2000;
const wrongLastSequences = [10071, 10164];
const noStream = 10059;

/**
 * Opens a bucket of NATS, made when there is none. As the engine may still be electing its leaders, that is tried again
 * for a minute, by another server each 15 s, unless this user may not do it. Throws `EngineError` (`BUCKET`), or the reason of the signal.
 */
export async function openBucket(connection: NatsConnection, options: BucketOptions): Promise<Bucket> {
  const { name, signal, log, changeServer, clock = steadyClock } = options;
  const end = clock.now() + times.patience;
  let changeAt = clock.now() + times.change;
  for (;;) {
    try {
      return await tryOpen(connection, options);
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof EngineError) throw cause;
      if (isForbidden(cause) || clock.now() > end) {
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new EngineError("BUCKET", `Cannot open the bucket ${name} of NATS: ${why}`, { cause });
      }
      log("warn", "the engine does not store anything yet, trying again", cause);
    }
    if (clock.now() >= changeAt) {
      await changeServer?.();
      changeAt = clock.now() + times.change;
    }
    await clock.wait(times.retry, signal);
    signal.throwIfAborted();
  }
}

/**
 * Opens the bucket of a cluster that there is, and makes none. Throws `EngineError` (`BUCKET`), or what NATS answers, which
 * may be nothing while it elects its leaders.
 */
export async function findBucket(connection: NatsConnection, name: string): Promise<Bucket> {
  try {
    return await openMade(connection, name);
  } catch (cause) {
    if (!(cause instanceof JetStreamApiError) || cause.code !== noStream) throw cause;
    throw new EngineError("BUCKET", `There is no cluster ${name} at these NATS servers`, { cause });
  }
}

/** Whether this user has no permission for it, which waiting does not give. */
function isForbidden(error: unknown): boolean {
  return error instanceof errors.PermissionViolationError ||
    error instanceof errors.RequestError && isForbidden(error.cause);
}

async function tryOpen(connection: NatsConnection, options: BucketOptions): Promise<Bucket> {
  const { name, replicas = connection.info?.cluster === undefined ? 1 : 3 } = options;
  const { republished } = namesOf(name);
  const subject = `$KV.${name}.>`;
  const creating = jetstream(connection, { timeout: times.creation });
  // Entries are sent to everybody by who stores them: that goes on as soon as there is a leader, while consumers
  // would have to be made again, which needs the leader of all streams too.
  await new Kvm(creating).create(name, {
    replicas,
    history: 1,
    storage: StorageType.File,
    maxValueSize: longestValue,
    allow_direct: false,
    republish: { src: subject, dest: `${republished}.>` },
  });
  return await openMade(connection, name);
}

async function openMade(connection: NatsConnection, name: string): Promise<Bucket> {
  const names = namesOf(name);
  const manager = await jetstreamManager(connection, { timeout: times.creation, checkAPI: false });
  const { stream, republished } = names;
  const { config } = await manager.streams.info(stream);
  if (config.republish?.dest !== `${republished}.>` || config.allow_direct === true) {
    throw new EngineError(
      "BUCKET",
      `Cannot use the bucket ${name} of NATS: it is not one of a cluster: give the cluster another name`,
    );
  }
  const client = jetstream(connection, { timeout: times.request });
  const bucket = await new Kvm(client).open(name, { allow_direct: false });
  return new NatsBucket(connection, bucket, names);
}

interface Names {
  readonly stream: string;
  readonly prefix: string;
  readonly republished: string;
}

function namesOf(name: string): Names {
  return { stream: `KV_${name}`, prefix: `$KV.${name}.`, republished: `smp-cluster.${name}` };
}

/** What whoever watches a bucket subscribes to. */
export function heardSubject(name: string): string {
  return `${namesOf(name).republished}.>`;
}

class NatsBucket implements Bucket {
  readonly #connection: NatsConnection;
  readonly #kv: KV;
  readonly #names: Names;

  constructor(connection: NatsConnection, kv: KV, names: Names) {
    this.#connection = connection;
    this.#kv = kv;
    this.#names = names;
  }

  async read(key: string): Promise<BucketEntry | null> {
    const entry = await this.#kv.get(key);
    return entry === null ? null : { key, revision: entry.revision, value: entry.string() };
  }

  async readAll(prefix: string): Promise<BucketEntry[]> {
    const { stream, prefix: subjects } = this.#names;
    const manager = await jetstreamManager(this.#connection, { timeout: times.request, checkAPI: false });
    const { state } = await manager.streams.info(stream, { subjects_filter: `${subjects}${prefix}>` });
    const keys = Object.keys(state.subjects ?? {}).slice(0, mostKeys).map((key) =>
      key.slice(subjects.length)
    );
    const entries = await Promise.all(keys.map((key) => this.read(key)));
    return entries.filter((entry) => entry !== null);
  }

  async write(key: string, value: string, expected: number): Promise<number | null> {
    try {
      return await this.#kv.put(key, value, { previousSeq: expected, timeout: times.request });
    } catch (error) {
      if (error instanceof JetStreamApiError && wrongLastSequences.includes(error.code)) return null;
      if (!isForbidden(error)) throw error;
      const subjects = `${this.#names.prefix}>`;
      throw new EngineError(
        "BUCKET",
        `Cannot store anything in the bucket of NATS: this user may not publish to ${subjects}`,
        { cause: error },
      );
    }
  }

  watch(listener: (entry: BucketEntry) => void): () => void {
    const { republished } = this.#names;
    const subscription = this.#connection.subscribe(`${republished}.>`, {
      callback: (error, { subject, headers, data }) => {
        const revision = Number(headers?.get("Nats-Sequence"));
        if (error !== null || !Number.isSafeInteger(revision) || data.length > longestValue) return;
        const key = subject.slice(republished.length + 1);
        listener({ key, revision, value: new TextDecoder().decode(data) });
      },
    });
    return () => subscription.unsubscribe();
  }

  stepDown(): Promise<boolean> {
    return stepDown(this.#connection, this.#names.stream, times.request);
  }
}
