import { deferred } from "../../protocol/mod.ts";
import { StoreError } from "./store.ts";

/** Milliseconds for which a page that is being left may keep a database from the one that follows. */
export const lockPatience = 2_000;

/** Keeps other pages from a database. */
export interface Lock {
  /** Resolves when another page has stolen it. */
  readonly lost: Promise<void>;
  /** Lets others have it. */
  release(): Promise<void>;
}

/** Opens a database while no other page opens it, so that the last one that has taken it from others keeps it. */
export async function whileOpening<T>(name: string, open: () => Promise<T>): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), 2 * lockPatience);
  let isGranted = false;
  try {
    // The types want a value of the promise, which is a promise itself.
    return await navigator.locks.request(`smp-agent-store opening ${name}`, { signal: late.signal }, () => {
      isGranted = true;
      clearTimeout(timer);
      return open();
    });
  } catch (cause) {
    if (isGranted) throw cause;
    throw inUse(name, cause);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits a moment for the lock of a database, or takes it from whoever has it. Throws `StoreError` (`IN_USE`). */
export async function lock(name: string, { steal }: { readonly steal: boolean }): Promise<Lock> {
  const [held, granted, lost] = [deferred<void>(), deferred<void>(), deferred<void>()];
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), lockPatience);
  const options = steal ? { steal } : { signal: late.signal };
  const released = navigator.locks.request(`smp-agent-store ${name}`, options, () => {
    granted.resolve();
    return held.promise;
  }).catch((error) => {
    granted.reject(error);
    lost.resolve();
  });
  try {
    await granted.promise;
  } catch (cause) {
    throw inUse(name, cause);
  } finally {
    clearTimeout(timer);
  }
  return {
    lost: lost.promise,
    async release() {
      held.resolve();
      await released;
    },
  };
}

/** The error of a database that another page has. */
export function inUse(name: string, cause?: unknown): StoreError {
  return new StoreError("IN_USE", `Cannot open ${name}: another agent uses it`, { cause });
}
