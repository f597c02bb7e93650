import { encodeBase64, joinParts, type Part, type PublicKey } from "../../protocol/mod.ts";
import type { Origin, QueueRecord } from "../store/store.ts";
import { FieldReader, integer, RecordError, uint } from "./bytes.ts";
import {
  id,
  idBytes,
  idLength,
  key,
  readFlag,
  readId,
  readKey,
  readText,
  readTime,
  text,
  time,
} from "./fields.ts";

/** Where a snapshot is; it has what the log says up to its sequence. */
export interface SnapshotPlace {
  readonly sequence: number;
  readonly name: string;
  /** Bytes of all its chunks. */
  readonly bytes: number;
  readonly chunks: number;
  /** Of all its bytes; 32 bytes. */
  readonly sha256: Uint8Array;
}

/** What changes a queue. */
export type QueueChange =
  | { readonly type: "CREATE"; readonly queue: QueueRecord }
  | { readonly type: "SECURE"; readonly recipientId: string; readonly senderKey: PublicKey }
  /** `at`: milliseconds since 1970. */
  | { readonly type: "SUSPEND"; readonly recipientId: string; readonly at: number }
  /** Removes the queue and its messages. */
  | { readonly type: "DELETE"; readonly recipientId: string }
  /** `at`: when it was accepted, milliseconds since 1970. */
  | {
    readonly type: "MESSAGE";
    readonly recipientId: string;
    readonly id: string;
    readonly at: number;
    readonly body: Uint8Array;
  }
  | { readonly type: "ACKNOWLEDGE"; readonly recipientId: string; readonly messageIds: readonly string[] }
  | { readonly type: "EXPIRE"; readonly recipientId: string; readonly messageIds: readonly string[] }
  /** Removes all messages. */
  | { readonly type: "CLEAR"; readonly recipientId: string }
  /** Tells nothing but its origin: the recipient has come with blocks of another size, for instance. */
  | { readonly type: "TOUCH"; readonly recipientId: string };

/** What the log of a partition is made of. */
export type LogRecord =
  | QueueChange & { readonly origin?: Origin }
  /** A node owns the partition from here on; the nonce (base64, 16 bytes) is of this claim alone. */
  | { readonly type: "CLAIM"; readonly node: string; readonly nonce: string }
  | { readonly type: "SNAPSHOT"; readonly last: SnapshotPlace; readonly previous: SnapshotPlace | null }
  /** A number that tells handshakes apart, so that none can be played back. */
  | { readonly type: "HANDSHAKE"; readonly digest: number }
  /** In snapshots: a command of the last minutes, `at` milliseconds since 1970. */
  | { readonly type: "COMMAND"; readonly commandId: string; readonly at: number; readonly done: DoneCommand };

/** What a command has done, and so how it is answered: `CREATE` with `IDS`, everything else with `OK`. */
export type DoneCommand =
  | { readonly type: "CREATE"; readonly recipientId: string; readonly senderId: string }
  | { readonly type: Exclude<QueueChange["type"], "CREATE"> };

/** Numbers on disk: never given to another type. */
const types: readonly (readonly [number, LogRecord["type"]])[] = [
  [1, "CREATE"],
  [2, "SECURE"],
  [3, "SUSPEND"],
  [4, "DELETE"],
  [5, "MESSAGE"],
  [6, "ACKNOWLEDGE"],
  [7, "EXPIRE"],
  [8, "CLEAR"],
  [9, "TOUCH"],
  [10, "CLAIM"],
  [11, "SNAPSHOT"],
  [12, "HANDSHAKE"],
  [13, "COMMAND"],
];
const numberOf = new Map(types.map(([number, type]) => [type, number]));
const typeOf = new Map(types);

const hashLength = 32;
const [hasCommand, hasBlockSize] = [1, 2];

/**
 * Encodes a record with its type and length in front. Throws `RangeError` for what no record can have: IDs that are not
 * ASCII or longer than 65535 characters, times and numbers out of range.
 */
export function encodeRecord(record: LogRecord): Uint8Array<ArrayBuffer> {
  const parts = fieldsOf(record);
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return joinParts([uint(numberOf.get(record.type)!, 1), uint(length, 4), ...parts]);
}

/** Decodes the records that `bytes` are made of; throws {@linkcode RecordError} when anything is wrong with one. */
export function decodeRecords(bytes: Uint8Array): LogRecord[] {
  const reader = new FieldReader(bytes);
  const records: LogRecord[] = [];
  while (reader.left > 0) {
    const number = reader.uint(1, "the type of a record");
    const type = typeOf.get(number);
    if (type === undefined) throw new RecordError(`there is no record of type ${number}`);
    const length = reader.uint(4, `the length of ${type}`);
    const fields = new FieldReader(reader.bytes(length, type));
    records.push(readFields(type, fields));
    fields.end(type);
  }
  return records;
}

function fieldsOf(record: LogRecord): Part[] {
  switch (record.type) {
    case "CLAIM":
      return [...text(record.node), idBytes(record.nonce)];
    case "SNAPSHOT":
      return [record.last, ...(record.previous === null ? [] : [record.previous])].flatMap(placeFields);
    case "HANDSHAKE":
      return [integer(record.digest)];
    case "COMMAND": {
      const { commandId, at, done } = record;
      const ids = done.type === "CREATE" ? [...id(done.recipientId), ...id(done.senderId)] : [];
      return [idBytes(commandId), time(at), uint(numberOf.get(done.type)!, 1), ...ids];
    }
    default:
      return [...originFields(record.origin), ...changeFields(record)];
  }
}

