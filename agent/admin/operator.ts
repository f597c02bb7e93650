import type { AdminDuties } from "../../cli/admin/administration.ts";
import type { AdjustableLogger, LogLevel } from "../../cli/logger.ts";
import { formatAddress } from "../../protocol/mod.ts";
import type { Agent } from "../agent.ts";
import type { AgentService } from "../service/service.ts";
import type { AgentStatus } from "./status.ts";

/** What is administered. */
export interface Operated {
  readonly agent: Pick<Agent, "numbers">;
  readonly service: Pick<AgentService, "sessions" | "setToken">;
  readonly logger: AdjustableLogger;
  readonly version: string;
  readonly address: string;
  readonly database: string;
  /** Reads the token of clients; `null`: they need none. */
  readonly readToken: (() => Promise<string>) | null;
  /** Milliseconds of a clock that does not go back. @default the system's */
  readonly now?: () => number;
}

/** Does what the operator of a running agent asks for. */
export class AgentOperator implements AdminDuties<AgentStatus> {
  readonly #operated: Operated;
  readonly #now: () => number;
  readonly #startedAt: number;
  /** Of the command line. */
  readonly #logLevel: LogLevel;
  #counting: Promise<AgentStatus> | null = null;

  /** The agent has started now. */
  constructor(operated: Operated) {
    this.#operated = operated;
    this.#now = operated.now ?? (() => performance.now());
    this.#startedAt = this.#now();
    this.#logLevel = operated.logger.level;
  }

  /** Counted once for all who ask meanwhile. */
  status(): Promise<AgentStatus> {
    return this.#counting ??= this.#status().finally(() => this.#counting = null);
  }

  setLogLevel(level: LogLevel): void {
    this.#operated.logger.level = level;
  }

  async reload(): Promise<readonly string[]> {
    const { service, logger, readToken } = this.#operated;
    if (readToken !== null) service.setToken(await readToken());
    logger.level = this.#logLevel;
    const token = readToken === null ? [] : ["taken: --token-file, for clients that connect from now on"];
    logger.info("reloaded");
    return [...token, "not taken until the next start: all else, which the command line says"];
  }

  async #status(): Promise<AgentStatus> {
    const { agent, service, logger, version, address, database } = this.#operated;
    const { servers, ...numbers } = await agent.numbers();
    return {
      version,
      pid: Deno.pid,
      uptime: Math.max(0, Math.round((this.#now() - this.#startedAt) / 1000)),
      address,
      clients: service.sessions,
      database,
      databaseSize: await sizeOf(database),
      memory: Deno.memoryUsage().rss,
      logLevel: logger.level,
      ...numbers,
      servers: servers.map(({ server, state, since }) => ({
        server: formatAddress(server),
        state,
        since: since === null ? null : new Date(since).toISOString(),
      })),
    };
  }
}

async function sizeOf(database: string): Promise<number> {
  const sizes = ["", "-wal", "-shm"].map((end) => (
    Deno.stat(`${database}${end}`).then(({ size }) => size, () => 0)
  ));
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size);
}
