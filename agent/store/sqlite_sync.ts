import type { DatabaseSync } from "node:sqlite";
import { truncateLog } from "./sqlite_open.ts";
import { CommitError } from "./sqlite_writes.ts";

/** https://www.sqlite.org/rescode.html#ioerr */
const ioError = 10;

/**
 * The log of a database whose syncs can fail. The system tells that once and forgets what it could not write: a later sync
 * succeeds while something is missing before it, with which a power cut would take all that comes after. So the log is
 * emptied first: that writes all that is in it to the file.
 */
export class SyncedLog {
  readonly #database: DatabaseSync;
  #isInDoubt = false;

  /** Nothing is in doubt yet. */
  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Writes when all that is in the log is on the disk, or may be lost. Throws what `write` does. */
  write<R>(write: () => R): R {
    if (this.#isInDoubt && !this.truncate()) {
      throw new Error(
        "a sync of its log has failed, and somebody reads it, so that it cannot be written anew",
      );
    }
    try {
      return write();
    } catch (error) {
      this.failed(error);
      throw error;
    }
  }

  /** See {@linkcode truncateLog}. */
  truncate(): boolean {
    try {
      const isEmpty = truncateLog(this.#database);
      if (isEmpty) this.#isInDoubt = false;
      return isEmpty;
    } catch (error) {
      this.failed(error);
      throw error;
    }
  }

  /** Something has failed: perhaps a sync. */
  failed(error: unknown): void {
    if (error instanceof CommitError || isIoError(error)) this.#isInDoubt = true;
  }
}

function isIoError(error: unknown): boolean {
  if (!(error instanceof Error && "errcode" in error)) return false;
  // The higher bits say what has failed.
  return (Number(error.errcode) & 0xff) === ioError;
}
