import { ioError, StoreError } from "./error.ts";

/** Keeps other servers from a store log, as long as it is not released. */
export interface StoreLock {
  release(): void;
}

/** The name of the file that is locked for a store log: the log itself is replaced when it is compacted. */
export function lockPath(storeLog: string): string {
  return `${storeLog}.lock`;
}

/** Locks a store log for this process; the system releases it when the process ends. Throws {@linkcode StoreError} (`LOCKED`, `IO`). */
export async function lockStore(storeLog: string): Promise<StoreLock> {
  const path = lockPath(storeLog);
  let file;
  try {
    file = await Deno.open(path, { create: true, append: true, mode: 0o600 });
    if (await file.tryLock(true)) {
      return {
        release() {
          // A process that was forked a moment ago has the file too, so that closing it here is not enough.
          file!.unlockSync();
          file!.close();
        },
      };
    }
  } catch (error) {
    file?.close();
    throw ioError("lock", path, error);
  }
  file.close();
  throw new StoreError(
    "LOCKED",
    `Cannot use ${storeLog}: another server uses it; stop that one, or give this one its own --log-dir`,
  );
}

/** Whether a server uses a store log; changes nothing. */
export async function isStoreLocked(storeLog: string): Promise<boolean> {
  try {
    using file = await Deno.open(lockPath(storeLog));
    return !await file.tryLock(false);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw ioError("read", lockPath(storeLog), error);
  }
}
