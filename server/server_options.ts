import type { ServerExtension } from "../protocol/mod.ts";
import type { Broker } from "./broker/broker.ts";
import type { LocalBrokers } from "./broker/local_brokers.ts";
import type { PartitionOwner } from "./broker/owner.ts";
import type { Partitions } from "./broker/partition.ts";
import type { ServerIdentity } from "./config/identity.ts";
import type { Limits, LimitSource } from "./config/limits.ts";
import type { NewQueueAccess } from "./config/new_queue_access.ts";
import type { ReplayGuard } from "./guard/replay_guard.ts";
import type { ServerUsage } from "./guard/server_usage.ts";
import type { StallWatch } from "./guard/stall_watch.ts";
import type { Turns } from "./guard/turns.ts";
import type { Certificate } from "./net/certificate.ts";
import type { Page, PageRequest } from "./net/websocket_listener.ts";
import type { Metrics } from "./observe/metrics.ts";
import { MemoryMessageStore, MemoryQueueStore } from "./store/memory.ts";
import type { MessageStore, PartitionStores, QueueStore } from "./store/store.ts";

/** The part of one process in a server of several. */
export interface ServerPlace {
  /** What the broker of this process has. */
  readonly partitions: Partitions;
  /** Greater than that of each process that was this one before. */
  readonly epoch: number;
  /** Makes what sessions give their commands to. `own`: the broker of this process. */
  route(
    own: Broker,
    parts: {
      readonly stores: PartitionStores;
      readonly turns: Turns;
      readonly limits: LimitSource;
      readonly metrics: Metrics;
      readonly stall: StallWatch;
    },
  ): PartitionOwner;
}

/** The part of one process in a server of several, which get partitions from each other while they run. */
export interface ServerCluster {
  /** Makes what sessions give their commands to. `brokers`: those of this process, none yet. */
  route(
    brokers: LocalBrokers,
    parts: { readonly turns: Turns; readonly metrics: Metrics; readonly limits: LimitSource },
  ): PartitionOwner;
}

/** WebSockets over TLS. */
export interface TlsOptions extends Certificate {
  /** TCP port; 0 takes a free one. */
  readonly port: number;
}

/** How a server is started. */
export interface SmpServerOptions {
  /** IP address or name to listen on; `::` is all addresses of IPv6 and IPv4, as far as the system has them. @default "::" */
  readonly host?: string;
  /** TCP port; 0 takes a free one. @default 5223 */
  readonly port?: number;
  /** WebSocket port; 0 takes a free one. @default none: no WebSockets */
  readonly webSocketPort?: number;
  /** Another port like that for WebSockets, for pages that have one of their own; 0 takes a free one. @default none */
  readonly pagePort?: number;
  /** Port for WebSockets over TLS (`wss`), 0 takes a free one, with the certificate for it. @default none */
  readonly tls?: TlsOptions;
  /** Name that clients reach the server by, for the page that browsers see. @default the one they have asked for */
  readonly publicHost?: string | null;
  /**
   * What browsers are answered that ask a WebSocket port for a page, for a program that serves one on the same port;
   * `null`: what they are answered without this. What it throws is logged, and they get 500.
   * @default a page with the server's address at `/`
   */
  readonly pages?: (request: PageRequest) => Page | null;
  /** Transport key. @default a new one */
  readonly identity?: ServerIdentity;
  /** Bytes of the blocks that the server proposes: 4096, 8192, 16384, 32768 or 65536. @default 4096 */
  readonly blockSize?: number;
  /** What clients may use beyond 0.3 (extensions.md); none makes the welcome that of 0.3. @default all */
  readonly extensions?: readonly ServerExtension[];
  /**
   * Who may create queues; with a password the server lists `pass1`, by which clients show that they know it. Addresses
   * are those of {@linkcode SmpServer.handle} too: without one it is none of them. @default "anyone"
   */
  readonly create?: NewQueueAccess;
  /** What bounds the server. @default `defaultLimits` */
  readonly limits?: Partial<Limits>;
  /** Where queues are kept. @default in memory */
  readonly queues?: QueueStore;
  /** Where messages are kept. @default in memory */
  readonly messages?: MessageStore;
  /** Where they are kept when they are cut into several partitions, a power of two; instead of `queues` and `messages`. */
  readonly partitions?: readonly PartitionStores[];
  /**
   * How this process is joined with others of the same server, which have other partitions. @default it is alone
   * @internal
   */
  readonly place?: ServerPlace;
  /**
   * How this process is joined with others of a cluster, which has queues and messages; instead of all of these.
   * @default it is alone
   * @internal
   */
  readonly cluster?: ServerCluster;
  /** Refuses handshakes that were played back. @default one that forgets everything when the server stops */
  readonly replayGuard?: Pick<ReplayGuard, "isNew">;
  /**
   * What other processes of the same server use of its limits. @default there are none
   * @internal
   */
  readonly usage?: ServerUsage;
  /**
   * Whether other processes of the same user may listen on the same ports: the system spreads connections over them.
   * On Linux; needs `--unstable-net`. @default false
   */
  readonly reusePort?: boolean;
  /** Counts what happens. @default new ones */
  readonly metrics?: Metrics;
  /** Whether WebSockets come through a reverse proxy on this machine, which names the client in `X-Forwarded-For`. @default false */
  readonly trustForwardedFor?: boolean;
  /** Stops the server when it aborts. */
  readonly signal?: AbortSignal;
  /** Is told about failures of the server itself; never with IDs, keys or addresses. */
  readonly log?: (message: string, error?: unknown) => void;
}

/** The stores of each partition of this process; throws `RangeError` where the options contradict each other. */
export function storesOf(
  { queues, messages, partitions, cluster }: SmpServerOptions,
): readonly PartitionStores[] {
  if (cluster !== undefined) {
    if (queues === undefined && messages === undefined && partitions === undefined) return [];
    throw new RangeError("Cannot use stores of this process beside those of a cluster");
  }
  if (partitions === undefined) {
    return [{ queues: queues ?? new MemoryQueueStore(), messages: messages ?? new MemoryMessageStore() }];
  }
  if (queues === undefined && messages === undefined) return partitions;
  throw new RangeError("Cannot use queues or messages beside partitions, which have their own");
}
