import { ioError, StoreError } from "../store/error.ts";
import { handshakesPath } from "../store/handshake_log.ts";
import { directoryOf, type LogIo } from "../store/log_io.ts";
import { conversionPath, type StorePaths, workersPath } from "../store/places.ts";
import { exists } from "../store/durable.ts";
import { type Conversion, findPlain, plainFiles } from "./conversion.ts";
import { describeForm, type Form, isSameForm, oneProcess, workerPath } from "./form.ts";

interface WorkerFile {
  readonly path: string;
  readonly generation: number;
  readonly worker: number;
  /** Has nothing that would be missed: a lock, or what was being written. */
  readonly isAside: boolean;
}

/** Ends with `StoreError` (`FORM`) when there are files that are not those of `form`. */
export async function refuseStrays(form: Form, base: StorePaths): Promise<void> {
  const marker = workersPath(base.storeLog);
  if (form.generation > 0) {
    for (const { path } of await findPlain(base)) {
      throw new StoreError(
        "FORM",
        `Cannot use ${path}: ${marker} says that the queues are in the files of ${describeForm(form)}; ` +
          `move ${path} away, or, if it is what you want to use, ${marker} and the files of the workers`,
      );
    }
  }
  for (const { path, generation, worker, isAside } of await listFiles(base)) {
    if (isAside || (generation === form.generation && worker < form.workers)) continue;
    const says = form.generation === 0
      ? `${marker} is not there, without which the files of workers are not used; restore it, or move`
      : `${marker} says that the queues are in files of generation ${form.generation}; move`;
    throw new StoreError("FORM", `Cannot use ${path}: ${says} ${path} away`);
  }
}

/** Brings a conversion that has not ended to its end, or takes it back; the form that counts. */
export async function settleConversion(
  io: LogIo,
  base: StorePaths,
  { conversion, current }: { readonly conversion: Conversion; readonly current: Form },
): Promise<Form> {
  const { from, to } = conversion;
  const hasSwitched = isSameForm(current, to) || (to.workers === 1 && current.generation === 0);
  if (!hasSwitched && !isSameForm(current, from)) {
    const [conversionFile, marker] = [conversionPath(base.storeLog), workersPath(base.storeLog)];
    throw new StoreError(
      "FORM",
      `Cannot use ${marker}: ${conversionFile} is about other files; restore all files from one backup`,
    );
  }
  await (hasSwitched ? finishConversion(io, base, conversion) : undoConversion(io, base, conversion));
  return hasSwitched ? (to.workers === 1 ? oneProcess : to) : from;
}

/** After the switch: removes the old files; those of one worker get the names of one process. */
export async function finishConversion(
  io: LogIo,
  base: StorePaths,
  { from, to, replaced }: Conversion,
): Promise<void> {
  // After a crash nobody knows whether the switch would survive a power cut.
  await syncDirectories(io, base);
  if (from.generation > 0) await removeGeneration(io, base, from.generation);
  else {
    for (const { path, kind, size, hash } of await findPlain(base)) {
      const isReplaced = replaced.some((old) => old.kind === kind && old.size === size && old.hash === hash);
      if (!isReplaced) continue;
      await remove(io, path);
      for (const aside of [`${path}.new`, `${path}.compact`]) await removeIfThere(io, aside);
    }
  }
  await syncDirectories(io, base);
  if (to.workers === 1) await becomeOneProcess(io, base, to);
  await endConversion(io, base);
}

/** Before the switch: removes the new files. */
export async function undoConversion(io: LogIo, base: StorePaths, { to }: Conversion): Promise<void> {
  await removeGeneration(io, base, to.generation);
  await removeIfThere(io, `${workersPath(base.storeLog)}.new`);
  await syncDirectories(io, base);
  await endConversion(io, base);
}

export async function syncDirectories(io: LogIo, { storeLog, messagesFile }: StorePaths): Promise<void> {
  for (const path of new Set([storeLog, messagesFile].map(directoryOf))) {
    await io.syncDirectory(path).catch((error) => {
      throw ioError("sync", path, error);
    });
  }
}

/** Where a file of the only worker is: by its own name, or already by that of one process. */
export async function whereIs(path: string, generation: number): Promise<string> {
  const own = workerPath(path, generation, 0);
  return await exists(own) ? own : path;
}

async function becomeOneProcess(io: LogIo, base: StorePaths, { generation }: Form): Promise<void> {
  for (const [kind, to] of plainFiles(base)) {
    const own = workerPath(kind === "messages" ? base.messagesFile : base.storeLog, generation, 0);
    const from = kind === "handshakes" ? handshakesPath(own) : own;
    if (!await exists(from)) continue;
    if (await exists(to)) {
      throw new StoreError(
        "FORM",
        `Cannot use ${from}: there is ${to} too, which somebody has put there; move that one away`,
      );
    }
    await io.rename(from, to).catch((error) => {
      throw ioError("rename", from, error);
    });
  }
  await removeGeneration(io, base, generation);
  await syncDirectories(io, base);
  await removeIfThere(io, workersPath(base.storeLog));
  await syncDirectories(io, base);
}

async function endConversion(io: LogIo, base: StorePaths): Promise<void> {
  const path = conversionPath(base.storeLog);
  for (const file of [path, `${path}.new`]) await removeIfThere(io, file);
  await syncDirectories(io, base);
}

async function removeGeneration(io: LogIo, base: StorePaths, generation: number): Promise<void> {
  for (const file of await listFiles(base)) if (file.generation === generation) await remove(io, file.path);
}

/** All files of workers but the copies that `--repair` has kept. */
async function listFiles({ storeLog, messagesFile }: StorePaths): Promise<WorkerFile[]> {
  const found: WorkerFile[] = [];
  for (const path of [storeLog, messagesFile]) {
    const directory = directoryOf(path);
    const name = path.slice(path.lastIndexOf("/") + 1);
    try {
      for await (const entry of Deno.readDir(directory)) {
        if (!entry.name.startsWith(name)) continue;
        const match = /^\.g(\d+)-w(\d+)(?:\.handshakes|\.aliases)?(\.new|\.compact|\.lock)?$/
          .exec(entry.name.slice(name.length));
        if (match === null) continue;
        const [, generation, worker, aside] = match;
        found.push({
          path: `${path.slice(0, path.length - name.length)}${entry.name}`,
          generation: Number(generation),
          worker: Number(worker),
          isAside: aside !== undefined,
        });
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw ioError("read", directory, error);
    }
  }
  return found.toSorted((a, b) => a.path < b.path ? -1 : 1);
}

async function removeIfThere(io: LogIo, path: string): Promise<void> {
  if (await exists(path)) await remove(io, path);
}

async function remove(io: LogIo, path: string): Promise<void> {
  await io.remove(path).catch((error) => {
    throw ioError("remove", path, error);
  });
}
