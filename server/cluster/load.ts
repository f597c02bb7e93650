import { decodeBatch } from "./batch.ts";
import { RecordError } from "./bytes.ts";
import { PartitionDamagedError, PartitionLostError } from "./error.ts";
import { inOrder } from "./in_order.ts";
import type { LogStream } from "./log_stream.ts";
import { PartitionState, type SnapshotPlaces } from "./partition_state.ts";
import { Backoff, retrying, type RetryOptions } from "./retrying.ts";
import { readSnapshot, type SnapshotStore } from "./snapshot_store.ts";
import type { SnapshotPlace } from "./records.ts";

/** What a partition is loaded from. */
export interface LoadParts {
  readonly stream: LogStream;
  readonly snapshots: SnapshotStore;
  readonly retry: RetryOptions;
}

/** A fold over a log up to a sequence. */
export interface LoadedPartition {
  readonly state: PartitionState;
  readonly sequence: number;
  /** Of the log behind the snapshot that it was loaded from. */
  readonly bytes: number;
}

/**
 * Messages of the log that are asked for at a time, and how many bytes they may have: signs of life of NATS wait behind
 * them, and are missed after 3 s.
 */
const readAhead = { messages: 32, bytes: 2 << 20 };
/** Bytes of a batch, at most. */
const largestBatch = 1 << 19;
/** Times that a load is started over. */
const mostAttempts = 5;

/**
 * Folds a log up to the message with the sequence of a claim, or with `null` to its end, from the last snapshot on, or
 * from the one before when that cannot be read. Rejects with {@linkcode PartitionDamagedError} when neither leads there,
 * and with {@linkcode PartitionLostError} when there is a later snapshot, which only another owner can have taken.
 */
export async function loadPartition(parts: LoadParts, claim: number | null): Promise<LoadedPartition> {
  const { stream, retry } = parts;
  const backoff = new Backoff({ ...retry, first: 100 });
  let why: unknown;
  for (let attempt = 0; attempt < mostAttempts; attempt++) {
    const places = await snapshotsOf(parts);
    const last = claim ?? (await retrying("read the log", () => stream.state(), retry)).last;
    for (const place of placesToTry(places)) {
      if (place !== null && place.sequence > last) {
        throw new PartitionLostError("Cannot load the partition: another owner has followed", {
          neverStored: false,
        });
      }
      try {
        const state = await stateOf(parts, place);
        const loaded = await replayTo(parts, { state, sequence: place?.sequence ?? 0, bytes: 0 }, last);
        if (loaded !== null) return loaded;
        why = new RecordError(`the log lacks what comes after message ${place?.sequence ?? 0}`);
      } catch (error) {
        if (!(error instanceof RecordError)) throw error;
        why = error;
      }
    }
    // Others remove what was there, or a leader is a new one, which has not come so far.
    await backoff.wait("load the partition", why);
  }
  throw damaged(why);
}

/**
 * Folds the log on, up to the message `last`, into the same state; `null`, and the state is of no use any more, when some
 * of it was removed.
 */
export async function replayTo(
  { stream, retry }: LoadParts,
  { state, sequence, bytes }: LoadedPartition,
  last: number,
): Promise<LoadedPartition | null> {
  const read = (number: number) => readMessage(stream, number, retry);
  let length = bytes, folded = sequence, size = largestBatch;
  const ahead = () => Math.max(1, Math.min(readAhead.messages, Math.floor(readAhead.bytes / size)));
  for await (const data of inOrder(read, { from: sequence + 1, to: last + 1, ahead })) {
    if (data === null) return null;
    // Those that follow are mostly like those before.
    size = Math.max(data.length, size - size / 8);
    const { at, records } = decode(data, ++folded);
    for (const record of records) state.apply(record, at);
    length += data.length;
  }
  return { state, sequence: Math.max(sequence, last), bytes: length };
}

function decode(data: Uint8Array, sequence: number): ReturnType<typeof decodeBatch> {
  try {
    return decodeBatch(data);
  } catch (cause) {
    // Every load would come here.
    if (cause instanceof RecordError) {
      throw damaged(new RecordError(`message ${sequence}: ${cause.message}`, { cause }));
    }
    throw cause;
  }
}

/** A message that was stored; `null` when it was removed. */
async function readMessage(
  stream: LogStream,
  sequence: number,
  retry: RetryOptions,
): Promise<Uint8Array | null> {
  const backoff = new Backoff(retry);
  for (;;) {
    const data = await retrying("read the log", () => stream.get(sequence), retry);
    if (data !== null) return data;
    const { first } = await retrying("read the log", () => stream.state(), retry);
    if (first > sequence) return null;
    // Its leader is a new one, which has not come so far.
    await backoff.wait(`read message ${sequence} of the log`);
  }
}

async function snapshotsOf({ stream, retry }: LoadParts): Promise<SnapshotPlaces | null> {
  const found = await retrying("read the log", () => stream.last("snapshot"), retry);
  if (found === null) return null;
  const record = decode(found.data, found.sequence).records.find(({ type }) => type === "SNAPSHOT");
  if (record?.type !== "SNAPSHOT") {
    throw damaged(new RecordError(`message ${found.sequence} names no snapshot`));
  }
  return record;
}

function placesToTry(places: SnapshotPlaces | null): readonly (SnapshotPlace | null)[] {
  if (places === null) return [null];
  return [places.last, places.previous];
}

async function stateOf(
  { snapshots, retry }: LoadParts,
  place: SnapshotPlace | null,
): Promise<PartitionState> {
  const state = new PartitionState();
  if (place === null) return state;
  for await (const records of readSnapshot(snapshots, place, retry)) {
    for (const record of records) state.apply(record, 0);
  }
  return state;
}

function damaged(cause: unknown): PartitionDamagedError {
  const what = cause instanceof Error ? cause.message : String(cause);
  return new PartitionDamagedError(`Cannot load the partition: ${what}`, { cause });
}
