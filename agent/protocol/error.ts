import { ParseError, SmpError, type SmpErrorCode, TransportError } from "../../protocol/mod.ts";

/** What may be wrong below SMP, as agents name it (agent.md Plaintext agent protocol). */
export type BrokerTransportError =
  | "BLOCK"
  | "AES_ENCRYPT"
  | "AES_DECRYPT"
  | "ENCRYPT"
  | "DECRYPT"
  | "VERSION"
  | "RSA_KEY"
  | "HEADER"
  | "AES_KEYS"
  | "BAD_HASH"
  | "MAJOR_VERSION"
  | "TERMINATED";

/**
 * The errors of an agent, as they stand in its plaintext protocol; `INTERNAL` is followed by a quoted text there.
 *
 * | code | meaning |
 * |---|---|
 * | `CMD …` | the command cannot be parsed, is not for clients, names no connection, has a wrong size or is too large |
 * | `CONN …` | there is no such connection, it is there already, it has one queue alone, or too much waits |
 * | `SMP …` | the server's answer to the command |
 * | `BROKER …` | the server could not be reached or gave no proper answer |
 * | `AGENT …` | the other agent's message cannot be parsed, is not allowed now, or is not authentic |
 * | `INTERNAL` | the agent itself failed |
 */
export type AgentErrorCode =
  | `CMD ${"PROHIBITED" | "SYNTAX" | "NO_CONN" | "SIZE" | "LARGE"}`
  | `CONN ${"UNKNOWN" | "DUPLICATE" | "SIMPLEX" | "FULL"}`
  | `SMP ${SmpErrorCode}`
  | `BROKER ${`RESPONSE ${SmpErrorCode}` | "UNEXPECTED" | "NETWORK" | "TIMEOUT"}`
  | `BROKER TRANSPORT ${BrokerTransportError}`
  | `AGENT ${"A_MESSAGE" | "A_PROHIBITED" | "A_ENCRYPTION" | "A_SIGNATURE"}`
  | "INTERNAL";

/** An agent could not do what it was asked to, or was sent something that it cannot take. */
export class AgentError extends Error {
  /** The class name. */
  override readonly name = "AgentError";
  /** What failed; see {@linkcode AgentErrorCode}. */
  readonly code: AgentErrorCode;

  /** Makes an error with a stable `code`, a `message` for people and, in `options.cause`, what led to it. */
  constructor(code: AgentErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The error of an agent for anything that was thrown while it worked. */
export function agentError(error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  if (error instanceof SmpError) return new AgentError(`SMP ${error.code}`, error.message, { cause: error });
  if (error instanceof TransportError) {
    return new AgentError(brokerCode(error), error.message, { cause: error });
  }
  if (error instanceof ParseError) return new AgentError("CMD SYNTAX", error.message, { cause: error });
  const message = error instanceof Error ? error.message : String(error);
  return new AgentError("INTERNAL", message, { cause: error });
}

/** There is no connection with an alias. */
export function unknownConnection(alias: string): AgentError {
  return new AgentError("CONN UNKNOWN", `There is no connection "${alias}"`);
}

function brokerCode({ code }: TransportError): AgentErrorCode {
  switch (code) {
    case "TIMEOUT":
    case "UNEXPECTED":
      return `BROKER ${code}`;
    case "RESPONSE":
      return "BROKER RESPONSE CMD SYNTAX";
    case "NETWORK":
    case "BUSY":
    case "CLOSED":
    case "COUNTER":
      return "BROKER NETWORK";
    case "FORWARD_SECRECY":
      return "BROKER TRANSPORT VERSION";
    default:
      return `BROKER TRANSPORT ${code}`;
  }
}
