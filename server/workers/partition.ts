import { decodeBase64 } from "../../protocol/mod.ts";

/** How many partitions the queues of a machine are cut into. The files of workers say it, so that it may change. */
export const workerPartitions = 256;

/** Most workers of a server; each has some files open. */
export const mostWorkers = 64;

/** How the queues are spread. */
export interface Spread {
  readonly workers: number;
  /** A power of two, up to 65536. */
  readonly partitions: number;
}

/** The worker that has a queue, by the first two bytes of one of its IDs in base64. Bytes that are not there are 0. */
export function workerOf(id: string, { workers, partitions }: Spread): number {
  const [high = 0, low = 0] = decodeBase64(id.slice(0, 4)) ?? [];
  return (high << 8 | low) % partitions % workers;
}

/** The worker that remembers a handshake, by the number that the replay guard has of it. */
export function workerOfHandshake(digest: number, { workers, partitions }: Spread): number {
  return digest % partitions % workers;
}
