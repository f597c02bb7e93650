/**
 * An SMP 0.3 server that can run inside any Deno program; `server/main.ts` is the executable.
 *
 * Queues and messages are kept in memory, and are gone when the server stops, unless it is given stores that do more:
 * those of {@linkcode openFileStores}, for instance.
 *
 * @example Start a server on a free port
 * ```ts
 * import { SmpServer } from "@simplexmq/smp/server";
 *
 * await using server = await SmpServer.start({ host: "127.0.0.1", port: 0 });
 * console.log(server.address);
 * ```
 *
 * @example Keep queues and messages in the folder `data`
 * ```ts
 * import { openFileStores, SmpServer } from "@simplexmq/smp/server";
 *
 * await using stores = await openFileStores({ directory: "data" });
 * const { queues, messages, replayGuard } = stores;
 * await using server = await SmpServer.start({ host: "127.0.0.1", port: 0, queues, messages, replayGuard });
 * ```
 *
 * @module
 */
export { formatIdentity, generateIdentity, parseIdentity, type ServerIdentity } from "./config/identity.ts";
export { defaultLimits, type Limits } from "./config/limits.ts";
export type { NewQueueAccess, NewQueueRule } from "./config/new_queue_access.ts";
export {
  type Gauges,
  Histogram,
  latencyBuckets,
  Metrics,
  type Refusal,
  refusals,
} from "./observe/metrics.ts";
export { ReplayGuard } from "./guard/replay_guard.ts";
export { type FileStores, type FileStoresOptions, openFileStores } from "./store/files.ts";
export { MemoryMessageStore, MemoryQueueStore } from "./store/memory.ts";
export type {
  MessageStore,
  Origin,
  PartitionStores,
  QueueRecord,
  QueueStore,
  StoredMessage,
} from "./store/store.ts";
export type { Certificate } from "./net/certificate.ts";
export type { Page, PageRequest } from "./net/websocket_listener.ts";
export { SmpServer } from "./server.ts";
export type { SmpServerOptions, TlsOptions } from "./server_options.ts";
