import { type LogFile, type LogIo, systemIo } from "../../server/store/log_io.ts";

/** How a {@linkcode CrashDisk} is. */
export interface CrashDiskOptions {
  /** Is called between two operations, which wait for it. @default nothing is done */
  readonly between?: () => Promise<void>;
  /** Most bytes that one write takes, so that a crash leaves a part of what was to be written. @default no limit */
  readonly largestWrite?: number;
}

/**
 * The system's files, used by one operation at a time: what a folder has between two of them is what a crash at that
 * moment leaves. That needs no syncs, which would wait for the disk.
 */
export class CrashDisk implements LogIo {
  readonly #between: () => Promise<void>;
  readonly #largestWrite: number;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor({ between = async () => {}, largestWrite = Infinity }: CrashDiskOptions = {}) {
    this.#between = between;
    this.#largestWrite = largestWrite;
  }

  /** Copies a folder as a crash would leave it after `count` more operations, or after all there are if that is fewer. */
  async crash(from: string, to: string, count: number): Promise<void> {
    for (let i = 0; i < count && await this.#isBusy(); i++) await this.#last;
    // Whoever uses the files goes on to use those that were copied.
    await this.#alone(() => copyFolder(from, to));
  }

  async open(path: string, isNew: boolean): Promise<LogFile> {
    const file = await this.#operate(() => systemIo.open(path, isNew));
    return {
      write: (bytes) => this.#operate(() => file.write(bytes.subarray(0, this.#largestWrite))),
      sync: () => this.#operate(() => Promise.resolve()),
      truncate: (length) => this.#operate(() => file.truncate(length)),
      close: () => file.close(),
    };
  }

  size(path: string): Promise<number> {
    return systemIo.size(path);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#operate(() => systemIo.rename(from, to));
  }

  remove(path: string): Promise<void> {
    return this.#operate(() => systemIo.remove(path));
  }

  syncDirectory(_path: string): Promise<void> {
    return this.#operate(() => Promise.resolve());
  }

  #operate<T>(operation: () => Promise<T>): Promise<T> {
    return this.#alone(async () => {
      const result = await operation();
      await this.#between();
      return result;
    });
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const done = this.#last.then(work).finally(() => this.#waiting--);
    this.#last = done.catch(() => {});
    return done;
  }

  /** Whoever goes on after an operation has the turn to begin the next one. */
  async #isBusy(): Promise<boolean> {
    if (this.#waiting === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    return this.#waiting > 0;
  }
}

/** Copies the files of a folder that nobody changes meanwhile. */
export async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
}
