import {
  deferred,
  isCredit,
  type RouteRecord,
  type StreamAcceptContent,
  type StreamCloseContent,
  type StreamResumeContent,
} from "../../protocol/mod.ts";
import { backoffDelay, Pause } from "../backoff.ts";
import { AgentError } from "../protocol/error.ts";
import { outboundOf } from "../runtime/inbound.ts";
import type { StreamRecord } from "../store/store.ts";
import { StreamError, toldError } from "./error.ts";
import { bytesOfHex, hexOf } from "./hex.ts";
import { Lane } from "./lane.ts";
import type { StreamPorts } from "./ports.ts";
import { SendingRun } from "./run.ts";
import { type StreamSource, WrittenSource } from "./source.ts";
import { LiveStream } from "./stream.ts";
import type { StreamProgress, WritableOutgoingStream } from "./types.ts";

/** Chunks of one stream that this side sends at most before the other side's application has taken some. */
const mostWindow = 64;

/** Runs that may begin at once, and milliseconds after which one more may: each connects to servers of the receiver's choice. */
const mostStarts = 8, startInterval = 1_000;

/** A stream that this side sends. */
export class Outgoing extends LiveStream implements WritableOutgoingStream {
  /** What tells streams apart. */
  readonly direction = "sending";
  readonly #source: StreamSource;
  readonly #accepted = deferred<WritableStream<Uint8Array>>();
  #run: SendingRun | null = null;
  /** One start after the other. */
  #work: Promise<void> = Promise.resolve();
  #starts = 0;
  /** When as many starts would be made up for. */
  #startsPaidAt = -Infinity;
  readonly #pause = new Pause();
  readonly #askPause = new Pause();
  readonly #stopping = new Set<Promise<void>>();
  #takenUpTo = 0;
  #isAsking = false;
  readonly #wasAccepted: boolean;
  #isPaused = false;

  /** Waits until it is accepted, or the receiver says where to go on. */
  constructor(connection: string, record: StreamRecord, ports: StreamPorts, source: StreamSource) {
    super(connection, record, ports);
    this.#source = source;
    this.#wasAccepted = record.status === "accepted";
    this.#accepted.promise.catch(() => {});
  }

  /** See {@linkcode WritableOutgoingStream.accepted}. */
  get accepted(): Promise<WritableStream<Uint8Array>> {
    return this.#accepted.promise;
  }

