import type { ServerExtension } from "../../protocol/mod.ts";
import { defaultLimits, type Limits } from "./limits.ts";
import type { LogFormat, LogLevel } from "../../cli/logger.ts";
import type { Fsync } from "../store/append_log.ts";

export interface ServerConfig {
  readonly host: string;
  readonly publicHost: string | null;
  readonly port: number;
  readonly webSocketPort: number | null;
  /** Counts with `tlsCert` and `tlsKey` alone. */
  readonly tlsPort: number;
  readonly tlsCert: string | null;
  readonly tlsKey: string | null;
  readonly trustForwardedFor: boolean;
  readonly keyFile: string;
  readonly storeLog: boolean;
  readonly storeLogFile: string;
  readonly fsync: Fsync;
  readonly fsyncInterval: number;
  readonly messages: "memory" | "journal";
  readonly messagesFile: string;
  readonly restoreMessages: boolean;
  readonly metricsHost: string;
  readonly metricsPort: number | null;
  /** Besides `localhost` and IP addresses. */
  readonly metricsHosts: readonly string[];
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly limits: Limits;
  /** Which of them clients are offered. */
  readonly extensions: Readonly<Record<ServerExtension, boolean>>;
  /** Who may create queues: `anyone`, or `password` and addresses. */
  readonly create: readonly string[];
  readonly createPassword: string | null;
  /** `nats://host:port[,…]`; `null`: it is no node of a cluster. */
  readonly clusterServers: string | null;
  readonly clusterNode: string | null;
  readonly clusterName: string;
  readonly clusterPartitions: number;
  readonly clusterUser: string | null;
  readonly clusterPassword: string | null;
  readonly clusterNkeyFile: string | null;
  readonly clusterCaFile: string | null;
  /** Also connects unencrypted to other machines. */
  readonly clusterInsecure: boolean;
}

export interface GivenSettings {
  readonly host?: string;
  readonly port?: number;
  readonly webSocketPort?: number;
  readonly storeLog?: boolean;
  readonly clusterServers?: string;
  readonly clusterNode?: string;
}

export interface Directories {
  readonly configDir: string;
  readonly logDir: string;
}

/** What the defaults depend on. */
export interface Given extends Directories {
  /** Of `start --workers`, which keep queues and messages. */
  readonly workers?: number;
}

export const iniName = "smp-server.ini";

export function defaultConfig({ configDir, logDir, workers }: Given): ServerConfig {
  return {
    host: "::",
    publicHost: null,
    port: 5223,
    webSocketPort: null,
    tlsPort: 443,
    tlsCert: null,
    tlsKey: null,
    trustForwardedFor: false,
    keyFile: `${configDir}/server_key`,
    storeLog: workers !== undefined,
    storeLogFile: `${logDir}/smp-server-store.log`,
    fsync: "interval",
    fsyncInterval: 1000,
    messages: workers === undefined ? "memory" : "journal",
    messagesFile: `${logDir}/smp-server-messages.log`,
    restoreMessages: true,
    metricsHost: "127.0.0.1",
    metricsPort: null,
    metricsHosts: [],
    logLevel: "info",
    logFormat: "text",
    limits: defaultLimits,
    extensions: { open1: true, window1: true, blocks1: true, rekey1: true },
    create: ["anyone"],
    createPassword: null,
    clusterServers: null,
    clusterNode: null,
    clusterName: "smp",
    clusterPartitions: 8,
    clusterUser: null,
    clusterPassword: null,
    clusterNkeyFile: null,
    clusterCaFile: null,
    clusterInsecure: false,
  };
}
