import { openRegular } from "../../cli/regular_file.ts";
import { ioError, StoreError } from "./error.ts";

export interface LogLock {
  readonly isNew: boolean;
  release(): void;
}

/** A file of its own: the log is replaced when it is compacted. */
export function lockPath(log: string): string {
  return `${log}.lock`;
}

export async function lockLog(log: string): Promise<LogLock> {
  const path = lockPath(log);
  for (;;) {
    let opened;
    try {
      opened = await open(path);
      const { file, isNew } = opened;
      const isLocked = await file.tryLock(true);
      if (isLocked && await isAt(file, path)) {
        return {
          isNew,
          release: () => unlock(file),
        };
      }
      unlock(file);
      if (isLocked) continue;
    } catch (error) {
      opened?.file.close();
      throw ioError("lock", path, error);
    }
    throw new StoreError(
      "LOCKED",
      `Cannot use ${log}: another server uses it; stop that one, or give this one its own --log-dir`,
    );
  }
}

/** A process that was forked a moment ago has the file too, so that closing it here is not enough. */
function unlock(file: Deno.FsFile): void {
  file.unlockSync();
  file.close();
}

async function open(path: string): Promise<{ readonly file: Deno.FsFile; readonly isNew: boolean }> {
  try {
    return { file: await Deno.open(path, { append: true, createNew: true, mode: 0o600 }), isNew: true };
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    return { file: await openRegular(path, { create: true, append: true, mode: 0o600 }), isNew: false };
  }
}

/** Whoever had the lock before may have removed the file. */
async function isAt(file: Deno.FsFile, path: string): Promise<boolean> {
  const [own, there] = [await file.stat(), await Deno.stat(path).catch(() => null)];
  return own.ino === there?.ino && own.dev === there.dev;
}

export async function isLogLocked(log: string): Promise<boolean> {
  try {
    const file = await openRegular(lockPath(log));
    try {
      return !await file.tryLock(false);
    } finally {
      unlock(file);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw ioError("read", lockPath(log), error);
  }
}
