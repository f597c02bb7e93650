import { setTimeout as pause } from "node:timers/promises";
import { Fatal, messageOf } from "../commands/terminal.ts";
import type { Logger } from "../../cli/logger.ts";
import { ControlError } from "../../cli/json.ts";
import type { FromWorker, ReadyMessage, StartMessage, ToWorker } from "./messages.ts";
import { type WorkerCommand, WorkerProcess } from "./worker_process.ts";

/**
 * Milliseconds from when a worker was ready until it is started again, when it has ended soon after its start so often in
 * a row. One that has never been ready so often ends the server.
 */
export const restartPauses: readonly number[] = [0, 100, 500, 2_000, 5_000];
/** Milliseconds; a worker that has served so long has not ended soon after its start. */
const longRun = 30_000;
/** Milliseconds that a worker may take to end after its work has. */
const endTime = 15_000;

/** Everything that a worker says that is not about its start and end. */
export type WorkerNews = Exclude<FromWorker, { readonly type: "ready" | "fatal" | "stopped" }>;

export interface SupervisorOptions {
  readonly workers: number;
  /** `first` is what the first worker has said: the others listen on its ports. */
  readonly command: (worker: number, first: ReadyMessage | null) => WorkerCommand;
  readonly start: (worker: number, incarnation: number, first: ReadyMessage | null) => StartMessage;
  readonly logger: Logger;
  readonly onNews: (worker: number, news: WorkerNews) => void;
  readonly onUp: (worker: number) => void;
  readonly onDown: (worker: number) => void;
  readonly pauses?: readonly number[];
}

interface Place {
  incarnation: number;
  process: WorkerProcess | null;
  /** The process that has said that it serves. */
  serving: WorkerProcess | null;
  readonly stopped: PromiseWithResolvers<void>;
}

