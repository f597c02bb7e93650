import { equalBytes } from "../../protocol/mod.ts";

/** Whether user messages come whole and in order (agent.md Message integrity). */
export type MessageIntegrity =
  | { readonly type: "OK" }
  /** Messages with these numbers did not come. */
  | { readonly type: "NO_ID"; readonly from: number; readonly to: number }
  /** The number is lower than that of the message before. */
  | { readonly type: "ID"; readonly id: number }
  /** It does not name the message before by its right hash. */
  | { readonly type: "HASH" }
  /** The number is that of the message before, but the message is another one. */
  | { readonly type: "DUPLICATE" };

/** The last user message of one direction. */
export interface LastMessage {
  /** The sender's number of it; 0 before the first. */
  readonly id: number;
  /** SHA-256 of its plaintext, 32 bytes; empty before the first. */
  readonly hash: Uint8Array;
}

/** Compares a message that was received with the last one before it. */
export function checkIntegrity(
  last: LastMessage,
  { id, previousHash }: { readonly id: number; readonly previousHash: Uint8Array },
): MessageIntegrity {
  if (id < last.id) return { type: "ID", id };
  if (id === last.id) return { type: "DUPLICATE" };
  if (id > last.id + 1) return { type: "NO_ID", from: last.id + 1, to: id - 1 };
  return equalBytes(last.hash, previousHash) ? { type: "OK" } : { type: "HASH" };
}

/** The text of an integrity in the plaintext protocol. */
export function formatIntegrity(integrity: MessageIntegrity): string {
  switch (integrity.type) {
    case "OK":
      return "OK";
    case "NO_ID":
      return `ERR NO_ID ${integrity.from} ${integrity.to}`;
    case "ID":
      return `ERR ID ${integrity.id}`;
    case "HASH":
    case "DUPLICATE":
      return `ERR ${integrity.type}`;
    default:
      return integrity satisfies never;
  }
}