  /** What the receiver's application has taken. */
  get progress(): StreamProgress {
    return { bytes: this.#takenUpTo, size: this.size };
  }

  /** See {@linkcode WritableOutgoingStream.isPaused}. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** See {@linkcode WritableOutgoingStream.pause}. */
  pause(): void {
    this.#isPaused = true;
  }

  /** See {@linkcode WritableOutgoingStream.resume}. */
  resume(): void {
    this.#isPaused = false;
    this.#run?.changed();
  }

  /** The receiver says from where on it wants the stream, and where to send it. */
  start(content: StreamAcceptContent | StreamResumeContent): void {
    this.#isAsking = false;
    const start = ++this.#starts;
    this.#askPause.end();
    this.#stopRun();
    this.#work = this.#work.then(() => this.#start(content, start)).catch((error) => void this.#fail(error));
  }

  /** Asks the receiver to say so; again when that could not be stored. */
  ask(): void {
    if (this.hasEnded || this.#isAsking) return;
    this.#isAsking = true;
    void this.#ask(this.#starts);
  }

  /** Takes the receiver's credit, of the bytes of a packet behind its kind; `false`: it is not of this stream's run. */
  async credit(content: Uint8Array<ArrayBuffer>, number: number): Promise<boolean> {
    const run = this.#run, keys = run?.keys ?? null;
    if (run === null || keys === null || !await isCredit(content, keys)) return false;
    if (!run.credit(number)) {
      await this.ports.end(new StreamError("PROTOCOL", "The receiver has taken what was not sent"));
    } else if (run === this.#run) this.#takenUpTo = Math.max(this.#takenUpTo, run.takenUpTo);
    return true;
  }

  /** The ID of the run that goes on; `null`: none does. */
  get runId(): string | null {
    return this.#run === null ? null : hexOf(this.#run.run);
  }

  /** The receiver has ended it, of which nothing is stored any more. */
  async closed(
    { reason, total, text }: Pick<StreamCloseContent, "reason" | "total" | "text">,
  ): Promise<void> {
    if (reason !== 0) return await this.settle(toldError(reason, text));
    // After a restart only the size is known of what was sent.
    const isSent = this.#run === null ? this.#wasAccepted && total === this.size : total === this.#run.end;
    if (isSent) this.#takenUpTo = total;
    const message = "The receiver says that it has what was not sent";
    await this.settle(isSent ? null : new StreamError("PROTOCOL", message));
  }

  /** Bytes that were sent and taken. */
  get total(): number {
    return this.#takenUpTo;
  }

  /** Stops sending. */
  protected async stop(error: StreamError | null): Promise<void> {
    this.#starts++;
    this.#pause.end();
    this.#askPause.end();
    const failed = error ?? new StreamError("CANCELLED", "The stream has ended");
    this.#accepted.reject(failed);
    await this.#source.close(error);
    await this.#run?.stop();
    await Promise.all([this.#work, ...this.#stopping]);
  }

  async #ask(starts: number): Promise<void> {
    const streamId = bytesOfHex(this.id);
    for (let failures = 0; !this.hasEnded && starts === this.#starts;) {
      try {
        await this.ports.tell({ kind: "stream resume", streamId, offset: 0, window: 0, routes: [] });
        break;
      } catch {
        // Nobody would end the pause any more.
        if (starts !== this.#starts) return;
        await this.#askPause.wait(backoffDelay(this.ports.context.retry, ++failures));
      }
    }
    if (starts === this.#starts) this.#isAsking = false;
  }

  /** Sends nothing more of the run before; not waited for, as its server may not answer. */
  #stopRun(): void {
    const stopping = this.#run?.stop().finally(() => this.#stopping.delete(stopping!));
    if (stopping !== undefined) this.#stopping.add(stopping);
    this.#run = null;
  }

  async #start(content: StreamAcceptContent | StreamResumeContent, start: number): Promise<void> {
    this.#stopRun();
    // Another one waits that says more.
    if (start !== this.#starts || !await this.#turn(start)) return;
    const { offset, window, routes } = content;
    if (this.size !== null && offset > this.size) {
      throw new StreamError("PROTOCOL", "The receiver wants bytes that there are not");
    }
    const lanes = await this.#lanes(routes);
    const run = new SendingRun({
      source: this.#source,
      streamKey: this.first.key,
      size: this.size,
      offset,
      window: Math.min(window, mostWindow),
      lanes,
      isPaused: () => this.#isPaused,
    });
    for (const lane of lanes) lane.ports = { taken: () => run.changed(), lost: () => this.ask() };
    if (start !== this.#starts) return await run.stop();
    this.#run = run;
    try {
      await run.begin();
      const { chunkSize } = run;
      await this.ports.tell({
        kind: "stream run",
        streamId: bytesOfHex(this.id),
        run: run.run,
        offset,
        chunkSize,
      });
    } catch (error) {
      await run.stop();
      throw error;
    }
    this.#accepted.resolve(this.#writable());
    // Not waited for: another start stops it.
    run.send().catch((error) => this.#fail(error));
  }

  /** Waits until another run may begin; `false`: another start has come meanwhile. */
  async #turn(start: number): Promise<boolean> {
    const early = this.#startsPaidAt - (mostStarts - 1) * startInterval - performance.now();
    if (early > 0) await this.#pause.wait(early);
    if (start !== this.#starts) return false;
    this.#startsPaidAt = Math.max(this.#startsPaidAt, performance.now()) + startInterval;
    return true;
  }

  async #lanes(routes: readonly RouteRecord[]): Promise<Lane[]> {
    const { context, links } = this.ports;
    const found = await Promise.all(routes.map((route) => outboundOf(context, route)));
    const lanes: Lane[] = [];
    for (const route of found) {
      if (route instanceof AgentError) continue;
      lanes.push(new Lane(context, links, route.keys));
    }
    if (lanes.length === found.length) return lanes;
    await Promise.all(lanes.map((lane) => lane.close()));
    throw new StreamError("PROTOCOL", "The receiver has a way that cannot be used");
  }

  async #fail(error: unknown): Promise<void> {
    if (this.hasEnded) return;
    const failed = error instanceof StreamError
      ? error
      : new StreamError("FAILED", "The stream cannot go on", { cause: error });
    // When that cannot be stored, it is tried by whoever looks after it next.
    await this.ports.end(failed).catch(() => this.settle(failed));
  }

  #writable(): WritableStream<Uint8Array> {
    const source = this.#source;
    const { size } = this;
    if (!(source instanceof WrittenSource)) return new WritableStream();
    let written = 0;
    return new WritableStream({
      write: async (bytes) => {
        written += bytes.length;
        if (size !== null && written > size) {
          const error = new StreamError("SIZE", `The stream was said to have ${size} bytes, and has more`);
          await this.#fail(error);
          throw error;
        }
        await source.write(bytes);
      },
      close: () => source.end(),
      abort: (reason) => this.cancel(typeof reason === "string" ? reason : ""),
    }, { highWaterMark: 1 });
  }
}
