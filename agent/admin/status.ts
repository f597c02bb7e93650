import type { LogLevel } from "../../cli/logger.ts";
import type { AgentNumbers, ServerInfo } from "../runtime/numbers.ts";

/** A server as it is printed. */
export interface ListedServer extends Pick<ServerInfo, "state"> {
  readonly server: string;
  /** ISO 8601; `null` when it was never tried. */
  readonly since: string | null;
}

/** What `agent status --json` prints. */
export interface AgentStatus extends Omit<AgentNumbers, "servers"> {
  readonly version: string;
  readonly pid: number;
  /** Seconds. */
  readonly uptime: number;
  /** Where clients connect to. */
  readonly address: string;
  /** Clients of the port that are there. */
  readonly clients: number;
  readonly database: string;
  /** Bytes of the database with what is beside it. */
  readonly databaseSize: number;
  /** Bytes. */
  readonly memory: number;
  readonly logLevel: LogLevel;
  readonly servers: readonly ListedServer[];
}
