import { deferred } from "../../protocol/mod.ts";
import type { StreamRecord } from "../store/store.ts";
import { StreamError } from "./error.ts";
import type { StreamPorts } from "./ports.ts";
import type { StreamInfo, StreamProgress } from "./types.ts";

/** What streams of both directions have in common. */
export abstract class LiveStream implements StreamInfo {
  /** See {@linkcode StreamInfo.connection}. */
  readonly connection: string;
  /** What was stored of it first. */
  protected readonly first: StreamRecord;
  /** What it needs of the agent. */
  protected readonly ports: StreamPorts;
  readonly #ended = deferred<void>();
  #hasEnded = false;
  #status: StreamRecord["status"];

  constructor(connection: string, record: StreamRecord, ports: StreamPorts) {
    this.connection = connection;
    this.first = record;
    this.ports = ports;
    this.#status = record.status;
    this.#ended.promise.catch(() => {});
  }

  /** See {@linkcode StreamInfo.id}. */
  get id(): string {
    return this.first.id;
  }

  /** See {@linkcode StreamInfo.name}. */
  get name(): string {
    return this.first.name;
  }

  /** See {@linkcode StreamInfo.type}. */
  get type(): string {
    return this.first.mediaType;
  }

  /** See {@linkcode StreamInfo.size}. */
  get size(): number | null {
    return this.first.size;
  }

  /** See {@linkcode StreamInfo.sha256}. */
  get sha256(): Uint8Array<ArrayBuffer> | null {
    return this.first.sha256?.slice() ?? null;
  }

  /** See {@linkcode StreamInfo.offeredAt}. */
  get offeredAt(): Date {
    return new Date(this.first.at);
  }

  /** See {@linkcode StreamInfo.status}. */
  get status(): StreamRecord["status"] {
    return this.#status = this.ports.record()?.status ?? this.#status;
  }

  /** See {@linkcode StreamInfo.progress}. */
  abstract get progress(): StreamProgress;

  /** See {@linkcode StreamInfo.ended}. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /**
   * Since when it waits for somebody to accept it, or to go on with it, as deadlines go; `null`: it does not, or the other
   * side knows.
   */
  get idleSince(): number | null {
    return this.status === "offered" ? this.ports.since : null;
  }

  /** Whether it goes on, after a restart if not before. */
  get isStored(): boolean {
    return this.ports.record() !== undefined;
  }

  /** Whether it has ended. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Whether this is what was stored first of it. */
  isOf(record: StreamRecord): boolean {
    return this.first === record;
  }

  /** See {@linkcode StreamInfo.cancel}. */
  async cancel(text = ""): Promise<void> {
    if (!this.#hasEnded) {
      await this.ports.end(new StreamError("CANCELLED", text || "The stream was cancelled"));
    }
  }

  /** Nobody has accepted it, or gone on with it, in time. */
  expire(): Promise<void> {
    return this.ports.end(new StreamError("EXPIRED", "Nobody has accepted the stream in time"));
  }

  /** It has ended, of which nothing is stored any more, or goes on after a restart; `null`: all of it was received. */
  async settle(error: StreamError | null): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    if (error === null) this.#ended.resolve();
    else this.#ended.reject(error);
    await this.stop(error);
  }

  /** Stops what is under way; resolves when nothing is. */
  protected abstract stop(error: StreamError | null): Promise<void>;
}
