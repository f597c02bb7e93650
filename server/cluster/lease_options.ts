import type { Bucket } from "./bucket.ts";
import type { ClusterClock } from "./clock.ts";
import type { ClusterIdentity } from "./cluster_identity.ts";
import type { EngineEvent } from "./engine.ts";

/** `at` is the time of the lease's clock, milliseconds. */
export type LeaseEvent =
  /** Other nodes may take this one for dead: it gives no answers, and keeps what it has. */
  | { readonly type: "pause"; readonly at: number }
  /**
   * It answers again. `wasGone`: it was taken for dead meanwhile, so before anything else it looks in the logs of its
   * partitions for claims of others. What belongs to an incarnation other than this one (sessions, subscriptions) is
   * void.
   */
  | { readonly type: "resume"; readonly at: number; readonly incarnation: number; readonly wasGone: boolean }
  /** For 5 s there was no connection to any server: sessions are to be closed. */
  | { readonly type: "cut"; readonly at: number }
  /** Nodes came, went, changed what they own, or drain. */
  | { readonly type: "members"; readonly at: number }
  /** Another process runs under this node's name: this one has to stop. */
  | { readonly type: "superseded"; readonly at: number }
  /** The bucket has an older state than before: nothing that was seen of it holds, and this node has to stop. */
  | { readonly type: "restored"; readonly at: number; readonly what: string };

/** The connection to the engine, as far as a lease has to know it. */
export interface Connectivity {
  readonly lostAt: number | null;
  listen(listener: (event: EngineEvent) => void): () => void;
  /** Connects to another server, where there is one. */
  changeServer(): Promise<void>;
}

export interface LeaseOptions {
  readonly bucket: Bucket;
  readonly connectivity: Connectivity;
  /** Letters, digits, `_` and `-`, 32 at most; the same at each start. */
  readonly node: string;
  readonly cluster: ClusterIdentity;
  readonly onEvent: (event: LeaseEvent) => void;
  readonly log: (level: "info" | "warn", message: string, error?: unknown) => void;
  readonly signal: AbortSignal;
  /** That of the connectivity. @default the machine's */
  readonly clock?: ClusterClock;
}
