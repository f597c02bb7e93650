import config from "../../deno.json" with { type: "json" };
import type { ServerConfig } from "../config/config.ts";
import { checkLimits, type Limits } from "../config/limits.ts";
import type { Logger, LogLevel } from "../../cli/logger.ts";
import { type NewQueueAccess, newQueueAccessOf, newQueueSettings } from "../config/new_queue_access.ts";
import type { Metrics } from "../observe/metrics.ts";
import { type Certificate, validityOf } from "../net/certificate.ts";
import type { SmpServer } from "../server.ts";
import { workerCommand } from "./command.ts";
import type { WorkerFiles } from "./files.ts";
import { HandshakeDesk } from "./handshakes.ts";
import type { ReadyMessage, StartMessage, ToWorker } from "./messages.ts";
import type { SocketFolder } from "./socket_folder.ts";
import { Supervisor, type WorkerNews } from "./supervisor.ts";
import { UsageBoard } from "./usage_board.ts";
import { sampleInterval } from "./worker.ts";
import { WorkerStatus } from "./worker_status.ts";

/** Milliseconds for which what one worker tells is gathered for the others. */
const relayDelay = 5;
/** Milliseconds that a worker may take to read new limits, before the log says that they hold. */
const limitsTime = 5_000;

export interface WorkersOptions {
  readonly settings: ServerConfig;
  readonly repair: boolean;
  /** PEM. */
  readonly key: string;
  /** For WebSockets over TLS; `null`: there are none. */
  readonly certificate: Certificate | null;
  readonly files: WorkerFiles;
  readonly sockets: SocketFolder;
  /** What this process counts. */
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** The server that all workers are together: what is counted, limited and asked for in one place. */
export class Workers implements AsyncDisposable {
  readonly status: WorkerStatus;
  readonly #options: WorkersOptions;
  readonly #supervisor: Supervisor;
  readonly #desk: HandshakeDesk;
  readonly #board: UsageBoard;
  readonly #timer: ReturnType<typeof setInterval>;
  #relay: ReturnType<typeof setTimeout> | undefined;
  #limits: Limits;
  #newQueues: Pick<ServerConfig, "create" | "createPassword">;
  #logLevel: LogLevel;
  #certificate: Certificate | null;
  /** How often settings have changed, and how often they had when each worker was started. */
  #changes = 0;
  readonly #startedAfter = new Map<number, number>();

