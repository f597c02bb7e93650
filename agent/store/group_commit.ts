import { type CommitOptions, type StoreChange, StoreError } from "./store.ts";

/** How changes are written; `T`: what they are when they are sealed. */
export interface CommitTarget<T> {
  /** Makes changes ready to be written; before the transaction, which a browser would end while it waits. */
  prepare(changes: readonly StoreChange[]): T | Promise<T>;
  /** Writes all in one transaction, or nothing and throws; the disk is waited for unless all of it may be lost. */
  write(prepared: readonly T[], options: Required<CommitOptions>): void | Promise<void>;
}

interface Pending {
  /** `null`: `run` has to be alone. */
  readonly changes: readonly StoreChange[] | null;
  readonly mayBeLost: boolean;
  readonly run: () => Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Writes commits in the order in which they are given, all that have come meanwhile in one transaction. One that fails
 * is rejected with `StoreError` and takes no other with it. Disposal waits for those that were given before.
 */
export class GroupCommit<T> implements AsyncDisposable {
  readonly #target: CommitTarget<T>;
  #pending: Pending[] = [];
  #flushing: Promise<void> | null = null;
  #isClosed = false;

  /** Writes to `target` alone. */
  constructor(target: CommitTarget<T>) {
    this.#target = target;
  }

  /** Resolves when the changes are written. Throws `StoreError` (`WRITE`). */
  commit(changes: readonly StoreChange[], { mayBeLost = false }: CommitOptions = {}): Promise<void> {
    return this.#add({ changes, mayBeLost }, () => Promise.resolve());
  }

  /** Does `task` after the commits that were given before and before those that come later. */
  exclusively<R>(task: () => R | Promise<R>): Promise<R> {
    return this.#add({ changes: null, mayBeLost: false }, async () => await task());
  }

  /** Waits until everything is written; what is given later is refused. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#flushing;
  }

  #add<R>(what: Pick<Pending, "changes" | "mayBeLost">, run: () => Promise<R>): Promise<R> {
    if (this.#isClosed) {
      return Promise.reject(new StoreError("WRITE", "Cannot write to the store: it is closed"));
    }
    return new Promise<R>((resolve, reject) => {
      this.#pending.push({ ...what, run, resolve: (value) => resolve(value as R), reject });
      this.#flushing ??= this.#flush();
    });
  }

  async #flush(): Promise<void> {
    // All that is given in this turn goes together.
    await Promise.resolve();
    while (this.#pending.length > 0) {
      const alone = this.#pending.findIndex(({ changes }) => changes === null);
      if (alone === 0) await this.#runFirst();
      else await this.#writeAll(this.#pending.splice(0, alone === -1 ? Infinity : alone));
    }
    this.#flushing = null;
  }

  async #runFirst(): Promise<void> {
    const { run, resolve, reject } = this.#pending.shift()!;
    try {
      resolve(await run());
    } catch (error) {
      reject(error);
    }
  }

  async #writeAll(batch: readonly Pending[]): Promise<void> {
    const prepared: { readonly commit: Pending; readonly value: T }[] = [];
    await Promise.all(batch.map(async (commit, i) => {
      try {
        prepared[i] = { commit, value: await this.#target.prepare(commit.changes!) };
      } catch (error) {
        commit.reject(writeError(error));
      }
    }));
    // Without the places of those that failed.
    const ready = prepared.filter(() => true);
    if (await this.#write(ready) === null) return;
    // One of them is at fault: the others must not fail with it.
    for (const one of ready) {
      const error = await this.#write([one]);
      if (error !== null) one.commit.reject(error);
    }
  }

  /** Gives why nothing was written. */
  async #write(
    ready: readonly { readonly commit: Pending; readonly value: T }[],
  ): Promise<StoreError | null> {
    if (ready.length === 0) return null;
    try {
      const mayBeLost = ready.every(({ commit }) => commit.mayBeLost);
      await this.#target.write(ready.map(({ value }) => value), { mayBeLost });
    } catch (error) {
      return writeError(error);
    }
    for (const { commit } of ready) commit.resolve(undefined);
    return null;
  }
}

/** The error of a store that could not write. */
export function writeError(cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new StoreError("WRITE", `Cannot write to the store: ${message}`, { cause });
}
