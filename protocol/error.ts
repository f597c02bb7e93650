/** The errors an SMP server may answer with, as they stand on the wire (smp.md Commands). */
export const smpErrorCodes = [
  "BLOCK",
  "CMD SYNTAX",
  "CMD PROHIBITED",
  "CMD KEY_SIZE",
  "CMD NO_AUTH",
  "CMD HAS_AUTH",
  "CMD NO_QUEUE",
  "AUTH",
  "NO_MSG",
  "QUOTA",
  "SIZE",
  "INTERNAL",
] as const;

/** One of the errors of the SMP protocol, in its wire form. */
export type SmpErrorCode = typeof smpErrorCodes[number];

const explanations: Readonly<Record<SmpErrorCode, string>> = {
  "BLOCK": "the server could not read the transmission",
  "CMD SYNTAX": "the server could not parse the command",
  "CMD PROHIBITED": "the command is not one that this party may send",
  "CMD KEY_SIZE": "the key must have 1024, 2048, 3072 or 4096 bits",
  "CMD NO_AUTH": "the command needs a signature and a queue ID",
  "CMD HAS_AUTH": "the command must not have a signature or queue ID",
  "CMD NO_QUEUE": "the command needs a queue ID",
  "AUTH": "no such queue, or the key or signature does not fit it",
  "NO_MSG": "no message was delivered to this connection",
  "QUOTA": "the queue is full, send again after the recipient has read",
  "SIZE": "the message does not fit a block of the recipient",
  "INTERNAL": "the server failed, its operator has to look",
};

/** The peer answered a command with `ERR`: it had no effect, or after `INTERNAL` may be given again. */
export class SmpError extends Error {
  /** The class name. */
  override readonly name = "SmpError";
  /** The error as it stood on the wire. */
  readonly code: SmpErrorCode;

  /** Wraps the error `code` of a peer's `ERR`; `explanation` is what it means for one command. */
  constructor(code: SmpErrorCode, explanation: string = explanations[code]) {
    super(`Cannot execute the command: ${explanation} (${code})`);
    this.code = code;
  }
}

/**
 * What can go wrong between two peers below the level of commands.
 *
 * | code | meaning |
 * |---|---|
 * | `HEADER` | the server's header has a block size outside 4096..65536 or an unknown protocol |
 * | `RSA_KEY` | the server's transport key cannot be read |
 * | `BAD_HASH` | the server's transport key is not the one of the address, or the address names none |
 * | `AES_KEYS` | the client's session keys could not be decrypted or parsed |
 * | `VERSION` | the server's version cannot be read |
 * | `MAJOR_VERSION` | the server speaks a newer protocol |
 * | `FORWARD_SECRECY` | the server does not offer forward secrecy, and this side wants no connection without it |
 * | `TERMINATED` | the peer closed the connection in the middle of a handshake or a block |
 * | `BLOCK` | a block or WebSocket message has another length than agreed, or its content is too long |
 * | `AES_DECRYPT` | a block is not authentic |
 * | `COUNTER` | the connection has used up its block counter and must be opened anew |
 * | `NETWORK` | the connection cannot be made, or broke |
 * | `TIMEOUT` | the peer did not do in time what it had to |
 * | `BUSY` | more commands wait to be sent than may |
 * | `CLOSED` | this side closed the connection |
 * | `RESPONSE` | the answer to the command cannot be read |
 * | `UNEXPECTED` | the answer is not one that the command can have, or the peer sent what it must not |
 */
export type TransportErrorCode =
  | "HEADER"
  | "RSA_KEY"
  | "BAD_HASH"
  | "AES_KEYS"
  | "VERSION"
  | "MAJOR_VERSION"
  | "FORWARD_SECRECY"
  | "TERMINATED"
  | "BLOCK"
  | "AES_DECRYPT"
  | "COUNTER"
  | "NETWORK"
  | "TIMEOUT"
  | "BUSY"
  | "CLOSED"
  | "RESPONSE"
  | "UNEXPECTED";

/** What a {@linkcode TransportError} is made with. */
export interface TransportErrorOptions extends ErrorOptions {
  /** See {@linkcode TransportError.neverSent}. @default false */
  readonly neverSent?: boolean;
}

/** The connection to the peer failed; the outcome of commands in flight is unknown unless `neverSent`. */
export class TransportError extends Error {
  /** The class name. */
  override readonly name = "TransportError";
  /** What failed; see {@linkcode TransportErrorCode}. */
  readonly code: TransportErrorCode;
  /** Nothing of the command was or will be written, so that it may be given again; `false`: it may have been executed. */
  readonly neverSent: boolean;

  /** Makes an error with a stable `code`, a `message` for people and, in `options.cause`, what led to it. */
  constructor(code: TransportErrorCode, message: string, options: TransportErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.neverSent = options.neverSent ?? false;
  }
}

/** What a text or encoding that cannot be parsed was meant to be. */
export type ParseErrorCode = "ADDRESS" | "QUEUE_INFO" | "PUBLIC_KEY" | "PRIVATE_KEY" | "E2E_BODY";

/** A text or encoding given to the library cannot be parsed; the message says what is wrong and where. */
export class ParseError extends Error {
  /** The class name. */
  override readonly name = "ParseError";
  /** What was being parsed. */
  readonly code: ParseErrorCode;

  /** Makes an error for the kind of thing `code` with a `message` that says what is wrong where. */
  constructor(code: ParseErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