  constructor(options: WorkersOptions) {
    const { files: { workers }, metrics, settings, logger } = options;
    this.#options = options;
    this.#limits = settings.limits;
    this.#newQueues = settings;
    this.#logLevel = settings.logLevel;
    this.#certificate = options.certificate;
    this.#supervisor = new Supervisor({
      workers,
      logger,
      command: (_worker, first) =>
        workerCommand({ settings: this.#settings(first), sockets: options.sockets }),
      start: (worker, incarnation, first) => this.#startMessage(worker, incarnation, first),
      onNews: (worker, news) => this.#onNews(worker, news),
      onUp: (worker) => {
        this.#board.up(worker);
        this.status.up(worker);
        this.#desk.up(worker);
        this.#tellChanges(worker);
        this.#relaySoon();
      },
      onDown: (worker) => {
        this.#board.down(worker);
        this.status.down(worker);
        this.#desk.down(worker);
        this.#relaySoon();
      },
    });
    this.#board = new UsageBoard((worker, usage) => this.#supervisor.send(worker, { type: "others", usage }));
    this.#desk = new HandshakeDesk({
      send: (worker, message) => this.#supervisor.send(worker, message),
      isUp: (worker) => this.#supervisor.isUp(worker),
    });
    this.status = new WorkerStatus({
      workers,
      version: config.version,
      startedAt: Date.now(),
      certificateEnd: () => this.#certificate === null ? null : validityOf(this.#certificate).to,
      metrics,
      ask: (worker, id) => this.#supervisor.send(worker, { type: "sample", id }),
      restarts: () => this.#supervisor.restarts,
    });
    this.#timer = setInterval(() => this.#tick(), sampleInterval);
  }

  /** Resolves when all workers serve. Throws `Fatal` when one cannot, and the signal's reason when that aborts. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#supervisor.start(signal);
  }

  /** Where the server is, when it has started. */
  get listening(): Pick<SmpServer, "port" | "webSocketPort" | "tlsPort" | "keyHash"> {
    const { port, webSocketPort, tlsPort, keyHash } = this.#supervisor.first;
    return { port, webSocketPort: webSocketPort ?? undefined, tlsPort: tlsPort ?? undefined, keyHash };
  }

  get engine(): string {
    return this.#supervisor.first.engine;
  }

  /** Rejects with `Fatal` when a worker cannot be kept running; never resolves. */
  get failed(): Promise<never> {
    return this.#supervisor.failed;
  }

  /** Resolves when the workers have them. Throws `RangeError` that names the limit, and changes nothing then. */
  async setLimits(limits: Partial<Limits>): Promise<void> {
    this.#limits = checkLimits({ ...this.#limits, ...limits });
    this.#change({ type: "limits", limits: this.#limits });
    // Whoever answers has read what was sent before.
    await this.status.refresh(limitsTime);
  }

  setCreate(access: NewQueueAccess): void {
    this.#newQueues = newQueueSettings(access);
    this.#change({ type: "create", access });
  }

  setLogLevel(level: LogLevel): void {
    this.#logLevel = level;
    this.#change({ type: "log-level", level });
  }

  setCertificate(certificate: Certificate): void {
    this.#certificate = certificate;
    this.#change({ type: "certificate", certificate });
  }

  /** Within `deadline` milliseconds commands in work are finished and answered. */
  async stop(deadline: number): Promise<void> {
    this.status.stopping();
    await this.#supervisor.stop(deadline);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#supervisor[Symbol.asyncDispose]();
    clearTimeout(this.#relay);
  }

  #change(message: ToWorker): void {
    this.#changes++;
    this.#supervisor.sendAll(message);
  }

  /** What has changed while a worker was being started was told to nobody there. */
  #tellChanges(worker: number): void {
    if (this.#startedAfter.get(worker) === this.#changes) return;
    const messages: ToWorker[] = [
      { type: "limits", limits: this.#limits },
      { type: "create", access: newQueueAccessOf(this.#newQueues) },
      { type: "log-level", level: this.#logLevel },
    ];
    if (this.#certificate !== null) messages.push({ type: "certificate", certificate: this.#certificate });
    for (const message of messages) this.#supervisor.send(worker, message);
  }

  #settings(first: ReadyMessage | null): ServerConfig {
    const { settings } = this.#options;
    return {
      ...settings,
      limits: this.#limits,
      logLevel: this.#logLevel,
      create: this.#newQueues.create,
      createPassword: this.#newQueues.createPassword,
      ...(first !== null && {
        port: first.port,
        webSocketPort: first.webSocketPort,
        tlsPort: first.tlsPort ?? settings.tlsPort,
      }),
    };
  }

  #startMessage(worker: number, incarnation: number, first: ReadyMessage | null): StartMessage {
    const { files: { workers, partitions, files }, repair, key, sockets } = this.#options;
    this.#startedAfter.set(worker, this.#changes);
    return {
      type: "start",
      worker,
      workers,
      partitions,
      files: files[worker]!,
      incarnation,
      settings: this.#settings(first),
      repair,
      key,
      certificate: this.#certificate,
      sockets: sockets.path,
    };
  }

  #onNews(worker: number, news: WorkerNews): void {
    switch (news.type) {
      case "sample":
        return this.status.take(worker, news);
      case "usage":
        this.#board.take(worker, news.usage);
        return this.#relaySoon();
      case "log":
        return this.#options.logger[news.level](news.message, news.error ?? undefined);
      case "ask":
        return this.#desk.ask(worker, news);
      case "answer":
        return this.#desk.answer(worker, news);
      default:
        return news satisfies never;
    }
  }

  #relaySoon(): void {
    this.#relay ??= setTimeout(() => {
      this.#relay = undefined;
      this.#board.flush();
    }, relayDelay);
  }

  #tick(): void {
    this.#desk.sweep(this.#limits.handshakeTimeout);
    for (const worker of this.status.tick()) this.#supervisor.kill(worker, "it does not answer");
  }
}
