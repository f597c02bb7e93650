import { setTimeout as pause } from "node:timers/promises";
import { counted } from "../../cli/counted.ts";
import { exists, lockLogs, makeDirectory } from "../store/durable.ts";
import { StoreError } from "../store/error.ts";
import type { LogLock } from "../store/lock.ts";
import { directoryOf, type LogIo, systemIo } from "../store/log_io.ts";
import { findPlaces, type StorePaths } from "../store/places.ts";
import { loadAliases } from "./aliases.ts";
import { convert } from "./convert.ts";
import { type Conversion, findPlain, readConversion, writeConversion } from "./conversion.ts";
import {
  describeForm,
  type Form,
  oneProcess,
  pathsOf,
  readForm,
  type WorkerPaths,
  writeForm,
} from "./form.ts";
import { finishConversion, refuseStrays, settleConversion, syncDirectories } from "./leftovers.ts";
import { mostWorkers, type Spread, workerPartitions } from "./partition.ts";

/** Which files a server has, and for how many workers they are to be. */
export interface WorkerFilesOptions extends StorePaths {
  /** 1: one process. */
  readonly workers: number;
  /** A power of two; files with another number are written anew. @default `workerPartitions` */
  readonly partitions?: number;
  /** Files of other things, which no log may be. */
  readonly others?: readonly string[];
  /** Leaves out what cannot be read where files are written anew; the files are kept as copies. */
  readonly repair?: boolean;
  /** Ends a conversion, which is taken back, when it aborts. */
  readonly signal?: AbortSignal;
  /** Milliseconds in which workers that have outlived a server that was killed may end. @default 3000 */
  readonly patience?: number;
  readonly io?: LogIo;
}

/** Files that are those of some workers. While it is not disposed no other server can use or convert them. */
export interface WorkerFiles extends Disposable, Spread {
  /** The files of each worker, by its number; each opens its own with `DurableStores.open`. */
  readonly files: readonly WorkerPaths[];
  /** What was done that an operator should know. */
  readonly notices: readonly string[];
}

/** What keeps a server with these settings from having workers; `null` when nothing does. */
export function workersProblem(
  { storeLog, messages }: { readonly storeLog: boolean; readonly messages: "memory" | "journal" },
  ini: string,
): string | null {
  const because = "a worker that dies must find all that it has answered when it is started again";
  if (!storeLog) {
    return `Cannot start workers without a store log: ${because}; set enable: on in [STORE_LOG] of ${ini}`;
  }
  if (messages === "journal") return null;
  return `Cannot start workers with messages: memory: ${because}; set messages: journal in [STORE_LOG] of ${ini}`;
}

/**
 * Makes the files of a server those of so many workers, or of one process, and says where they are.
 *
 * Files of another number are written anew, one queue file at a time in memory and messages one by one; the switch is
 * one rename, so that a crash leaves all old files or all new ones, and the next call removes the rest. Takes twice the
 * room on the disk. For one process nothing is locked in the end, as `DurableStores.open` does that.
 *
 * Throws `StoreError`: `LOCKED` when a server or a worker of it uses the files, `FORM` when there are files of more than
 * one kind, `CORRUPT` when one is damaged or not there, `PATH`, and `IO`; `RangeError` for a number of workers or
 * partitions that cannot be; the reason of `signal` when it aborts. The old files are as they were then.
 */
export async function prepareFiles(options: WorkerFilesOptions): Promise<WorkerFiles> {
  const spread = checkSpread(options);
  for (const path of [options.storeLog, options.messagesFile]) await makeDirectory(directoryOf(path));
  const base = await findPlaces(options, options.others);
  const locks = [...await lockLogs(base)];
  const release = () => {
    for (const lock of locks.splice(0)) lock.release();
  };
  try {
    const notices: string[] = [];
    const files = await prepare(base, spread, { ...options, notices });
    if (spread.workers === 1) release();
    return { ...spread, files, notices, [Symbol.dispose]: release };
  } catch (error) {
    release();
    throw error;
  }
}

function checkSpread({ workers, partitions = workerPartitions }: WorkerFilesOptions): Spread {
  if (!Number.isInteger(workers) || workers < 1 || workers > mostWorkers) {
    throw new RangeError(`Cannot use workers ${workers}: it must be a whole number from 1 to ${mostWorkers}`);
  }
  const isPower = Number.isInteger(partitions) && (partitions & partitions - 1) === 0;
  if (!isPower || partitions < workers || partitions > 1 << 16) {
    throw new RangeError(
      `Cannot use partitions ${partitions}: it must be a power of two from the number of workers to 65536`,
    );
  }
  return { workers, partitions };
}

type Task = Pick<WorkerFilesOptions, "repair" | "signal" | "patience" | "io"> & {
  readonly notices: string[];
};

