import type { NodeStatus } from "../cluster/node_status.ts";
import type { Gauges, Metrics } from "./metrics.ts";
import { History, sampleInterval, type SeriesName } from "./history.ts";
import { type HttpRequest, HttpServer, type Reply } from "./http_server.ts";
import { type Numbers, numbersOf } from "./numbers.ts";
import { formatPrometheus, type ProgramInfo, type WorkerCounts } from "./prometheus.ts";
import { pageScript } from "./status_script.ts";
import { pageHtml, pageStyle } from "./status_page.ts";

export interface MonitorSource extends ProgramInfo {
  readonly metrics: Metrics;
  gauges(): Gauges;
  notReady(): string | null;
  /** Resolves when the numbers are those of now, or cannot be had soon. */
  refresh?(): Promise<void>;
}

export interface MonitorOptions {
  readonly host: string;
  readonly port: number;
  readonly source: MonitorSource;
  readonly hosts?: readonly string[];
  /** Milliseconds of a clock that does not go back. */
  readonly now?: () => number;
  readonly timeout?: number;
}

/** What `/status.json` holds. */
export interface Status extends Numbers {
  readonly version: string;
  readonly uptime: number;
  readonly notReady: string | null;
  readonly workers?: WorkerCounts;
  readonly cluster?: NodeStatus;
  readonly interval: number;
  readonly history: Readonly<Record<SeriesName, readonly (number | null)[]>>;
}

const mostConnections = 32;
const freshPages: ReadonlySet<string> = new Set(["/status.json", "/metrics", "/ready"]);
/** Requests a second that are answered in full: whoever asks without end must not take the time of the SMP server. */
const mostRequests = 100;

/** What is served is in docs/monitoring.md. */
export class Monitor implements AsyncDisposable {
  readonly #source: MonitorSource;
  readonly #names: ReadonlySet<string>;
  readonly #now: () => number;
  readonly #startedAt: number;
  readonly #history: History;
  #server: HttpServer | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #second = -Infinity;
  #requests = 0;

  private constructor({ host, hosts = [], source, now = () => performance.now() }: MonitorOptions) {
    this.#source = source;
    this.#names = new Set(["localhost", host.toLowerCase(), ...hosts]);
    this.#now = now;
    this.#startedAt = now();
    this.#history = new History(source.metrics, now());
  }

  static start(options: MonitorOptions): Monitor {
    const { host, port, timeout = 10_000 } = options;
    const monitor = new Monitor(options);
    const reply = (request: HttpRequest) => monitor.#reply(request);
    monitor.#server = HttpServer.start({ host, port, timeout, mostConnections, reply });
    monitor.#timer = setInterval(() => monitor.sample(), sampleInterval);
    return monitor;
  }

  get port(): number {
    return this.#server!.port;
  }

  sample(): void {
    this.#history.sample(this.#source.metrics, this.#source.gauges(), this.#now());
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#server![Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #reply({ method, path, hostName }: HttpRequest): Promise<Reply> {
    // A page of somebody else whose name points here must not read this.
    if (!this.#isOwnName(hostName)) return plain("wrong host", 403);
    if (this.#isTooOften()) return plain("too many requests", 503, { "retry-after": "1" });
    if (freshPages.has(path)) await this.#source.refresh?.();
    const reply = this.#page(path);
    if (reply === null) return plain("not found", 404);
    if (method !== "GET" && method !== "HEAD") return plain("only GET", 405, { allow: "GET, HEAD" });
    return reply;
  }

  #isOwnName(name: string): boolean {
    if (name === "") return false;
    return this.#names.has(name.replace(/\.$/, "")) || /^(\d+\.){3}\d+$/.test(name) || name.startsWith("[");
  }

  #isTooOften(): boolean {
    const now = this.#now();
    if (now - this.#second >= 1000) [this.#second, this.#requests] = [now, 0];
    return ++this.#requests > mostRequests;
  }

  #page(path: string): Reply | null {
    switch (path) {
      case "/":
        return page("text/html; charset=utf-8", pageHtml);
      case "/status.css":
        return page("text/css; charset=utf-8", pageStyle);
      case "/status.js":
        return page("text/javascript; charset=utf-8", pageScript);
      case "/status.json":
        return page("application/json", JSON.stringify(this.#status()));
      case "/metrics": {
        const { metrics } = this.#source;
        const body = formatPrometheus(metrics, this.#source.gauges(), this.#source);
        return page("text/plain; version=0.0.4; charset=utf-8", body);
      }
      case "/health":
        return plain("ok");
      case "/ready": {
        const reason = this.#source.notReady();
        return reason === null ? plain("ready") : plain(reason, 503);
      }
      default:
        return null;
    }
  }

  #status(): Status {
    const { metrics, version, workers } = this.#source;
    return {
      version,
      uptime: Math.round((this.#now() - this.#startedAt) / 1000),
      notReady: this.#source.notReady(),
      ...(workers !== undefined && { workers }),
      ...(this.#source.cluster !== undefined && { cluster: this.#source.cluster() }),
      ...numbersOf(metrics, this.#source.gauges()),
      interval: sampleInterval / 1000,
      history: this.#history.values(),
    };
  }
}

const policy =
  "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'";

function page(
  type: string,
  body: string,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return {
    status,
    body,
    headers: {
      "content-type": type,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cross-origin-resource-policy": "same-origin",
      "content-security-policy": policy,
      ...headers,
    },
  };
}

function plain(line: string, status = 200, headers: Readonly<Record<string, string>> = {}): Reply {
  return page("text/plain; charset=utf-8", `${line}\n`, status, headers);
}
