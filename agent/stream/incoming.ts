import type { StreamCloseContent, StreamRunContent } from "../../protocol/mod.ts";
import type { StreamPart, StreamRecord } from "../store/store.ts";
import { StreamError, toldError } from "./error.ts";
import { removePart } from "./part_file.ts";
import type { StreamPorts } from "./ports.ts";
import { Reading } from "./reading.ts";
import { LiveStream } from "./stream.ts";
import type { StreamOffer, StreamProgress } from "./types.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What reads a stream that is accepted. */
export interface StreamReader {
  /** The next bytes, not empty; `null` at the end. For one caller at a time. Throws {@linkcode StreamError}. */
  read(): Promise<Bytes | null>;
  /** All of it is taken: the stream has ended. */
  finish(): Promise<void>;
  /** Ends it. */
  fail(error: StreamError): Promise<void>;
  /** Stops reading; it can be accepted again. */
  pause(): Promise<void>;
}

/** A stream that this side receives. */
export class Incoming extends LiveStream implements StreamOffer {
  /** What tells streams apart. */
  readonly direction = "receiving";
  #reading: Reading | null = null;
  #received = 0;
  /** Since when nobody reads it; `null`: somebody does. */
  #leftAt: number | null;
  #part: StreamPart | null;

  /** Waits for whoever accepts it, or goes on with it after a restart. */
  constructor(connection: string, record: StreamRecord, ports: StreamPorts) {
    super(connection, record, ports);
    this.#leftAt = record.status === "offered" ? ports.since : ports.context.deadlines.after(0);
    this.#part = record.part ?? null;
  }

  /** What has come in order. */
  get total(): number {
    return this.#reading?.received ?? this.#received;
  }

  /** What the application has taken. */
  get progress(): StreamProgress {
    return { bytes: this.#reading?.taken ?? this.#received, size: this.size };
  }

  override get idleSince(): number | null {
    return this.#leftAt;
  }

  /** See {@linkcode StreamOffer.accept}. */
  accept({ from = 0 }: { readonly from?: number } = {}): ReadableStream<Bytes> {
    const reader = this.open(from);
    return new ReadableStream<Bytes>({
      async pull(controller) {
        const bytes = await reader.read();
        if (bytes !== null) return controller.enqueue(bytes);
        await reader.finish();
        controller.close();
      },
      cancel: (reason) => this.cancel(typeof reason === "string" ? reason : ""),
    }, { highWaterMark: 0 });
  }

  /** See {@linkcode StreamOffer.refuse}. */
  async refuse(text = ""): Promise<void> {
    if (!this.hasEnded) await this.ports.end(new StreamError("REFUSED", text || "The stream was refused"));
  }

  /** Accepts it, from a byte on. Throws `TypeError` when it is accepted already, `RangeError` for a byte beyond its end. */
  open(from: number): StreamReader {
    if (!Number.isSafeInteger(from) || from < 0 || this.size !== null && from > this.size) {
      throw new RangeError(`Cannot accept stream: there is no byte ${from} of it`);
    }
    if (this.#reading !== null) throw new TypeError("Cannot accept stream: it is accepted already");
    if (this.hasEnded) throw new TypeError("Cannot accept stream: it has ended");
    const reading = this.#reading = new Reading(this.first, this.ports, from);
    this.#leftAt = null;
    return {
      read: () => reading.read(),
      finish: async () => {
        await this.ports.end(null);
      },
      fail: (error) => this.ports.end(error),
      pause: async () => {
        if (this.#reading !== reading) return;
        this.#received = reading.taken;
        await reading.stop(new StreamError("CLOSED", "The stream is not read any more"));
        this.#reading = null;
        this.#leftAt = this.ports.context.deadlines.after(0);
      },
    };
  }

  /** The temporary file that has what has come, or was to have it; `null`: there is none. */
  get part(): StreamPart | null {
    return this.#part;
  }

  /** What has come is in a temporary file, and goes with the stream; also what was in another one before. */
  async keep(part: StreamPart): Promise<void> {
    const former = this.#part;
    if (former?.path === part.path && former.file === part.file) return;
    this.#part = part;
    await this.ports.keep(part);
    if (former !== null && former.file !== part.file) await removePart(former);
  }

  /** All of it is there, from before a restart: the stream has ended. */
  async finish(size: number): Promise<void> {
    this.#received = size;
    await this.ports.end(null);
  }

  /** The sender announces a run. */
  announced(content: StreamRunContent): void {
    this.#reading?.announced(content);
  }

  /** The sender asks from where on the stream is wanted. */
  asked(): void {
    this.#reading?.asked();
  }

  /** The sender has ended it, of which nothing is stored any more. */
  async closed({ reason, text }: Pick<StreamCloseContent, "reason" | "text">): Promise<void> {
    await this.settle(toldError(reason, text));
  }

  /** Stops receiving. */
  protected async stop(error: StreamError | null): Promise<void> {
    await this.#reading?.stop(error);
    // Whoever receives it has given it its name, or removes it, too.
    if (this.#part !== null && !this.isStored) await removePart(this.#part);
  }
}