async function prepare(base: StorePaths, spread: Spread, task: Task): Promise<readonly WorkerPaths[]> {
  const { io = systemIo, notices } = task;
  const conversion = await readConversion(base.storeLog);
  let current = await readForm(base.storeLog);
  if (conversion !== null) {
    current = await settleConversion(io, base, { conversion, current });
    notices.push(`cleaned up after a change of the number of workers that had not ended`);
  }
  await refuseStrays(current, base);
  const paths = pathsOf(current, base);
  await findMissing(paths, task);
  const locks = current.generation === 0 ? [] : await lockWorkers(paths, task);
  try {
    const isWanted = spread.workers === current.workers &&
      (spread.workers === 1 ? current.generation === 0 : spread.partitions === current.partitions);
    if (isWanted) {
      const notice = await aliasNotice(paths);
      if (notice === null) return paths;
      notices.push(notice);
    }
    const to = { ...spread, generation: current.generation + 1 };
    await change(base, { from: current, to }, task);
    return pathsOf(spread.workers === 1 ? oneProcess : to, base);
  } finally {
    for (const lock of locks) lock.release();
  }
}

/** A worker would begin with nothing where a file is not there. */
export async function findMissing(
  paths: readonly WorkerPaths[],
  { repair = false, notices = [] }: { readonly repair?: boolean; readonly notices?: string[] } = {},
): Promise<void> {
  for (const [worker, { storeLog, messagesFile, aliases }] of paths.entries()) {
    if (aliases === null) continue;
    for (const [path, what] of [[storeLog, "queues"], [messagesFile, "messages"]] as const) {
      if (await exists(path)) continue;
      if (!repair) {
        throw new StoreError(
          "CORRUPT",
          `Cannot read ${path}: it is not there, but worker ${worker} has its ${what} in it; ` +
            `restore a backup, or start with --repair to go on without`,
        );
      }
      notices.push(`${path} is not there: the server goes on without its ${what}`);
    }
  }
}

/** Aliases say nothing that the store logs do not: when they are damaged they are made anew. */
export async function aliasNotice(paths: readonly WorkerPaths[]): Promise<string | null> {
  for (const { aliases } of paths) {
    if (aliases === null) continue;
    try {
      await loadAliases(aliases);
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== "CORRUPT") throw error;
      return `${aliases} is damaged or not there: the start writes the files of the workers anew`;
    }
  }
  return null;
}

async function change(
  base: StorePaths,
  { from, to }: { readonly from: Form; readonly to: Form },
  { io = systemIo, repair = false, signal, notices }: Task,
): Promise<void> {
  const sources = pathsOf(from, base);
  const conversion: Conversion = {
    from,
    to,
    replaced: from.generation === 0 ? await findPlain(base) : [],
  };
  try {
    await writeConversion(io, base.storeLog, conversion);
    const targets = { targets: pathsOf(to, base), spread: to };
    const { queues } = await convert(sources, targets, { io, repair, signal, notices });
    await syncDirectories(io, base);
    signal?.throwIfAborted();
    await writeForm(io, base.storeLog, to);
    notices.push(
      `wrote the files of ${describeForm(from)} anew for ${describeForm(to)}: ${counted(queues, "queue")}`,
    );
  } catch (error) {
    throw await takeBack(io, base, { conversion, error });
  }
  await finishConversion(io, base, conversion);
}

async function takeBack(
  io: LogIo,
  base: StorePaths,
  { conversion, error }: { readonly conversion: Conversion; readonly error: unknown },
): Promise<unknown> {
  try {
    // The rename may have been done although what came after it failed.
    await settleConversion(io, base, { conversion, current: await readForm(base.storeLog) });
  } catch {
    // The next start does it.
    return error;
  }
  if (!(error instanceof StoreError) || error.code !== "IO") return error;
  return new StoreError("IO", `${error.message}; the files are those of ${await describe(base)}`, {
    cause: error,
  });
}

async function describe({ storeLog }: StorePaths): Promise<string> {
  return describeForm(await readForm(storeLog));
}

const lockInterval = 50;

/** Workers outlive the process that has started them, if only until they notice. */
async function lockWorkers(
  paths: readonly StorePaths[],
  { signal, patience = 3_000 }: Task,
): Promise<readonly LogLock[]> {
  const end = performance.now() + patience;
  const locks: LogLock[] = [];
  try {
    for (const files of paths) {
      for (;;) {
        try {
          locks.push(...await lockLogs(files));
          break;
        } catch (error) {
          if (!(error instanceof StoreError) || error.code !== "LOCKED" || performance.now() >= end) {
            throw error;
          }
        }
        await pause(lockInterval, undefined, { ...(signal && { signal }) }).catch(() =>
          signal?.throwIfAborted()
        );
      }
    }
    return locks;
  } catch (error) {
    for (const lock of locks) lock.release();
    throw error;
  }
}
