import { getHeapStatistics } from "node:v8";

/** Share of the largest heap above which the process is at risk whatever the limit says. */
const riskyShare = 0.85;

/** What a process uses, in bytes. */
export interface MemoryUse {
  /** Memory that the system has given it. */
  readonly rss: number;
  readonly heapUsed: number;
  /** The heap cannot become larger: the process would end. */
  readonly heapLimit: number;
}

/** What this process uses. */
export function memoryUse(): MemoryUse {
  const { rss, heapUsed } = Deno.memoryUsage();
  return { rss, heapUsed, heapLimit: getHeapStatistics().heap_size_limit };
}

/** Whether a process uses so much that it must take nothing more; `limit` in bytes, 0 for none. */
export function isMemoryShort({ rss, heapUsed, heapLimit }: MemoryUse, limit: number): boolean {
  return limit > 0 && rss > limit || heapUsed > heapLimit * riskyShare;
}
