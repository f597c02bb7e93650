/**
 * Why a link ended.
 *
 * | code | meaning |
 * |---|---|
 * | `FRAME` | the peer sent what cannot be read, or what it must not send |
 * | `GAP` | a batch is missing |
 * | `ENDED` | the peer has ended the link |
 * | `NETWORK` | the link cannot be made, or broke |
 * | `SILENT` | the peer says nothing, although it was asked |
 * | `CLOSED` | this side has closed the link |
 */
export type LinkErrorCode = "FRAME" | "GAP" | "ENDED" | "NETWORK" | "SILENT" | "CLOSED";

/** A link to another process of the server ended; what was written to it may have been read or not. */
export class LinkError extends Error {
  override readonly name = "LinkError";
  readonly code: LinkErrorCode;

  constructor(code: LinkErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The error of bytes that are no frame. */
export function frameError(reason: string): LinkError {
  return new LinkError("FRAME", `Cannot read a frame: ${reason}`);
}
