import {
  largestChunk,
  openChunk,
  readStreamHead,
  runKeyOf,
  type StreamRun,
  type StreamRunContent,
} from "../../protocol/mod.ts";
import { StreamError } from "./error.ts";
import { hexOf } from "./hex.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What the receiver of a stream expects. */
export interface Expected {
  readonly streamKey: Bytes;
  /** The first byte. */
  readonly offset: number;
  /** Chunks that may come and not be taken. */
  readonly window: number;
  /** Bytes of all of the stream; `null`: not known. */
  readonly size: number | null;
  /** The smallest of the routes that were told. */
  readonly blockSize: number;
  /** Makes the key of a run. @default {@linkcode runKeyOf} */
  readonly keyOf?: typeof runKeyOf;
  /** Is given each chunk when it is its turn. */
  readonly deliver?: (chunk: Chunk) => void;
}

/** A chunk whose turn it is. */
export interface Chunk {
  readonly number: number;
  readonly data: Bytes;
  readonly isLast: boolean;
}

/** The chunks of one run, put in order and held to what was agreed; for the ways that were told to the sender together. */
export class Chunks {
  readonly #expected: Expected;
  #run: StreamRun & { readonly offset: number } | null = null;
  #announcements = 0;
  #next = 1;
  /** Those that came early, by number. */
  readonly #early = new Map<number, Chunk>();
  #taken = 0;
  #received: number;
  #hasLast = false;
  #wake: (() => void)[] = [];

  /** Knows no run yet. */
  constructor(expected: Expected) {
    this.#expected = expected;
    this.#received = expected.offset;
  }

  /** What credit is encrypted with; `null`: nothing has come. */
  get run(): StreamRun | null {
    return this.#next > 1 ? this.#run : null;
  }

  /** The byte after the last one that is there with all before it. */
  get received(): number {
    return this.#received;
  }

  /** Whether the end is there, with all before it. */
  get isComplete(): boolean {
    return this.#hasLast;
  }

  /** The number of the first one that is not there. */
  get missing(): number {
    return this.#next;
  }

  /** How many have come, however often and in whatever order. */
  get count(): number {
    return this.#next - 1 + this.#early.size;
  }

  /** Whether something is missing before what has come. */
  get hasGap(): boolean {
    return this.#early.size > 0;
  }

  /** The sender announces a run, in place of one that it announced before. */
  async announce({ run, offset, chunkSize }: StreamRunContent): Promise<void> {
    // The first chunk of it has come: it is the one.
    if (this.#next > 1 || this.hasGap) return;
    const count = ++this.#announcements;
    const { streamKey, keyOf = runKeyOf } = this.#expected;
    const key = await keyOf(streamKey, run);
    // The key of one that was announced later may have been ready before.
    if (count !== this.#announcements || this.#next > 1 || this.hasGap) return;
    this.#run = { run: run.slice(), key, chunkSize, offset };
    for (const wake of this.#wake.splice(0)) wake();
  }

  /** The application has taken all up to a number. */
  taken(number: number): void {
    this.#taken = Math.max(this.#taken, number);
  }

  /**
   * The chunks whose turn it is with a packet, which waits for its run to be announced, as long as `signal` has not aborted.
   * What is no chunk, or has come before, gives none. Throws {@linkcode StreamError} for what is not allowed.
   */
  async take(content: Bytes, signal: AbortSignal): Promise<readonly Chunk[]> {
    const head = readStreamHead(content);
    if (head === null || head.type === "credit") return [];
    const run = await this.#announced(hexOf(head.run), signal);
    if (run === null) return [];
    const { offset, window, size, blockSize } = this.#expected;
    if (run.offset !== offset) throw wrong("begins elsewhere than was asked for");
    if (run.chunkSize > largestChunk(blockSize)) throw wrong("has chunks that are too large");
    const { number, type } = head;
    if (number > this.#taken + window) throw wrong("sends more than was allowed");
    if (number < this.#next || this.#early.has(number)) return [];
    const data = await openChunk(content, run, { isLent: true });
    if (data === null) throw wrong("sends what cannot be decrypted");
    // By another route the same number may have come meanwhile.
    if (number < this.#next || this.#early.has(number)) return [];
    if (this.#hasLast) throw wrong("goes on after the end");
    this.#early.set(number, { number, data, isLast: type === "last" });
    const chunks: Chunk[] = [];
    for (let chunk; (chunk = this.#early.get(this.#next)) !== undefined;) {
      this.#early.delete(this.#next++);
      this.#received += chunk.data.length;
      if (size !== null && (this.#received > size || chunk.isLast && this.#received < size)) {
        throw new StreamError(
          "SIZE",
          `The stream was said to have ${size} bytes, and has another number of them`,
        );
      }
      this.#hasLast = chunk.isLast;
      chunks.push(chunk);
      this.#expected.deliver?.(chunk);
      if (chunk.isLast && this.#early.size > 0) throw wrong("goes on after the end");
    }
    return chunks;
  }

  async #announced(id: string, signal: AbortSignal) {
    while (!signal.aborted) {
      if (this.#run !== null && hexOf(this.#run.run) === id) return this.#run;
      if (this.#next > 1 || this.hasGap) throw wrong("mixes its runs");
      await new Promise<void>((resolve) => {
        const wake = () => {
          signal.removeEventListener("abort", wake);
          resolve();
        };
        signal.addEventListener("abort", wake);
        this.#wake.push(wake);
      });
    }
    return null;
  }
}

function wrong(what: string): StreamError {
  return new StreamError("PROTOCOL", `The sender of the stream ${what}`);
}
