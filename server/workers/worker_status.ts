import { type Gauges, Metrics } from "../observe/metrics.ts";
import type { MonitorSource } from "../observe/monitor.ts";
import type { WorkerCounts } from "../observe/prometheus.ts";
import { type Snapshot, sumGauges, sumMetrics } from "./snapshot.ts";

/** Milliseconds that a request waits for the workers' numbers before it gets the last ones known. */
const refreshTime = 250;
/** Samples that a worker may leave out before it counts as hanging, and before it is ended. */
const missedHanging = 5, missedDead = 60;

export interface WorkerStatusOptions {
  readonly workers: number;
  readonly version: string;
  readonly startedAt: number;
  readonly certificateEnd: () => number | null;
  /** What the parent counts itself. */
  readonly metrics: Metrics;
  readonly ask: (worker: number, id: number) => void;
  readonly restarts: () => number;
}

/** The numbers of a whole server, summed over its workers; those of workers that have ended stay in the totals. */
export class WorkerStatus implements MonitorSource {
  readonly version: string;
  readonly startedAt: number;
  readonly #options: WorkerStatusOptions;
  readonly #snapshots = new Map<number, Snapshot | null>();
  readonly #missed = new Map<number, number>();
  #ended: Metrics;
  #sum: Metrics | null = null;
  #isStopping = false;
  #lastId = 0;
  readonly #waiting = new Map<number, { readonly workers: Set<number>; readonly done: () => void }>();

  constructor(options: WorkerStatusOptions) {
    this.#options = options;
    this.version = options.version;
    this.startedAt = options.startedAt;
    this.#ended = new Metrics();
  }

  get metrics(): Metrics {
    const known = [...this.#snapshots.values()].flatMap((snapshot) =>
      snapshot === null ? [] : [snapshot.metrics]
    );
    this.#sum ??= sumMetrics([this.#ended, ...known]);
    // Its own are few and change at any time.
    return sumMetrics([this.#sum, this.#options.metrics]);
  }

  get workers(): WorkerCounts {
    const { workers, restarts } = this.#options;
    return { all: workers, ready: this.#snapshots.size, restarts: restarts() };
  }

  certificateEnd(): number | null {
    return this.#options.certificateEnd();
  }

  gauges(): Gauges {
    const known = [...this.#snapshots.values()].flatMap((snapshot) =>
      snapshot === null ? [] : [snapshot.gauges]
    );
    const sum = sumGauges(known);
    return { ...sum, memory: sum.memory + Deno.memoryUsage().rss };
  }

  notReady(): string | null {
    if (this.#isStopping) return "the server is stopping";
    for (let worker = 0; worker < this.#options.workers; worker++) {
      const snapshot = this.#snapshots.get(worker);
      if (snapshot === undefined) return `worker ${worker + 1} is being started`;
      if (snapshot?.notReady != null) return snapshot.notReady;
      if ((this.#missed.get(worker) ?? 0) >= missedHanging) return `worker ${worker + 1} does not answer`;
    }
    return null;
  }

  /** All workers are asked; one that hangs does not hold it up for long. */
  async refresh(time: number = refreshTime): Promise<void> {
    if (this.#snapshots.size === 0) return;
    const id = ++this.#lastId;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, time);
    this.#waiting.set(id, { workers: new Set(this.#snapshots.keys()), done: resolve });
    for (const worker of this.#snapshots.keys()) this.#options.ask(worker, id);
    await promise;
    clearTimeout(timer);
    this.#waiting.delete(id);
  }

  stopping(): void {
    this.#isStopping = true;
  }

  up(worker: number): void {
    this.#snapshots.set(worker, null);
    this.#missed.set(worker, 0);
  }

  down(worker: number): void {
    const last = this.#snapshots.get(worker);
    if (last != null) this.#ended = sumMetrics([this.#ended, last.metrics]);
    this.#snapshots.delete(worker);
    this.#sum = null;
    for (const id of this.#waiting.keys()) this.#answered(id, worker);
  }

  take(worker: number, snapshot: Snapshot & { readonly id: number | null }): void {
    if (!this.#snapshots.has(worker)) return;
    this.#snapshots.set(worker, snapshot);
    this.#missed.set(worker, 0);
    this.#sum = null;
    if (snapshot.id !== null) this.#answered(snapshot.id, worker);
  }

  /** Is called as often as the workers send numbers by themselves; gives those that have sent none for too long. */
  tick(): readonly number[] {
    for (const [worker, missed] of this.#missed) this.#missed.set(worker, missed + 1);
    return [...this.#snapshots.keys()].filter((worker) => this.#missed.get(worker)! > missedDead);
  }

  #answered(id: number, worker: number): void {
    const waiting = this.#waiting.get(id);
    waiting?.workers.delete(worker);
    if (waiting?.workers.size === 0) waiting.done();
  }
}
