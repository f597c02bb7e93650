import type { Clock } from "../clock.ts";
import { joinParts } from "../../protocol/mod.ts";

/** Bytes that wait to be written; with more, what can wait elsewhere does. */
const mostWaiting = 1 << 20;
/** With so many bytes the client is given up. */
const limit = 1 << 24;
/** Bytes that are written at a time. */
const batch = 65_536;
/** What an entry takes in memory besides its bytes. */
const overhead = 64;

/** How bytes are written. */
export interface OutputOptions {
  /** Writes some of the bytes; gives how many. */
  readonly write: (bytes: Uint8Array<ArrayBuffer>) => Promise<number>;
  /** Is called once when a client that does not read is given up. */
  readonly stalled: () => void;
  /** Milliseconds in which the client must take something. */
  readonly deadline: number;
  readonly clock: Clock;
}

/** What is to be known of bytes. */
export interface About {
  /** The connection that they tell of. @default none */
  readonly about?: string;
  /** Whether the client may leave them unread for as long as it wants, where nothing else waits. @default false */
  readonly canWait?: boolean;
}

interface Entry {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly about: string;
  readonly canWait: boolean;
  readonly written: () => void;
  readonly failed: (reason: Error) => void;
}

/** What is written to a client, in order: bounded in memory, and in the time that the client takes to read. */
export class Output {
  readonly #options: OutputOptions;
  #waiting: Entry[] = [];
  #size = 0;
  #work: Promise<void> | null = null;
  #failure: Error | null = null;
  readonly #roomWanted = new Set<() => void>();

  /** Writes nothing yet. */
  constructor(options: OutputOptions) {
    this.#options = options;
  }

  /** Whether what can wait should. */
  get isFull(): boolean {
    return this.#size > mostWaiting;
  }

  /** Whether nothing waits to be written; also when nothing is written any more. */
  get isIdle(): boolean {
    return this.#work === null;
  }

  /** Writes bytes after all earlier ones. Rejects when that is not done. */
  put(bytes: Uint8Array<ArrayBuffer>, { about = "", canWait = false }: About = {}): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const done = new Promise<void>((written, failed) => {
      this.#waiting.push({ bytes, about, canWait, written, failed });
    });
    this.#size += bytes.length + overhead;
    if (this.#size > limit) this.#stall();
    else this.#work ??= this.#writeAll();
    return done;
  }

  /** Takes back what tells of a connection and is not being written. */
  drop(about: string): void {
    const [kept, dropped] = [[] as Entry[], [] as Entry[]];
    for (const entry of this.#waiting) (entry.about === about ? dropped : kept).push(entry);
    this.#waiting = kept;
    for (const { bytes, failed } of dropped) {
      this.#size -= bytes.length + overhead;
      failed(new Error("Not written: another session has the connection"));
    }
    if (!this.isFull) this.#wake();
  }

  /** Resolves when there is room, or nothing is written any more. */
  async room(): Promise<void> {
    while (this.isFull && this.#failure === null) {
      await new Promise<void>((resolve) => this.#roomWanted.add(resolve));
    }
  }

  /** Resolves when everything is written, or nothing is any more. */
  async finish(): Promise<void> {
    while (this.#work !== null) await this.#work;
  }

  /** Writes nothing any more. */
  fail(reason: Error): void {
    if (this.#failure !== null) return;
    this.#failure = reason;
    for (const { failed } of this.#waiting) failed(reason);
    this.#waiting = [];
    this.#wake();
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const entries = this.#next();
      try {
        await this.#write(entries);
      } catch (error) {
        const reason = this.#failure ?? (error instanceof Error ? error : new Error(String(error)));
        for (const { failed } of entries) failed(reason);
        this.fail(reason);
        break;
      }
      for (const { bytes, written } of entries) {
        this.#size -= bytes.length + overhead;
        written();
      }
      if (!this.isFull) this.#wake();
    }
    // At once: what is put from now on begins anew.
    this.#work = null;
  }

  #next(): Entry[] {
    let count = 0;
    for (let size = 0; count < this.#waiting.length; count++) {
      size += this.#waiting[count]!.bytes.length;
      if (count > 0 && size > batch) break;
    }
    return this.#waiting.splice(0, count);
  }

  async #write(entries: readonly Entry[]): Promise<void> {
    const { write } = this.#options;
    const bytes = joinParts(entries.map(({ bytes }) => bytes));
    for (let at = 0; at < bytes.length;) {
      if (this.#failure !== null) throw this.#failure;
      const taken = new AbortController();
      void this.#expect(entries, taken.signal);
      try {
        at += await write(bytes.subarray(at));
      } finally {
        taken.abort();
      }
    }
  }

  /** Gives the client up when it takes nothing of what cannot wait until the signal aborts. */
  async #expect(entries: readonly Entry[], signal: AbortSignal): Promise<void> {
    const { clock, deadline } = this.#options;
    const isAwaited = () => [...entries, ...this.#waiting].some(({ canWait }) => !canWait);
    for (;;) {
      const began = isAwaited();
      await clock.wait(deadline, signal);
      if (signal.aborted) return;
      if (began) return this.#stall();
    }
  }

  #stall(): void {
    this.fail(new Error("The client does not read"));
    this.#options.stalled();
  }

  #wake(): void {
    for (const wake of this.#roomWanted) wake();
    this.#roomWanted.clear();
  }
}