/** Keeps the workers running: one that ends is started again at once, alone, and the others are told. */
export class Supervisor implements AsyncDisposable {
  readonly #options: SupervisorOptions;
  readonly #pauses: readonly number[];
  readonly #places: readonly Place[];
  readonly #works: Promise<void>[] = [];
  readonly #stop = new AbortController();
  readonly #failed = Promise.withResolvers<never>();
  #first: ReadyMessage | null = null;
  #hasStarted = false;
  #isStopping = false;
  #restarts = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#pauses = options.pauses ?? restartPauses;
    this.#places = Array.from({ length: options.workers }, () => ({
      incarnation: 0,
      process: null,
      serving: null,
      stopped: Promise.withResolvers<void>(),
    }));
    this.#failed.promise.catch(() => {});
  }

  /** Resolves when all workers serve. Throws `Fatal` when one cannot, and the signal's reason when that aborts. */
  async start(signal?: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(signal!.reason);
    signal?.addEventListener("abort", onAbort);
    try {
      signal?.throwIfAborted();
      await Promise.race([this.#startAll(), this.failed, aborted.promise]);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** What the first worker has said when it was ready. */
  get first(): ReadyMessage {
    return this.#first!;
  }

  /** Rejects with `Fatal` when a worker cannot be kept running; never resolves. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** How often a worker was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  isUp(worker: number): boolean {
    return this.#places[worker]?.serving != null;
  }

  /** The process of a worker, of which nothing may have been heard yet. */
  pid(worker: number): number | null {
    return this.#places[worker]?.process?.pid ?? null;
  }

  /** To one that does not serve: to nobody. */
  send(worker: number, message: ToWorker): void {
    this.#places[worker]?.serving?.send(message);
  }

  sendAll(message: ToWorker): void {
    for (const worker of this.#places.keys()) this.send(worker, message);
  }

  kill(worker: number, problem: string): void {
    this.#places[worker]?.process?.kill(problem);
  }

  /** All finish and answer what is in work within `deadline` milliseconds, and serve each other until all have. */
  async stop(deadline: number): Promise<void> {
    if (!this.#isStopping) {
      this.#isStopping = true;
      this.#stop.abort();
      this.sendAll({ type: "stop", deadline });
      await this.#within(deadline + 1_000, this.#places.map(({ stopped }) => stopped.promise));
      this.sendAll({ type: "end" });
      await this.#within(endTime, this.#works);
    }
    for (const { process } of this.#places) process?.kill("it has not ended in time");
    await Promise.all(this.#works);
  }

  /** Kills all workers. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    this.#stop.abort();
    await this.stop(0);
  }

  async #startAll(): Promise<void> {
    await this.#startOne(0);
    await Promise.all([...this.#places.keys()].slice(1).map((worker) => this.#startOne(worker)));
    this.#hasStarted = true;
  }

  #startOne(worker: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#works.push(this.#keep(worker, resolve));
    return promise;
  }

  async #keep(worker: number, onReady: () => void): Promise<void> {
    const place = this.#places[worker]!;
    for (let soon = 0, unready = 0;;) {
      const { why, served } = await this.#runOnce(worker, onReady);
      if (this.#stop.signal.aborted) return place.stopped.resolve();
      soon = served !== null && served >= longRun ? 1 : Math.min(soon + 1, this.#pauses.length);
      unready = served === null ? unready + 1 : 0;
      if (unready > this.#pauses.length) {
        place.stopped.resolve();
        return this.#fail(`Worker ${worker + 1} ends again and again before it serves: ${why}`);
      }
      this.#options.logger.error(`Worker ${worker + 1} has ended and is started again`, why);
      this.#restarts++;
      const wait = Math.max(0, this.#pauses[soon - 1]! - (served ?? 0));
      await pause(wait, undefined, { signal: this.#stop.signal }).catch(() => {});
      if (this.#stop.signal.aborted) return place.stopped.resolve();
    }
  }

  async #runOnce(
    worker: number,
    onReady: () => void,
  ): Promise<{ readonly why: string; readonly served: number | null }> {
    const place = this.#places[worker]!;
    const incarnation = ++place.incarnation;
    let readyAt: number | null = null;
    let process: WorkerProcess;
    try {
      process = WorkerProcess.spawn(this.#options.command(worker, this.#first), {
        start: this.#options.start(worker, incarnation, this.#first),
        onMessage: (message) => {
          if (message.type === "ready") {
            if (place.serving === process) throw new ControlError("it was ready before");
            readyAt = performance.now();
            this.#first ??= message;
            place.serving = process;
            this.#introduce(worker);
            onReady();
          } else if (message.type === "stopped") place.stopped.resolve();
          else if (message.type === "fatal") this.#onFatal(message.message);
          else if (place.serving === process) this.#options.onNews(worker, message);
        },
      });
    } catch (error) {
      const why = `Cannot start a worker: ${messageOf(error)}`;
      // Later it may be for want of processes or memory, which passes.
      this.#onFatal(why);
      return { why, served: null };
    }
    place.process = process;
    const why = await process.ended;
    place.process = null;
    if (place.serving !== null) {
      place.serving = null;
      this.#options.onDown(worker);
      for (const other of this.#places.keys()) {
        this.send(other, { type: "peer", worker, incarnation, isUp: false });
      }
    }
    return { why, served: readyAt === null ? null : performance.now() - readyAt };
  }

  #introduce(worker: number): void {
    const { incarnation } = this.#places[worker]!;
    this.#options.onUp(worker);
    for (const [other, place] of this.#places.entries()) {
      if (other === worker || place.serving === null) continue;
      this.send(other, { type: "peer", worker, incarnation, isUp: true });
      this.send(worker, { type: "peer", worker: other, incarnation: place.incarnation, isUp: true });
    }
  }

  /** What a worker says of its end; while the server starts, none is expected to fare better. */
  #onFatal(message: string): void {
    if (!this.#hasStarted) this.#fail(message);
  }

  #fail(message: string): void {
    this.#stop.abort();
    this.#failed.reject(new Fatal(message));
  }

  async #within(milliseconds: number, works: readonly Promise<void>[]): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    await Promise.race([late, Promise.all(works)]);
    clearTimeout(timer);
  }
}
