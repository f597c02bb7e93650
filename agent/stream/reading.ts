import {
  formatAddress,
  readStreamHead,
  type ServerAddress,
  type StreamRunContent,
} from "../../protocol/mod.ts";
import { backoffDelay, Pause } from "../backoff.ts";
import type { StreamRecord } from "../store/store.ts";
import { type Chunk, Chunks } from "./chunks.ts";
import { Credits } from "./credits.ts";
import { StreamError } from "./error.ts";
import { bytesOfHex } from "./hex.ts";
import { Passed } from "./passed.ts";
import type { StreamPorts } from "./ports.ts";
import { Way } from "./way.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Chunks that may come and not be taken by the application. */
const largestWindow = 32;

/** Chunks that are taken before the sender is told. */
const creditInterval = largestWindow / 4;

/** Milliseconds without a chunk after which credit is told again, at first and at most: what told it may be lost. */
const firstSilence = 5_000, longestSilence = 60_000;

/** Silences after which another way is made when something is missing before what has come. */
const mostSilences = 3;

/** Milliseconds between two ways that the sender asks for, doubled each time at most so often that it has sent little by one. */
const askInterval = 1_000, mostDoublings = 6;

/** Receives a stream from a byte on, over as many ways as it takes. */
export class Reading {
  readonly #record: StreamRecord;
  readonly #ports: StreamPorts;
  readonly #credits: Credits;
  #chunks: Chunks;
  /** What has come and was not taken, each with those of its way. */
  readonly #queue: (Chunk & { readonly of: Chunks })[] = [];
  /** Bytes that have come in order, and that were taken. */
  #received: number;
  #taken: number;
  #credited = 0;
  #isComplete = false;
  #end: { readonly error: StreamError | null } | null = null;
  #wake: (() => void) | null = null;
  /** Called when a chunk was taken. */
  #roomed: (() => void) | null = null;
  readonly #stopped = new AbortController();
  /** Aborts when another way is to be made. */
  #attempt = new AbortController();
  #madeAt = -Infinity;
  #asks = 0;
  /** Chunks that have come by the present ways. */
  #delivered = 0;
  #asked: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #silences = 0;
  readonly #work: Promise<void>;

  constructor(record: StreamRecord, ports: StreamPorts, from: number) {
    this.#record = record;
    this.#ports = ports;
    this.#received = this.#taken = from;
    this.#credits = new Credits(ports);
    this.#chunks = this.#expect(0, 0);
    this.#work = this.#receiveAll();
  }

  get received(): number {
    return this.#received;
  }

  get taken(): number {
    return this.#taken;
  }

