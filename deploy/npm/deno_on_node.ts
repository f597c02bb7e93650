/**
 * What the programs of the npm package use of Deno, by what Node 22 has. `make.ts` has them import it; on Deno, and in
 * the library, nothing does.
 *
 * @module
 */
import type { Buffer } from "node:buffer";
import type { Stats } from "node:fs";
import {
  chmod,
  type FileHandle,
  lstat,
  mkdir,
  open,
  readFile,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  writeFile,
} from "node:fs/promises";
import process from "node:process";
import { Readable } from "node:stream";

/** Errors of the system that programs tell from others, by their codes in Node. */
const codes = {
  NotFound: "ENOENT",
  AlreadyExists: "EEXIST",
  BrokenPipe: "EPIPE",
  ConnectionRefused: "ECONNREFUSED",
  ConnectionReset: "ECONNRESET",
  PermissionDenied: "EACCES",
} as const;

/** A class whose instances are all errors with that code, whoever has made them. */
function errorWith(code: string) {
  return class extends Error {
    static override [Symbol.hasInstance](value: unknown): boolean {
      return value instanceof Error && (value as { readonly code?: unknown }).code === code;
    }
  };
}

const errors = {
  NotFound: errorWith(codes.NotFound),
  AlreadyExists: errorWith(codes.AlreadyExists),
  BrokenPipe: errorWith(codes.BrokenPipe),
  ConnectionRefused: errorWith(codes.ConnectionRefused),
  ConnectionReset: errorWith(codes.ConnectionReset),
  PermissionDenied: errorWith(codes.PermissionDenied),
  /** Node has no permissions of the kind, and none of these. */
  NotCapable: class extends Error {},
  BadResource: class extends Error {},
};

/** Control-C as a byte. */
const interrupt = 3;

let isRaw = false;

/** Reads a stream piece by piece, as `Deno.stdin.read` does. */
class Reader {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest = new Uint8Array(0);

  constructor(stream: AsyncIterable<Buffer>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) return null;
      // A raw terminal gives the key, and no signal.
      if (isRaw && value.includes(interrupt)) process.kill(process.pid, "SIGINT");
      else this.#rest = new Uint8Array(value);
    }
    const count = Math.min(into.length, this.#rest.length);
    into.set(this.#rest.subarray(0, count));
    this.#rest = this.#rest.subarray(count);
    return count;
  }
}

let input: Reader | undefined;

const stdin = {
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return Readable.toWeb(process.stdin) as ReadableStream<Uint8Array<ArrayBuffer>>;
  },
  read: (into: Uint8Array): Promise<number | null> => (input ??= new Reader(process.stdin)).read(into),
  isTerminal: (): boolean => process.stdin.isTTY === true,
  setRaw(mode: boolean, _options?: { readonly cbreak?: boolean }): void {
    isRaw = mode;
    process.stdin.setRawMode(mode);
  },
};

/** Without a listener a reader that has gone would end the program. */
let isListened = false;

const stdout = {
  isTerminal: (): boolean => process.stdout.isTTY === true,
  write(bytes: Uint8Array): Promise<number> {
    if (!isListened) process.stdout.on("error", () => {});
    isListened = true;
    return new Promise((resolve, reject) =>
      process.stdout.write(bytes, (error) => error ? reject(error) : resolve(bytes.length))
    );
  },
};

const stderr = {
  isTerminal: (): boolean => process.stderr.isTTY === true,
  writeSync(bytes: Uint8Array): number {
    process.stderr.write(bytes);
    return bytes.length;
  },
};

/** The part of `Deno.FsFile` that programs use. */
class File {
  readonly #handle: FileHandle;
  #isClosed = false;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(into: Uint8Array): Promise<number | null> {
    const { bytesRead } = await this.#handle.read(into, 0, into.length);
    return bytesRead === 0 && into.length > 0 ? null : bytesRead;
  }

  async write(bytes: Uint8Array): Promise<number> {
    return (await this.#handle.write(bytes)).bytesWritten;
  }

  sync(): Promise<void> {
    return this.#handle.sync();
  }

  /** Closes the file when it has been read. */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    this.#isClosed = true;
    return Readable.toWeb(this.#handle.createReadStream()) as ReadableStream<Uint8Array<ArrayBuffer>>;
  }

  close(): void {
    if (!this.#isClosed) void this.#handle.close();
    this.#isClosed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

async function openFile(
  path: string,
  { write = false, createNew = false, mode }: {
    readonly write?: boolean;
    readonly createNew?: boolean;
    readonly mode?: number;
  } = {},
): Promise<File> {
  return new File(await open(path, createNew ? "wx" : write ? "r+" : "r", mode));
}

interface Info {
  readonly size: number;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
}

async function info(found: Promise<Stats>): Promise<Info> {
  const stats = await found;
  return { size: stats.size, isFile: stats.isFile(), isDirectory: stats.isDirectory() };
}

async function remove(path: string, { recursive = false }: { readonly recursive?: boolean } = {}) {
  if (recursive) return await rm(path, { recursive });
  if ((await lstat(path)).isDirectory()) await rmdir(path);
  else await rm(path);
}

function needsDeno(): never {
  throw new Error("Node cannot do that here: it needs Deno, which npm has (npx deno@2.9.6)");
}

/** What stands in for `Deno` in the programs. */
export const Deno = {
  args: process.argv.slice(2),
  errors,
  stdin,
  stdout,
  stderr,
  build: { os: process.platform === "win32" ? "windows" : process.platform },
  consoleSize: () => ({ columns: process.stderr.columns, rows: process.stderr.rows }),
  open: openFile,
  stat: (path: string) => info(stat(path)),
  lstat: (path: string) => info(lstat(path)),
  pid: process.pid,
  memoryUsage: () => process.memoryUsage(),
  readTextFile: (path: string) => readFile(path, "utf8"),
  writeTextFile: (
    path: string,
    text: string,
    { mode, createNew = false }: { readonly mode?: number; readonly createNew?: boolean } = {},
  ) => writeFile(path, text, { flag: createNew ? "wx" : "w", ...(mode !== undefined && { mode }) }),
  chmod,
  realPath: (path: string) => realpath(path),
  mkdir: async (path: string, options?: { readonly recursive?: boolean; readonly mode?: number }) => {
    await mkdir(path, options);
  },
  rename,
  remove,
  addSignalListener: (signal: NodeJS.Signals, listener: () => void) => void process.on(signal, listener),
  removeSignalListener: (signal: NodeJS.Signals, listener: () => void) => void process.off(signal, listener),
  exit: (code?: number): never => process.exit(code),
  listen: needsDeno,
  connect: needsDeno,
};

/** Node 22 has none: what is used of the standard's. */
class Stack {
  readonly #resources: AsyncDisposable[] = [];

  use<T extends AsyncDisposable>(resource: T): T {
    this.#resources.push(resource);
    return resource;
  }

  async disposeAsync(): Promise<void> {
    for (const resource of this.#resources.splice(0).reverse()) await resource[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disposeAsync();
  }
}

/** The standard's, where there is one. */
export const AsyncDisposableStack: new () => Pick<Stack, keyof Stack> =
  Reflect.get(globalThis, "AsyncDisposableStack") ?? Stack;
