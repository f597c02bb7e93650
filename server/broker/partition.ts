import { encodeBase64, randomBytes } from "../../protocol/mod.ts";

/** Queue IDs have the number of their partition in their first two bytes. */
export const mostPartitions = 65_536;

/** The parts of all queues that a broker has, of `count`, a power of two. */
export interface Partitions {
  /** From 0, at least one. */
  readonly own: readonly number[];
  readonly count: number;
}

export const onePartition: Partitions = { own: [0], count: 1 };

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const values = Uint8Array.from(
  { length: 128 },
  (_, code) => Math.max(0, alphabet.indexOf(String.fromCharCode(code))),
);

/** The partition of a queue by either of its IDs, base64; what an ID lacks counts as 0. */
export function partitionOf(queueId: string, count: number): number {
  const [a, b, c] = [valueAt(queueId, 0), valueAt(queueId, 1), valueAt(queueId, 2)];
  return (a << 10 | b << 4 | c >> 2) & count - 1;
}

/** Whether a queue ID, base64, is of one of the partitions. */
export function isOf(queueId: string, { own, count }: Partitions): boolean {
  return own.includes(partitionOf(queueId, count));
}

/** Two random IDs of a queue, base64, which differ behind their first two bytes. */
export function randomIds(
  length: number,
  { own, count }: Partitions,
): [recipientId: string, senderId: string] {
  const [recipientId, senderId] = [randomBytes(length), randomBytes(length)];
  const [index, rest] = [
    (senderId[0]! << 8 | senderId[1]!) % own.length,
    recipientId[0]! << 8 | recipientId[1]!,
  ];
  const prefix = rest & ~(count - 1) | own[index]!;
  for (const id of [recipientId, senderId]) [id[0], id[1]] = [prefix >> 8, prefix & 0xff];
  return [encodeBase64(recipientId), encodeBase64(senderId)];
}

export function isPartitionCount(count: number): boolean {
  return Number.isInteger(count) && count >= 1 && count <= mostPartitions && (count & count - 1) === 0;
}

function valueAt(id: string, at: number): number {
  return at < id.length ? values[id.charCodeAt(at) & 0x7f]! : 0;
}
