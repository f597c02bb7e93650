import { readRegular } from "../../cli/regular_file.ts";
import { ioError, StoreError } from "../store/error.ts";
import { type LogIo, replaceFile } from "../store/log_io.ts";
import { type StorePaths, workersPath } from "../store/places.ts";
import { mostWorkers, type Spread } from "./partition.ts";

/** What files the content of a server is in. */
export interface Form extends Spread {
  /** Counts how often the files were written anew for another number of workers; 0: the files of one process. */
  readonly generation: number;
}

/** The files of one process, which no file says anything of. */
export const oneProcess: Form = { generation: 0, workers: 1, partitions: 1 };

/** The files of one worker. */
export interface WorkerPaths extends StorePaths {
  /** Sender IDs of queues that other workers have ({@linkcode loadAliases}); `null` for one process. */
  readonly aliases: string | null;
}

export function aliasesPath(storeLog: string): string {
  return `${storeLog}.aliases`;
}

/** The file of a worker for one of those of one process. */
export function workerPath(path: string, generation: number, worker: number): string {
  return `${path}.g${generation}-w${worker}`;
}

/** The files of each worker. */
export function pathsOf({ generation, workers }: Form, base: StorePaths): WorkerPaths[] {
  if (generation === 0) return [{ ...base, aliases: null }];
  return Array.from({ length: workers }, (_, worker) => {
    const storeLog = workerPath(base.storeLog, generation, worker);
    const messagesFile = workerPath(base.messagesFile, generation, worker);
    return { storeLog, messagesFile, aliases: aliasesPath(storeLog) };
  });
}

export function isSameForm(a: Form, b: Form): boolean {
  return a.generation === b.generation && a.workers === b.workers && a.partitions === b.partitions;
}

export function describeForm({ workers }: Form): string {
  return workers === 1 ? "one process" : `${workers} workers`;
}

export function formatForm({ generation, workers, partitions }: Form): string {
  return `generation=${generation} workers=${workers} partitions=${partitions}`;
}

export function parseForm(text: string): Form | null {
  const match = /^generation=(\d{1,9}) workers=(\d{1,3}) partitions=(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const [generation, workers, partitions] = match.slice(1).map(Number) as [number, number, number];
  const isSpread = workers >= 1 && workers <= mostWorkers && partitions >= workers &&
    (partitions & partitions - 1) === 0;
  if (!isSpread || (generation === 0 && workers !== 1)) return null;
  return { generation, workers, partitions };
}

const header = "smp-workers 1 ";

/** Which files the content is in. Throws `StoreError` (`FORM`) when the file that says it cannot be read. */
export async function readForm(storeLog: string): Promise<Form> {
  const path = workersPath(storeLog);
  const text = await readSmall(path);
  if (text === null) return oneProcess;
  const line = text.endsWith("\n") ? text.slice(0, -1) : "";
  const form = line.startsWith(header) ? parseForm(line.slice(header.length)) : null;
  if (form !== null && form.generation > 0) return form;
  throw new StoreError(
    "FORM",
    `Cannot read ${path}: it does not say which files the queues are in; restore it from a backup`,
  );
}

/** The switch: until the rename in here the old files count, from then on those of `form`. */
export async function writeForm(io: LogIo, storeLog: string, form: Form): Promise<void> {
  const path = workersPath(storeLog);
  try {
    (await replaceFile(io, path, [header + formatForm(form)])).file.close();
  } catch (error) {
    throw ioError("write", path, error);
  }
}

/** The text of a file of a few lines; `null` when it is not there. */
export async function readSmall(path: string): Promise<string | null> {
  try {
    return await readRegular(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw ioError("read", path, error);
  }
}
