import { osReason } from "../../cli/os_error.ts";

export type StoreErrorCode =
  | "CORRUPT"
  /** Another server uses the files. */
  | "LOCKED"
  /** A path cannot be that of a log. */
  | "PATH"
  /** The files are those of another number of processes, or of two. */
  | "FORM"
  | "IO";

export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export function ioError(action: string, path: string, cause: unknown): StoreError {
  return new StoreError("IO", `Cannot ${action} ${path}: ${osReason(cause)}`, { cause });
}
