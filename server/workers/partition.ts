import { partitionOf, type Partitions } from "../broker/partition.ts";

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
  return partitionOf(id, partitions) % workers;
}

export function partitionsOf(worker: number, { workers, partitions }: Spread): Partitions {
  const all = Array.from({ length: partitions }, (_, partition) => partition);
  return { own: all.filter((partition) => partition % workers === worker), count: partitions };
}

/** The first eight of the 53 bits say which worker remembers a handshake, whatever worker it comes to. */
export function workerOfHandshake(digest: number, { workers }: Pick<Spread, "workers">): number {
  return Math.floor(digest / 2 ** 45) % workers;
}
