import type { ServerAddress } from "../protocol/mod.ts";
import type { AgentError } from "./protocol/error.ts";
import type { MessageIntegrity } from "./protocol/integrity.ts";

/** A message that another agent's client sent. */
export interface ReceivedMessage {
  /** Its number in the connection, sent and received ones together. */
  readonly id: number;
  /** When this agent stored it. */
  readonly receivedAt: Date;
  /** What was sent, raw. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** Whether it is whole and in order. */
  readonly integrity: MessageIntegrity;
  /** The server's ID (base64) of the message and when the server took it. */
  readonly server: { readonly id: string; readonly at: Date };
  /** The sender's number of the message and when it was made. */
  readonly sender: { readonly id: number; readonly at: Date };
}

/** What an agent tells its client. */
export type AgentEvent =
  /** Both sides can send; for a connection of one direction: this side can. */
  | { readonly type: "connected"; readonly connection: string }
  | { readonly type: "message"; readonly connection: string; readonly message: ReceivedMessage }
  /** The server has the message with this number. */
  | { readonly type: "sent"; readonly connection: string; readonly id: number }
  /** Another program has subscribed to the connection's queue: nothing more comes from it here. */
  | { readonly type: "end"; readonly connection: string }
  /** The server of these connections cannot be reached; they are subscribed again when it can. */
  | { readonly type: "down"; readonly server: ServerAddress; readonly connections: readonly string[] }
  /** The server is back, and these connections are subscribed. */
  | { readonly type: "up"; readonly server: ServerAddress; readonly connections: readonly string[] }
  /** Something has failed for good, or the other agent did what it must not; `id`: the message that is not sent. */
  | { readonly type: "error"; readonly connection: string; readonly error: AgentError; readonly id?: number }
  /** Somebody besides the one who joined has tried to, or was not approved. */
  | {
    readonly type: "security";
    readonly connection: string;
    readonly reason: "second confirmation" | "confirmation not approved";
  };
