import { defaultLimits, type Limits } from "./limits.ts";
import type { LogFormat, LogLevel } from "../observe/logger.ts";
import type { Fsync } from "../store/append_log.ts";

/** All that an operator can set, as the ini, the environment and the command line say together. */
export interface ServerConfig {
  readonly host: string;
  /** What clients call the server; `null`: not known. */
  readonly publicHost: string | null;
  /** 0 takes a free one. */
  readonly port: number;
  /** 0 takes a free one; `null`: no WebSockets. */
  readonly webSocketPort: number | null;
  readonly trustForwardedFor: boolean;
  readonly keyFile: string;
  /** Whether queues are kept in the store log. */
  readonly storeLog: boolean;
  readonly storeLogFile: string;
  readonly fsync: Fsync;
  /** Milliseconds. */
  readonly fsyncInterval: number;
  readonly messages: "memory" | "journal";
  readonly messagesFile: string;
  readonly restoreMessages: boolean;
  readonly metricsHost: string;
  /** 0 takes a free one; `null`: no metrics. */
  readonly metricsPort: number | null;
  /** The names by which metrics may be asked for, besides `localhost` and IP addresses. */
  readonly metricsHosts: readonly string[];
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly limits: Limits;
}

/** What can be given on the command line or in the environment instead of in the ini. */
export interface GivenSettings {
  readonly host?: string;
  /** 0 takes a free port. */
  readonly port?: number;
  /** 0 takes a free port. */
  readonly webSocketPort?: number;
  readonly storeLog?: boolean;
}

export interface Directories {
  readonly configDir: string;
  readonly logDir: string;
}

export const iniName = "smp-server.ini";

/** The configuration of a server whose ini says nothing. */
export function defaultConfig({ configDir, logDir }: Directories): ServerConfig {
  return {
    host: "0.0.0.0",
    publicHost: null,
    port: 5223,
    webSocketPort: null,
    trustForwardedFor: false,
    keyFile: `${configDir}/server_key`,
    storeLog: false,
    storeLogFile: `${logDir}/smp-server-store.log`,
    fsync: "interval",
    fsyncInterval: 1000,
    messages: "memory",
    messagesFile: `${logDir}/smp-server-messages.log`,
    restoreMessages: true,
    metricsHost: "127.0.0.1",
    metricsPort: null,
    metricsHosts: [],
    logLevel: "info",
    logFormat: "text",
    limits: defaultLimits,
  };
}
