import type { AdminDuties, Administration } from "../../cli/admin/administration.ts";
import type { ServerStatus } from "../admin/status.ts";
import type { CliOptions } from "../config/cli.ts";
import type { ServerConfig } from "../config/config.ts";
import type { Limits } from "../config/limits.ts";
import { type NewQueueAccess, newQueueAccessOf } from "../config/new_queue_access.ts";
import { changedKeys } from "../config/settings.ts";
import type { AdjustableLogger, LogLevel } from "../../cli/logger.ts";
import type { MonitorSource } from "../observe/monitor.ts";
import { numbersOf } from "../observe/numbers.ts";
import type { SmpServer } from "../server.ts";
import type { CertificateFiles } from "./certificate_files.ts";
import { addressOf, configOf, iniPath, readFile } from "./files.ts";
import type { Signals } from "./signals.ts";
import { Fatal } from "./terminal.ts";

/** What can be changed of a server that runs. */
export interface Operated {
  setLimits(limits: Limits): void | Promise<void>;
  setCreate(access: NewQueueAccess): void;
  /** Of its workers. */
  setLogLevel?(level: LogLevel): void;
}

export interface OperateOptions {
  readonly options: CliOptions;
  /** What the server was started with. */
  readonly settings: ServerConfig;
  readonly logger: AdjustableLogger;
  readonly admin: Administration<ServerStatus> | null;
  readonly signals: Signals;
  readonly server: Operated;
  readonly listening: Pick<SmpServer, "port" | "webSocketPort" | "tlsPort" | "keyHash">;
  readonly source: MonitorSource;
  readonly engine: string;
  readonly certificates: CertificateFiles | null;
}

/** From now on signals and the operator's commands reach the server. */
export function operate(given: OperateOptions): void {
  const operator = new Operator(given);
  // What has failed is in the log.
  given.signals.onReload(() => operator.reload().then(() => {}, () => {}));
  given.admin?.serve(operator);
}

class Operator implements AdminDuties<ServerStatus> {
  readonly #given: OperateOptions;
  #reloading: Promise<unknown> = Promise.resolve();

  constructor(given: OperateOptions) {
    this.#given = given;
  }

  async status(): Promise<ServerStatus> {
    const { source, settings, listening, engine, logger, certificates } = this.#given;
    await source.refresh?.();
    return {
      version: source.version,
      pid: Deno.pid,
      // Of the process, whatever becomes of the system's clock.
      uptime: Math.round(performance.now() / 1000),
      notReady: source.notReady(),
      address: addressOf(settings, listening.port, listening.keyHash),
      port: listening.port,
      webSocketPort: listening.webSocketPort ?? null,
      tlsPort: listening.tlsPort ?? null,
      certificate: certificates?.status ?? null,
      storeLog: settings.storeLog && settings.clusterServers === null ? settings.storeLogFile : null,
      cryptography: engine,
      logLevel: logger.level,
      ...(source.workers !== undefined && { workers: source.workers }),
      ...(source.cluster !== undefined && { cluster: source.cluster() }),
      ...numbersOf(source.metrics, source.gauges()),
    };
  }

  setLogLevel(level: LogLevel): void {
    this.#given.logger.level = level;
    this.#given.server.setLogLevel?.(level);
  }

  /** One at a time. */
  reload(): Promise<readonly string[]> {
    const reloading = this.#reloading.then(() => this.#reload());
    this.#reloading = reloading.catch(() => {});
    return reloading;
  }

  /** An ini with mistakes, or that is being written, changes nothing. */
  async #reload(): Promise<readonly string[]> {
    const { options, settings, server, logger, certificates } = this.#given;
    try {
      const path = iniPath(options);
      const text = await readFile(path);
      if (text === null) throw new Fatal(`there is no ${path}`);
      if (text.trim() === "") throw new Fatal(`${path} is empty`);
      const { config, warnings } = configOf(options, text);
      for (const warning of warnings) logger.warn(warning);
      // Workers answer when they have what was sent before.
      server.setCreate(newQueueAccessOf(config));
      await server.setLimits(config.limits);
      if (config.logLevel !== logger.level) this.setLogLevel(config.logLevel);
      logger.info("read the limits again");
      const isRenewed = await certificates?.look() ?? false;
      const problem = certificates?.problem ?? null;
      const changed = changedKeys(options, { from: settings, to: config });
      const late = `not taken until the next start: ${changed.join(", ")}`;
      if (changed.length > 0) logger.warn(late);
      return [
        ...warnings.map((warning) => `warning: ${warning}`),
        "taken: [ACCESS], [LIMITS], [LOG] level",
        ...(isRenewed ? ["the TLS certificate is another one now"] : []),
        ...(problem !== null ? [`the TLS certificate is the old one: ${problem}`] : []),
        ...(changed.length > 0 ? [late] : []),
      ];
    } catch (error) {
      logger.error("Cannot read the limits again, the old ones stay", error);
      throw error;
    }
  }
}
