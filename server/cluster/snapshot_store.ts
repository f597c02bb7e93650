import { joinParts, randomBytes, sha256 } from "../../protocol/mod.ts";
import { decodeBatch, encodeBatch } from "./batch.ts";
import { RecordError } from "./bytes.ts";
import { nextTurn } from "../next_turn.ts";
import { inOrder } from "./in_order.ts";
import { encodeRecord, type LogRecord, type SnapshotPlace } from "./records.ts";
import { retrying, type RetryOptions } from "./retrying.ts";

/** Where the chunks of a partition's snapshots are. What rejects may be given again. */
export interface SnapshotStore {
  /** Keeps a chunk; one with this name and index is there already only when it is this one. */
  write(name: string, index: number, data: Uint8Array<ArrayBuffer>): Promise<void>;
  /** A chunk; `null` when it is not there. */
  read(name: string, index: number): Promise<Uint8Array<ArrayBuffer> | null>;
  /** The names of all snapshots of which any chunk is there. */
  names(): Promise<string[]>;
  /** Removes all chunks of a snapshot. */
  delete(name: string): Promise<void>;
}

const chunkLength = 1 << 19;
/** Chunks that are asked for at a time. */
const readAhead = 4;

/** Writes records as a snapshot of the log up to `sequence`, which counts when the log has its place. */
export async function writeSnapshot(
  store: SnapshotStore,
  { sequence, records }: { readonly sequence: number; readonly records: Iterable<LogRecord> },
  retry: RetryOptions,
): Promise<SnapshotPlace> {
  // Whoever tries again must not find chunks of this attempt.
  const name = `${sequence}-${randomBytes(8).toHex()}`;
  const hashes: Uint8Array[] = [];
  let bytes = 0;
  const write = async (encoded: readonly Uint8Array[]) => {
    const index = hashes.length;
    const data = encodeBatch({ epoch: sequence, number: index, at: 0 }, encoded);
    await retrying("write a snapshot", () => store.write(name, index, data), retry);
    hashes.push(await sha256(data));
    bytes += data.length;
  };
  let chunk: Uint8Array[] = [], length = 0;
  for (const record of records) {
    const encoded = encodeRecord(record);
    if (length + encoded.length > chunkLength - 1024) {
      await write(chunk);
      await nextTurn();
      [chunk, length] = [[], 0];
    }
    chunk.push(encoded);
    length += encoded.length;
  }
  await write(chunk);
  return { sequence, name, bytes, chunks: hashes.length, sha256: await sha256(joinParts(hashes)) };
}

/** The records of a snapshot, by chunk; throws {@linkcode RecordError} when a part of it is missing or damaged. */
export async function* readSnapshot(
  store: SnapshotStore,
  { sequence, name, chunks, sha256: expected }: SnapshotPlace,
  retry: RetryOptions,
): AsyncGenerator<readonly LogRecord[]> {
  const hashes: Uint8Array[] = [];
  const read = (index: number) => retrying("read a snapshot", () => store.read(name, index), retry);
  for await (const data of inOrder(read, { from: 0, to: chunks, ahead: () => readAhead })) {
    const index = hashes.length;
    if (data === null) throw new RecordError(`chunk ${index} of snapshot ${name} is missing`);
    const { epoch, number, records } = decodeBatch(data);
    if (epoch !== sequence || number !== index) {
      throw new RecordError(`chunk ${index} of ${name} is another one`);
    }
    hashes.push(await sha256(data));
    yield records;
  }
  const found = await sha256(joinParts(hashes));
  if (found.some((byte, i) => byte !== expected[i])) throw new RecordError(`snapshot ${name} is damaged`);
}

/** The sequence of a snapshot by its name; `null` when it is not one. */
export function sequenceOf(name: string): number | null {
  const found = /^(\d{1,15})-/.exec(name);
  return found === null ? null : Number(found[1]);
}
