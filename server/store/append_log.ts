import { nextTurn } from "../next_turn.ts";
import type { Metrics } from "../observe/metrics.ts";
import { ioError, StoreError } from "./error.ts";
import { DelayedRun } from "./delayed_run.ts";
import { isDiskFull } from "../../cli/os_error.ts";
import { Retry, slowestRetry } from "./retry.ts";
import {
  directoryOf,
  type LogFile,
  type LogIo,
  replaceFile,
  systemIo,
  writeAll,
  writeLines,
} from "./log_io.ts";

/** When writes are made to survive a power cut; a crash of the program alone loses nothing in any case. */
export type Fsync = "off" | "interval" | "always";

export interface AppendLogOptions {
  readonly fsync: Fsync;
  readonly fsyncInterval: number;
  readonly snapshot: () => Iterable<string>;
  /** Bytes below which the log is not compacted. @default 65536 */
  readonly smallest?: number;
  readonly metrics: Metrics;
  readonly log: (message: string, error?: unknown) => void;
  readonly io?: LogIo;
}

/** How many `fsyncInterval`s go by between looks at the file. */
const intervalsALook = 30;

/** Line ends that are written, and cut off again, to see whether a disk takes anything. */
const probe = new Uint8Array(1 << 14).fill(0x0a);

interface Pending {
  readonly line: string;
  readonly commit: () => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit: all lines that wait are written at once. After a failed write the file is truncated to its
 * last whole line; after a failed sync it is rewritten from memory, as nobody knows what is on the disk then.
 * Both are retried until they work, whether anything is appended or not.
 */
export class AppendLog {
  readonly #path: string;
  readonly #options: AppendLogOptions;
  readonly #io: LogIo;
  #file: LogFile;
  /** Bytes of whole committed lines. */
  #length: number;
  #compactLength: number;
  #pending: Pending[] = [];
  /** Lines of the last write. */
  #lastBatch = 0;
  #running: Promise<void> | null = null;
  #compacting: Promise<void> | null = null;
  #tail: string[] | null = null;
  /** Called between two writes. */
  #switch: (() => Promise<void>) | null = null;
  /** The file may have a broken end. */
  #mustCut = false;
  /** What is on the disk is unknown. */
  #mustRewrite = false;
  readonly #retrying: Retry;
  readonly #lookTimer: DelayedRun;
  #mustLook = false;
  readonly #syncTimer: DelayedRun;
  #syncing: Promise<void> = Promise.resolve();
  #isClosed = false;

