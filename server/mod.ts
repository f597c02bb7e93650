/**
 * An SMP 0.3 server that can run inside any Deno program; `server/main.ts` is the executable.
 *
 * Queues and messages are kept in memory, and are gone when the server stops, unless it is given stores that do more.
 *
 * @example Start a server on a free port
 * ```ts
 * import { SmpServer } from "@simplexmq/smp/server";
 *
 * await using server = await SmpServer.start({ host: "127.0.0.1", port: 0 });
 * console.log(server.address);
 * ```
 *
 * @module
 */
export { formatIdentity, generateIdentity, parseIdentity, type ServerIdentity } from "./config/identity.ts";
export { defaultLimits, type Limits } from "./config/limits.ts";
export {
  type Gauges,
  Histogram,
  latencyBuckets,
  Metrics,
  type Refusal,
  refusals,
} from "./observe/metrics.ts";
export { ReplayGuard } from "./guard/replay_guard.ts";
export { MemoryMessageStore, MemoryQueueStore } from "./store/memory.ts";
export type { MessageStore, QueueRecord, QueueStore, StoredMessage } from "./store/store.ts";
export { SmpServer, type SmpServerOptions } from "./server.ts";
