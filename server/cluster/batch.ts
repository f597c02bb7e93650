import { joinParts } from "../../protocol/mod.ts";
import { FieldReader, integer, RecordError, uint } from "./bytes.ts";
import { decodeRecords, type LogRecord } from "./records.ts";

/** What says whose a batch is, and when it was made. */
export interface BatchHeader {
  /** The sequence of the claim of whoever wrote it. */
  readonly epoch: number;
  /** How many batches this owner wrote before, its claim first. */
  readonly number: number;
  /** Milliseconds since 1970, by the owner's clock. */
  readonly at: number;
}

/** What is stored at once: one message of the log's stream. */
export interface Batch extends BatchHeader {
  readonly records: readonly LogRecord[];
}

const version = 1;
/** Bytes in front of the records. */
export const headerLength = 25;

/** Joins encoded records into a batch. */
export function encodeBatch(
  { epoch, number, at }: BatchHeader,
  records: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  return joinParts([uint(version, 1), integer(epoch), integer(number), integer(at), ...records]);
}

/** Decodes a batch; throws {@linkcode RecordError} when it is not exactly that. */
export function decodeBatch(bytes: Uint8Array): Batch {
  const reader = new FieldReader(bytes);
  const found = reader.uint(1, "a batch's version");
  if (found !== version) throw new RecordError(`a batch is of version ${found}, which is unknown`);
  const epoch = reader.integer("a batch's epoch");
  const number = reader.integer("a batch's number");
  const at = reader.integer("a batch's time");
  if (epoch < 0 || number < 0) throw new RecordError("a batch's epoch or number is negative");
  return { epoch, number, at, records: decodeRecords(reader.bytes(reader.left, "records")) };
}