  private constructor(path: string, file: LogFile, length: number, options: AppendLogOptions) {
    this.#path = path;
    this.#file = file;
    this.#length = this.#compactLength = length;
    this.#options = options;
    this.#io = options.io ?? systemIo;
    this.#retrying = new Retry(options.fsyncInterval, () => this.#run());
    this.#lookTimer = new DelayedRun(() => {
      this.#mustLook = true;
      this.#run();
    });
    this.#syncTimer = new DelayedRun(() => {
      this.#syncing = this.#syncing.then(() => this.#sync());
    });
    this.#lookLater();
  }

  /** On a full disk `compact` is retried until there is room, and nothing is appended before. */
  static async open(path: string, options: AppendLogOptions, compact: boolean): Promise<AppendLog> {
    const io = options.io ?? systemIo;
    try {
      if (compact) {
        try {
          const { file, length } = await replaceFile(io, path, options.snapshot());
          return new AppendLog(path, file, length, options);
        } catch (error) {
          if (!isDiskFull(error)) throw error;
          const log = new AppendLog(path, await io.open(path, false), await io.size(path), options);
          log.#mustRewrite = true;
          log.#failed();
          log.#tell(`Cannot write ${path} anew yet`, error);
          return log;
        }
      }
      const file = await io.open(path, false);
      return new AppendLog(path, file, await io.size(path), options);
    } catch (error) {
      throw ioError("write", path, error);
    }
  }

  get healthy(): boolean {
    return this.#retrying.healthy;
  }

  /** `commit` is called when the line, or several with LFs between them, is written; a throw undoes it. */
  append(line: string, commit: () => void): Promise<void> {
    if (this.#isClosed) {
      return Promise.reject(new StoreError("IO", `Cannot write ${this.#path}: it is closed`));
    }
    return new Promise((resolve, reject) => {
      this.#pending.push({ line, commit, resolve, reject });
      this.#run();
    });
  }

  compact(): Promise<void> {
    return this.#compacting ??= this.#compact().finally(() => this.#compacting = null);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#syncTimer.close();
    this.#retrying.close();
    this.#lookTimer.close();
    await this.#compacting;
    await this.#running;
    await this.#syncing;
    try {
      await this.#look();
      await this.#repair();
      await this.#file.sync();
    } catch (error) {
      throw ioError("write", this.#path, error);
    } finally {
      this.#file.close();
    }
  }

  #run(): void {
    this.#running ??= this.#loop();
  }

  async #loop(): Promise<void> {
    // So that all lines of one command are written together.
    await Promise.resolve();
    // Nothing in here rejects: the log would be silent for ever.
    while (this.#pending.length > 0 || this.#switch !== null || this.#retrying.isDue || this.#mustLook) {
      if (this.#switch !== null) await this.#switch();
      else if (this.#mustLook) await this.#look();
      else if (this.#pending.length > 0) await this.#writePending();
      else await this.#retry();
    }
    // In the same turn as the last look at what waits, so that nothing is left waiting.
    this.#running = null;
  }

  /** Each write takes another thread: where many commands come, those of the rest of the turn go into the same one. */
  async #writePending(): Promise<void> {
    if (this.#lastBatch > 1 || this.#pending.length > 1) await nextTurn();
    const batch = this.#pending.splice(0);
    this.#lastBatch = batch.length;
    await this.#write(batch);
  }

  async #write(batch: readonly Pending[]): Promise<void> {
    const text = batch.map(({ line }) => line + "\n").join("");
    const bytes = new TextEncoder().encode(text);
    const start = performance.now();
    try {
      await this.#repair();
      await this.#writeBytes(bytes);
    } catch (cause) {
      this.#failed();
      const error = ioError("write", this.#path, cause);
      for (const { reject } of batch) reject(error);
      return;
    }
    this.#works();
    this.#options.metrics.logFlush.observe((performance.now() - start) / 1000);
    this.#length += bytes.length;
    this.#tail?.push(text);
    for (const pending of batch) this.#commit(pending);
    for (const { resolve } of batch) resolve();
    if (this.#options.fsync === "interval") this.#syncTimer.start(this.#options.fsyncInterval);
    const { smallest = 1 << 16 } = this.#options;
    if (this.#length > smallest && this.#length > 2 * this.#compactLength && !this.#isClosed) this.compact();
  }

  #commit({ commit, reject }: Pending): void {
    try {
      commit();
    } catch (error) {
      reject(error);
      // The file says what is not so: it is written anew, and no compaction may keep it.
      this.#tail = null;
      this.#mustRewrite = true;
      this.#failed();
      this.#tell(`Cannot do what was written to ${this.#path}, it will be written anew`, error);
    }
  }

  async #writeBytes(bytes: Uint8Array): Promise<void> {
    this.#mustCut = true;
    try {
      await writeAll(this.#file, bytes);
    } catch (error) {
      await this.#cut().catch(() => {});
      throw error;
    }
    this.#mustCut = false;
    if (this.#options.fsync !== "always") return;
    this.#mustRewrite = true;
    try {
      await this.#file.sync();
    } catch (error) {
      // A crash before it is written anew must not leave what is refused.
      await this.#cut().catch(() => {});
      throw error;
    }
    this.#mustRewrite = false;
  }

  #works(): void {
    // A sync may have failed while the write went on.
    if (this.#mustRewrite) return;
    this.#retrying.succeeded();
  }

  #failed(): void {
    this.#options.metrics.logFailures++;
    this.#retrying.failed();
  }

  async #retry(): Promise<void> {
    this.#retrying.begin();
    if (this.#retrying.healthy) return;
    try {
      const isRewritten = this.#mustRewrite;
      await this.#repair();
      if (!isRewritten) {
        await this.#writeBytes(probe);
        this.#mustCut = true;
        await this.#cut();
      }
      this.#works();
    } catch {
      this.#retrying.later();
    }
  }

  #lookLater(): void {
    this.#lookTimer.start(Math.min(intervalsALook * this.#options.fsyncInterval, slowestRetry));
  }

  /** Whoever removes, replaces or cuts the file takes what was answered from it; memory still has it. */
  async #look(): Promise<void> {
    this.#mustLook = false;
    this.#lookLater();
    if (this.#mustRewrite || this.#mustCut) return;
    const size = await this.#io.size(this.#path).catch(() => null);
    if (size === null || size === this.#length) return;
    this.#mustRewrite = true;
    this.#failed();
    this.#tell(`${this.#path} was changed by somebody else, it will be written anew`, undefined);
  }

  #tell(message: string, error: unknown): void {
    try {
      this.#options.log(message, error);
    } catch {
      // Nothing is left that could be told.
    }
  }

  async #repair(): Promise<void> {
    if (this.#mustRewrite) await this.#rewrite();
    if (this.#mustCut) await this.#cut();
  }

  async #cut(): Promise<void> {
    await this.#file.truncate(this.#length);
    this.#mustCut = false;
  }

  async #rewrite(): Promise<void> {
    // A compaction under way would bring back an older state.
    this.#tail = null;
    const { file, length } = await replaceFile(this.#io, this.#path, this.#options.snapshot());
    this.#use(file, length);
  }

  #use(file: LogFile, length: number): void {
    const old = this.#file;
    this.#file = file;
    this.#length = this.#compactLength = length;
    this.#mustCut = this.#mustRewrite = false;
    closeQuietly(old);
  }

  async #compact(): Promise<void> {
    const aside = `${this.#path}.compact`;
    const tail: string[] = this.#tail = [];
    try {
      const written = await writeLines(this.#io, aside, this.#options.snapshot());
      await new Promise<void>((resolve, reject) => {
        this.#switch = async () => {
          this.#switch = null;
          try {
            await this.#switchTo(aside, written, tail);
            resolve();
          } catch (error) {
            closeQuietly(written.file);
            reject(error);
          }
        };
        this.#run();
      });
    } catch (error) {
      await this.#io.remove(aside).catch(() => {});
      // It was written anew meanwhile, or has to be.
      if (this.#tail !== tail) return;
      this.#compactLength = this.#length;
      this.#options.metrics.logFailures++;
      this.#tell(`Cannot compact ${this.#path}, it goes on growing`, error);
    } finally {
      this.#tail = null;
    }
  }

  async #switchTo(
    aside: string,
    { file, length }: { readonly file: LogFile; readonly length: number },
    tail: readonly string[],
  ): Promise<void> {
    if (this.#tail !== tail) throw new Error("the log was written anew meanwhile");
    const bytes = new TextEncoder().encode(tail.join(""));
    await writeAll(file, bytes);
    await file.sync();
    await this.#io.rename(aside, this.#path);
    // From here on the new file is the log, whatever else fails.
    this.#use(file, length + bytes.length);
    await this.#io.syncDirectory(directoryOf(this.#path)).catch((error) => {
      this.#tell(`Cannot sync the directory of ${this.#path}`, error);
    });
  }

  async #sync(): Promise<void> {
    const file = this.#file;
    try {
      await file.sync();
    } catch (error) {
      // The file has been replaced, and the new one is synced.
      if (file !== this.#file) return;
      this.#mustRewrite = true;
      this.#failed();
      this.#tell(`Cannot sync ${this.#path}, it will be written anew`, error);
    }
  }
}

function closeQuietly(file: LogFile): void {
  try {
    file.close();
  } catch {
    // It is closed.
  }
}
