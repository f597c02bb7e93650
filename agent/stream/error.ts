import { streamReasons } from "../../protocol/mod.ts";

/**
 * Why a stream has ended. `REFUSED`: the receiver does not want it. `TOO_MANY`: as many are offered or open as may be.
 * `EXPIRED`: nobody has accepted it in time. `CANCELLED`: one side does not want to go on. `CHANGED`: the file is another
 * one than was offered. `LOST`: what is sent is not there any more, or cannot be read again. `SIZE`: it is longer or
 * shorter than was said. `PROTOCOL`: the other side does not keep to the rules. `HASH`: what came has another SHA-256.
 * `FAILED`: one side cannot go on. `NO_ROOM`: the disk is full; it has not ended, and the file can be received again from
 * where it is, when there is room. `CLOSED`: the connection has ended, or the agent was closed. `UNSUPPORTED`: there is no
 * session, or the other side knows no streams.
 */
export type StreamErrorCode =
  | "REFUSED"
  | "TOO_MANY"
  | "EXPIRED"
  | "CANCELLED"
  | "CHANGED"
  | "LOST"
  | "SIZE"
  | "PROTOCOL"
  | "HASH"
  | "FAILED"
  | "NO_ROOM"
  | "CLOSED"
  | "UNSUPPORTED";

/** A stream has ended before all of it was received. */
export class StreamError extends Error {
  /** The class name. */
  override readonly name = "StreamError";
  /** What tells errors apart. */
  readonly code: StreamErrorCode;
  /** Whether the other side has said so, and the words it has for it, which are not to be trusted; `null`: it has not. */
  readonly told: string | null;

  /** Makes an error with a stable `code` and a `message` for people. */
  constructor(code: StreamErrorCode, message: string, options?: ErrorOptions & { readonly told?: string }) {
    super(message, options);
    this.code = code;
    this.told = options?.told ?? null;
  }
}

const codes: ReadonlyMap<number, StreamErrorCode> = new Map([
  [streamReasons.refused, "REFUSED"],
  [streamReasons.tooMany, "TOO_MANY"],
  [streamReasons.expired, "EXPIRED"],
  [streamReasons.cancelled, "CANCELLED"],
  [streamReasons.changed, "CHANGED"],
  [streamReasons.lost, "LOST"],
  [streamReasons.size, "SIZE"],
  [streamReasons.protocol, "PROTOCOL"],
  [streamReasons.hash, "HASH"],
  [streamReasons.failed, "FAILED"],
]);

/** The error for a reason that the other side has told. */
export function toldError(reason: number, text: string): StreamError {
  const code = codes.get(reason) ?? "FAILED";
  return new StreamError(code, `The other side has ended the stream: ${code}`, { told: text });
}

/** The reason that the other side is told for an error. */
export function reasonOf({ code }: StreamError): number {
  for (const [reason, other] of codes) if (other === code) return reason;
  return streamReasons.failed;
}