function changeFields(change: QueueChange): Part[] {
  switch (change.type) {
    case "CREATE": {
      const { recipientId, senderId, recipientKey, senderKey, suspended, changedAt } = change.queue;
      const ids = [...id(recipientId), ...id(senderId)];
      return [...ids, ...key(recipientKey), ...key(senderKey), uint(suspended ? 1 : 0, 1), time(changedAt)];
    }
    case "SECURE":
      return [...id(change.recipientId), ...key(change.senderKey)];
    case "SUSPEND":
      return [...id(change.recipientId), time(change.at)];
    case "MESSAGE":
      return [...id(change.recipientId), ...id(change.id), time(change.at), change.body];
    case "ACKNOWLEDGE":
    case "EXPIRE":
      return [...id(change.recipientId), ...change.messageIds.flatMap(id)];
    case "DELETE":
    case "CLEAR":
    case "TOUCH":
      return id(change.recipientId);
    default:
      return change satisfies never;
  }
}

function readFields(type: LogRecord["type"], fields: FieldReader): LogRecord {
  switch (type) {
    case "CLAIM":
      return { type, node: readText(fields), nonce: encodeBase64(fields.bytes(idLength, "a claim's nonce")) };
    case "SNAPSHOT": {
      const last = readPlace(fields);
      return { type, last, previous: fields.left > 0 ? readPlace(fields) : null };
    }
    case "HANDSHAKE": {
      const digest = fields.integer("a handshake's number");
      if (digest < 0) throw new RecordError("a handshake's number is negative");
      return { type, digest };
    }
    case "COMMAND": {
      const commandId = encodeBase64(fields.bytes(idLength, "a command's ID"));
      const at = readTime(fields);
      const number = fields.uint(1, "a command's type");
      const done = typeOf.get(number);
      if (done === undefined || !isChange(done)) throw new RecordError(`no command is of type ${number}`);
      if (done !== "CREATE") return { type, commandId, at, done: { type: done } };
      const [recipientId, senderId] = [readId(fields), readId(fields)];
      return { type, commandId, at, done: { type: done, recipientId, senderId } };
    }
    default: {
      const origin = readOrigin(fields);
      return { ...readChange(type, fields), ...(origin && { origin }) };
    }
  }
}

function isChange(type: LogRecord["type"]): type is QueueChange["type"] {
  return type !== "CLAIM" && type !== "SNAPSHOT" && type !== "HANDSHAKE" && type !== "COMMAND";
}

function readChange(type: QueueChange["type"], fields: FieldReader): QueueChange {
  const recipientId = readId(fields);
  switch (type) {
    case "CREATE": {
      const [senderId, recipientKey, senderKey] = [readId(fields), readKey(fields), readKey(fields)];
      if (recipientKey === null) throw new RecordError("a queue has no recipient key");
      const suspended = readFlag(fields);
      const changedAt = readTime(fields);
      return { type, queue: { recipientId, senderId, recipientKey, senderKey, suspended, changedAt } };
    }
    case "SECURE": {
      const senderKey = readKey(fields);
      if (senderKey === null) throw new RecordError("SECURE has no key");
      return { type, recipientId, senderKey };
    }
    case "SUSPEND":
      return { type, recipientId, at: readTime(fields) };
    case "MESSAGE": {
      const [id, at] = [readId(fields), readTime(fields)];
      // What a message is a part of is garbage soon.
      return { type, recipientId, id, at, body: fields.bytes(fields.left, "a body").slice() };
    }
    case "ACKNOWLEDGE":
    case "EXPIRE": {
      const messageIds: string[] = [];
      while (fields.left > 0) messageIds.push(readId(fields));
      return { type, recipientId, messageIds };
    }
    case "DELETE":
    case "CLEAR":
    case "TOUCH":
      return { type, recipientId };
    default:
      return type satisfies never;
  }
}

function originFields({ commandId, blockSize }: Origin = {}): Part[] {
  const flags = (commandId === undefined ? 0 : hasCommand) | (blockSize === undefined ? 0 : hasBlockSize);
  const parts: Part[] = [uint(flags, 1)];
  if (commandId !== undefined) parts.push(idBytes(commandId));
  if (blockSize !== undefined) parts.push(uint(blockSize, 4));
  return parts;
}

function readOrigin(fields: FieldReader): Origin | undefined {
  const flags = fields.uint(1, "an origin");
  if (flags === 0) return undefined;
  if ((flags & ~(hasCommand | hasBlockSize)) !== 0) throw new RecordError(`no origin has the flags ${flags}`);
  const commandId = flags & hasCommand ? encodeBase64(fields.bytes(idLength, "a command's ID")) : undefined;
  const blockSize = flags & hasBlockSize ? fields.uint(4, "a block size") : undefined;
  return { ...(commandId !== undefined && { commandId }), ...(blockSize !== undefined && { blockSize }) };
}

function placeFields({ sequence, name, bytes, chunks, sha256 }: SnapshotPlace): Part[] {
  if (sha256.length !== hashLength) throw new RangeError(`Cannot encode a hash of ${sha256.length} bytes`);
  return [integer(sequence), ...id(name), integer(bytes), uint(chunks, 4), sha256];
}

function readPlace(fields: FieldReader): SnapshotPlace {
  const [sequence, name] = [fields.integer("a snapshot's sequence"), readId(fields)];
  const [bytes, chunks] = [fields.integer("a snapshot's size"), fields.uint(4, "a snapshot's chunks")];
  if (sequence < 0 || bytes < 0) throw new RecordError("a snapshot's sequence or size is negative");
  return { sequence, name, bytes, chunks, sha256: fields.bytes(hashLength, "a snapshot's hash").slice() };
}