  /** See `StreamReader.read`. */
  async read(): Promise<Bytes | null> {
    for (;;) {
      if (this.#end?.error) throw this.#end.error;
      const chunk = this.#queue.shift();
      if (chunk !== undefined) {
        this.#took(chunk);
        if (chunk.data.length > 0) return chunk.data;
      } else if (this.#isComplete || this.#end !== null) return null;
      else await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  announced(content: StreamRunContent): void {
    this.#chunks.announce(content).catch((error) => this.#fail(error));
  }

  asked(): void {
    const early = this.#madeAt + askInterval * 2 ** this.#asks - performance.now();
    clearTimeout(this.#asked);
    if (this.#isComplete || this.#end !== null) return;
    if (early > 0) {
      this.#asked = setTimeout(() => this.asked(), early);
      return;
    }
    this.#asks = this.#delivered >= largestWindow ? 0 : Math.min(mostDoublings, this.#asks + 1);
    this.#attempt.abort();
  }

  async stop(error: StreamError | null): Promise<void> {
    this.#end ??= { error };
    this.#queue.length = 0;
    clearTimeout(this.#asked);
    clearTimeout(this.#silence);
    this.#stopped.abort();
    this.#attempt.abort();
    this.#wake?.();
    this.#roomed?.();
    await Promise.all([this.#work, this.#credits.close()]);
  }

  #took({ number, data, of }: Chunk & { readonly of: Chunks }): void {
    this.#taken += data.length;
    this.#roomed?.();
    of.taken(number);
    if (of !== this.#chunks || of.run === null) return;
    if (number - this.#credited < creditInterval) return;
    this.#credited = number;
    this.#credits.tell(of.run, number);
  }

  async #receiveAll(): Promise<void> {
    const { context } = this.#ports;
    const { signal } = this.#stopped;
    const pause = new Pause();
    signal.addEventListener("abort", () => pause.end(), { once: true });
    let servers: readonly ServerAddress[] = [];
    // Else this could fail before its owner knows it.
    await null;
    for (let failures = 0; !signal.aborted && !this.#isComplete;) {
      await this.#room();
      // No queue is made for what has stopped.
      if (signal.aborted) return;
      servers = serversFor(context.ownServers(), servers, context.routes);
      const made = await Promise.allSettled(
        servers.map((server) => Way.make(this.#ports, server, largestWindow)),
      );
      const ways = made.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
      let isBroken = false;
      try {
        if (ways.length > 0) await this.#receive(ways);
      } catch (error) {
        if (error instanceof StreamError) {
          void this.#fail(error);
          return;
        }
        isBroken = true;
      } finally {
        await Promise.all(ways.map((way) => way.delete()));
      }
      // A server that takes each queue away again is not asked for the next one at once.
      const hasCome = ways.length > 0 && !isBroken && this.#delivered > 0;
      failures = hasCome ? 0 : failures + 1;
      if (hasCome || this.#isComplete || signal.aborted) continue;
      await pause.wait(backoffDelay(context.retry, failures));
    }
  }

  /** Receives by some ways, until it ends or others are to be made. */
  async #receive(ways: readonly Way[]): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    // What the sender asked for while they were made is what it gets.
    const attempt = this.#attempt = new AbortController();
    // What has come and was not taken counts, however often a sender begins anew.
    const window = largestWindow - this.#queue.length;
    const blockSize = Math.min(...ways.map(({ record }) => record.blockSize));
    const chunks = this.#chunks = this.#expect(blockSize, window);
    this.#credited = this.#silences = this.#delivered = 0;
    this.#madeAt = performance.now();
    const streamId = bytesOfHex(this.#record.id);
    const routes = ways.map(({ record }) => record);
    const content = { streamId, offset: this.#received, window, routes };
    if (this.#ports.record()?.status === "offered") {
      await this.#ports.accept({ kind: "stream accept", ...content });
    } else await this.#ports.tell({ kind: "stream resume", ...content });
    this.#listen();
    // When one way has ended, all others are made anew with it.
    const passed = new Passed(ways.length);
    const receiving = ways.map((way, at) =>
      this.#receiveBy(way, { at, chunks, passed }).finally(() => attempt.abort())
    );
    try {
      await Promise.all(receiving);
    } finally {
      await Promise.allSettled(receiving);
      clearTimeout(this.#silence);
    }
  }

  async #receiveBy(
    way: Way,
    { at, chunks, passed }: { readonly at: number; readonly chunks: Chunks; readonly passed: Passed },
  ): Promise<void> {
    const { signal } = this.#attempt;
    for await (const packet of way.packets(signal)) {
      if (packet === null) {
        passed.broken();
        this.#tellCredit();
        continue;
      }
      const number = readStreamHead(packet)?.number ?? 0;
      const before = chunks.count;
      await chunks.take(packet, signal);
      if (this.#isComplete) return;
      // What comes again breaks no silence.
      if (chunks.count > before) {
        way.advanced();
        this.#silences = 0;
        this.#listen();
      }
      passed.came(at, number);
      if (chunks.hasGap && passed.isLost(chunks.missing)) this.asked();
    }
  }

  #deliver(chunk: Chunk, of: Chunks): void {
    this.#received += chunk.data.length;
    this.#delivered++;
    this.#queue.push({ ...chunk, of });
    this.#isComplete = chunk.isLast;
    this.#wake?.();
  }

  /** Waits for the next chunk, but not for ever. */
  #listen(): void {
    clearTimeout(this.#silence);
    if (this.#stopped.signal.aborted) return;
    const delay = Math.min(longestSilence, firstSilence * 2 ** this.#silences);
    this.#silence = setTimeout(() => {
      this.#silences++;
      if (this.#chunks.hasGap && this.#silences >= mostSilences) return this.#attempt.abort();
      this.#tellCredit();
      this.#listen();
    }, delay);
  }

  /** Tells again what was told last, which may be lost. */
  #tellCredit(): void {
    const { run } = this.#chunks;
    if (run !== null && this.#credited > 0) this.#credits.tell(run, this.#credited);
  }

  /** Waits until the application has taken so much that another run may begin. */
  async #room(): Promise<void> {
    while (this.#queue.length > largestWindow / 2 && !this.#stopped.signal.aborted) {
      await new Promise<void>((resolve) => this.#roomed = resolve);
    }
  }

  #expect(blockSize: number, window: number): Chunks {
    const { key: streamKey, size } = this.#record;
    const expected = { streamKey, offset: this.#received, window, size, blockSize };
    const chunks: Chunks = new Chunks({ ...expected, deliver: (chunk) => this.#deliver(chunk, chunks) });
    return chunks;
  }

  async #fail(error: unknown): Promise<void> {
    const failed = error instanceof StreamError
      ? error
      : new StreamError("FAILED", "The stream cannot go on", { cause: error });
    await this.#ports.end(failed).catch(() => this.stop(failed));
  }
}

/** Some servers by chance, others than before where there are some. */
function serversFor(
  all: readonly ServerAddress[],
  before: readonly ServerAddress[],
  count: number,
): readonly ServerAddress[] {
  const names = before.map(formatAddress);
  const isNew = (server: ServerAddress) => !names.includes(formatAddress(server));
  const shuffled = all.map((server) => ({ server, place: Math.random() + (isNew(server) ? 0 : 1) }))
    .sort((a, b) => a.place - b.place).map(({ server }) => server);
  return shuffled.slice(0, count);
}
