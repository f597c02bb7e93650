import {
  DiscardPolicy,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { errors, headers, type NatsConnection } from "@nats-io/transport-node";
import type { BatchKind, LogStream, PublishOutcome, StreamMessage } from "./log_stream.ts";
import type { SnapshotStore } from "./snapshot_store.ts";
import { stepDown } from "./step_down.ts";
import { storedMessage } from "./stored_message.ts";

/** Where the streams are. */
export interface NatsStreamOptions {
  readonly connection: NatsConnection;
  /** The name of the stream, and what its subjects begin with: letters, digits, `-` and `_`. */
  readonly name: string;
  /** Servers that have all of it. @default 3 */
  readonly replicas?: number;
  /** Milliseconds after which a request counts as lost. @default 2000 */
  readonly timeout?: number;
}

/** "wrong last sequence", of versions since 2.2 and since 2.11. */
const wrongSequence: readonly number[] = [10071, 10164];
const alreadyThere = 10058;

/** What a stream answers to a message. */
interface PubAck {
  readonly stream?: string;
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly code?: number; readonly err_code?: number; readonly description?: string };
}

/**
 * Makes the stream of a log or of snapshots, once for each of a cluster: one that was there and is gone has lost what was
 * in it, and must not be made again. Resolves with `false` when it is there.
 */
export async function createStream(
  { connection, name, replicas = 3, timeout = 2000 }: NatsStreamOptions,
): Promise<boolean> {
  const manager = await managerOf(connection, timeout);
  const config: Partial<StreamConfig> & { name: string } = {
    name,
    subjects: [`${name}.>`],
    num_replicas: replicas,
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.New,
    allow_direct: false,
    deny_delete: true,
  };
  const isThere = await manager.streams.info(name).then(() => true, (error) => {
    if (isNotFound(error)) return false;
    throw error;
  });
  if (isThere) return false;
  try {
    await manager.streams.add(config);
    return true;
  } catch (error) {
    if (codeOf(error) === alreadyThere) return false;
    throw error;
  }
}

/** The settings of a stream, which are those that {@linkcode createStream} has made it with, or another. */
export async function streamConfig({ connection, name, timeout }: NatsStreamOptions): Promise<StreamConfig> {
  const manager = await managerOf(connection, timeout);
  return (await manager.streams.info(name)).config;
}

/**
 * Does with a stream what an owner does, in a way that changes nothing: one with other permissions would take partitions
 * and could not serve them. Rejects with `PermissionViolationError`; what else fails may pass. `subject`: of what is
 * stored, behind the stream's name.
 */
export async function tryStream(options: NatsStreamOptions, subject: string): Promise<void> {
  const { connection, name, timeout } = options;
  const manager = await managerOf(connection, timeout);
  const works = [
    // No stream is so long.
    request(options, `${name}.${subject}`, new Uint8Array(0), {
      "Nats-Expected-Stream": name,
      "Nats-Expected-Last-Sequence": String(Number.MAX_SAFE_INTEGER),
    }),
    storedMessage(options, { seq: 1 }),
    // Nothing has this subject. What a purge up to the first message would do is less sure.
    manager.streams.purge(name, { filter: `${name}.none` }),
  ];
  for (const { reason } of await Promise.allSettled(works) as Partial<PromiseRejectedResult>[]) {
    for (let error = reason; error instanceof Error; error = error.cause) {
      if (error instanceof errors.PermissionViolationError) throw error;
    }
  }
}

/** The log of a partition in a JetStream stream that {@linkcode createStream} has made. */
export async function openLogStream(options: NatsStreamOptions): Promise<LogStream> {
  return new NatsLogStream(options, await managerOf(options.connection, options.timeout));
}

class NatsLogStream implements LogStream {
  readonly #options: NatsStreamOptions;
  readonly #manager: JetStreamManager;

  constructor(options: NatsStreamOptions, manager: JetStreamManager) {
    this.#options = options;
    this.#manager = manager;
  }

