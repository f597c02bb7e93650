import { TransportError } from "../error.ts";

/**
 * A byte connection to a peer, of which every unit has a length that both ends know (transport.md Channels).
 *
 * One reader and one writer use it at a time. Every implementation passes the contract suite of the tests.
 */
export interface Channel {
  /**
   * Reads the next unit, exactly `size` bytes; `null` when the peer has ended the connection before it.
   * The bytes are valid until the next call. Throws {@linkcode TransportError}: `TERMINATED` when the connection ends
   * inside the unit, `BLOCK` when a message has another size, `NETWORK`, `CLOSED`.
   */
  read(size: number): Promise<Uint8Array<ArrayBuffer> | null>;
  /** Whether the next unit, of `size` bytes, has come already. Absent: it is not known. */
  isReady?(size: number): boolean;
  /** Whether nothing reads the units any more when `write` has resolved. Absent: something may. */
  readonly releasesWritten?: boolean;
  /** Writes units in order; resolves when the system has taken them. Throws `NETWORK` or `CLOSED`. */
  write(units: readonly Uint8Array<ArrayBuffer>[]): Promise<void>;
  /** Says to the peer that nothing more will be written, after all that was; does not wait for the peer. */
  end(): Promise<void>;
  /**
   * Closes the connection at once: reads and writes under way and later ones fail with `CLOSED`.
   * Resolves when the system has released it; never rejects.
   */
  close(): Promise<void>;
}

/** The error of reads and writes on a channel that this side has closed. */
export function closedError(cause?: unknown): TransportError {
  return new TransportError("CLOSED", "Cannot use the connection: this side has closed it", { cause });
}

/** The error of a connection that ends inside a unit. */
export function terminatedError(read: number, size: number): TransportError {
  return new TransportError(
    "TERMINATED",
    `Cannot read: the peer closed the connection after ${read} of ${size} bytes`,
  );
}

/** The error of a connection that broke. */
export function networkError(action: string, cause: unknown): TransportError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TransportError("NETWORK", `Cannot ${action}: ${reason}`, { cause });
}

/** The error of a message that does not have the size of the unit it should be. */
export function sizeError(found: number | string, size: number): TransportError {
  return new TransportError("BLOCK", `Cannot read: a message of ${size} bytes is expected, not ${found}`);
}
