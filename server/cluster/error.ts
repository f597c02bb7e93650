export type EngineErrorCode =
  /** No server could be reached in time. */
  | "UNREACHABLE"
  /** A server is older than what keeps messages safe. */
  | "VERSION"
  | "NO_JETSTREAM"
  /** A server answers what it should have on disk. */
  | "NOT_SYNCED"
  | "UNAUTHORIZED"
  /** The connection cannot be encrypted, or the server's certificate is not trusted. */
  | "TLS"
  /** A file with credentials cannot be read. */
  | "FILE"
  /** The cluster was made by servers with another `server_key`, or of other partitions. */
  | "OTHER_CLUSTER"
  /** Another node of this name runs. */
  | "NAME_IN_USE"
  /** A server takes no messages as large as batches of a log. */
  | "MAX_PAYLOAD"
  /** There is no such node, or it cannot do what it is to do. */
  | "NODE"
  /** The cluster has queues already, or not yet all of those that are being imported. */
  | "CONTENT"
  /** A stream of the cluster is gone, or cannot be had. */
  | "STREAM"
  /** What the engine has under the cluster's names is not the cluster's. */
  | "BUCKET"
  /** The engine has an older state than before. */
  | "RESTORED";

/** Why a node cannot take part in its cluster. The message says what to do. */
export class EngineError extends Error {
  override readonly name = "EngineError";
  readonly code: EngineErrorCode;

  constructor(code: EngineErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What this node knows is later than what the engine has; `what` says how that is known. */
export function restoredError(what: string): EngineError {
  return new EngineError(
    "RESTORED",
    `NATS has an older state than it had while this node ran: ${what}. What was accepted since then is lost, ` +
      "unless the newer files are put back while all nodes and NATS are stopped: this node stops, start all again",
  );
}

/** This owner does not own the partition any more, or has never come to. */
export class PartitionLostError extends Error {
  override readonly name = "PartitionLostError";
  /** The records of the append are not in the log and never will be; `false`: they may be, or come there. */
  readonly neverStored: boolean;

  constructor(
    message: string,
    { neverStored, cause }: { readonly neverStored: boolean; readonly cause?: unknown },
  ) {
    super(message, { cause });
    this.neverStored = neverStored;
  }
}

/** A partition cannot be loaded: its log or all its snapshots are damaged, or a part of them is missing. */
export class PartitionDamagedError extends Error {
  override readonly name = "PartitionDamagedError";
}