  async publish(
    data: Uint8Array,
    { expected, kind }: { readonly expected: number; readonly kind: BatchKind },
  ): Promise<PublishOutcome> {
    const { name } = this.#options;
    try {
      const ack = await request(this.#options, `${name}.${kind}`, data, {
        "Nats-Expected-Stream": name,
        "Nats-Expected-Last-Sequence": String(expected),
      });
      return outcomeOf(ack, name);
    } catch (cause) {
      return { type: "unknown", cause };
    }
  }

  async get(sequence: number): Promise<Uint8Array<ArrayBuffer> | null> {
    return (await storedMessage(this.#options, { seq: sequence }))?.data ?? null;
  }

  async last(kind: BatchKind): Promise<StreamMessage | null> {
    return await storedMessage(this.#options, { last_by_subj: `${this.#options.name}.${kind}` });
  }

  async state(): Promise<{ readonly first: number; readonly last: number }> {
    const { state } = await this.#manager.streams.info(this.#options.name);
    return { first: Math.max(1, state.first_seq), last: state.last_seq };
  }

  async purge(first: number): Promise<void> {
    await this.#manager.streams.purge(this.#options.name, { seq: first });
  }

  stepDown(): Promise<boolean> {
    const { connection, name, timeout = 2000 } = this.#options;
    return stepDown(connection, name, timeout);
  }
}

/** Snapshots of a partition in a JetStream stream, which all partitions may share. */
export async function openSnapshotStream(
  { partition, ...options }: NatsStreamOptions & { readonly partition: string },
): Promise<SnapshotStore> {
  const manager = await managerOf(options.connection, options.timeout);
  const prefix = `${options.name}.${partition}`;
  const read = async (name: string, index: number) => {
    const subject = `${prefix}.${name}.${index}`;
    return (await storedMessage(options, { last_by_subj: subject }))?.data ?? null;
  };
  return {
    read,
    async write(name, index, data) {
      const ack = await request(options, `${prefix}.${name}.${index}`, data, {
        "Nats-Expected-Stream": options.name,
        "Nats-Expected-Last-Subject-Sequence": "0",
      });
      const outcome = outcomeOf(ack, options.name);
      if (outcome.type === "unknown") throw outcome.cause;
      // Its subject is its own: when there is a message, it is an earlier attempt.
      if (outcome.type === "refused" && await read(name, index) === null) {
        throw new Error(`Cannot append to stream ${options.name}: an earlier attempt is not there yet`);
      }
    },
    async names() {
      const names = new Set<string>();
      // A snapshot is there as long as its first chunk is, which is removed with the others.
      const filter = `${prefix}.*.0`;
      const { state } = await manager.streams.info(options.name, { subjects_filter: filter });
      for (const subject of Object.keys(state.subjects ?? {})) {
        names.add(subject.slice(prefix.length + 1, subject.lastIndexOf(".")));
      }
      return [...names];
    },
    async delete(name) {
      await manager.streams.purge(options.name, { filter: `${prefix}.${name}.*` });
    },
  };
}

function managerOf(connection: NatsConnection, timeout = 2000): Promise<JetStreamManager> {
  return jetstreamManager(connection, { checkAPI: false, timeout });
}

async function request(
  { connection, timeout = 2000 }: NatsStreamOptions,
  subject: string,
  data: Uint8Array,
  fields: Readonly<Record<string, string>>,
): Promise<PubAck> {
  const lines = headers();
  for (const [name, value] of Object.entries(fields)) lines.set(name, value);
  return (await connection.request(subject, data, { headers: lines, timeout })).json<PubAck>();
}

/**
 * A message that is refused and comes again may be answered as a duplicate of one that was never stored: that says nothing
 * of what is there.
 */
function outcomeOf({ stream, seq, duplicate, error }: PubAck, name: string): PublishOutcome {
  if (error !== undefined) {
    const { err_code = 0, description = "no reason is given" } = error;
    if (wrongSequence.includes(err_code)) return { type: "refused" };
    return {
      type: "unknown",
      cause: new Error(`Cannot append to stream ${name}: ${description} (${err_code})`),
    };
  }
  if (duplicate === true) return { type: "refused" };
  if (stream !== name || seq === undefined || !Number.isSafeInteger(seq)) {
    return {
      type: "unknown",
      cause: new Error(`Cannot append to stream ${name}: the answer is none of a stream`),
    };
  }
  return { type: "stored", sequence: seq };
}

function isNotFound(error: unknown): boolean {
  return codeOf(error) === 10059;
}

function codeOf(error: unknown): number | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "number" ? error.code : undefined;
}
