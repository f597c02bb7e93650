import type { LogLevel } from "../../cli/logger.ts";
import type { NodeStatus } from "../cluster/node_status.ts";
import type { Numbers } from "../observe/numbers.ts";
import type { WorkerCounts } from "../observe/prometheus.ts";

/** What is said of the certificate of WebSockets over TLS. */
export interface CertificateStatus {
  /** ISO 8601, UTC. */
  readonly validFrom: string;
  readonly validTo: string;
  /** Whole days until `validTo`; below 0 when it is over. */
  readonly daysLeft: number;
  /** Why what is in the files now is not used; `null`: it is. */
  readonly problem: string | null;
}

/** What `status --json` prints. */
export interface ServerStatus extends Numbers {
  readonly version: string;
  readonly pid: number;
  /** Seconds. */
  readonly uptime: number;
  /** Why nothing new should be sent to it; `null`: it is ready. */
  readonly notReady: string | null;
  readonly address: string;
  readonly port: number;
  readonly webSocketPort: number | null;
  /** Of WebSockets over TLS. */
  readonly tlsPort: number | null;
  /** `null`: there is none, as there is no port for TLS. */
  readonly certificate: CertificateStatus | null;
  /** `null`: queues and messages are kept in memory only, or by a cluster. */
  readonly storeLog: string | null;
  readonly cryptography: string;
  readonly logLevel: LogLevel;
  readonly workers?: WorkerCounts;
  readonly cluster?: NodeStatus;
}
