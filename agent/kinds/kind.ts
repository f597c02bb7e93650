import type { Part, SmpErrorCode } from "../../protocol/mod.ts";
import type { Received, Step } from "../core/types.ts";
import type { Connection, Delivery, ReceivingRoute, SendingRoute } from "../store/store.ts";

/** What every message but `KEY` has. */
export interface Head {
  /** The sender's number of its user messages, from 1; 0 for others. */
  readonly id: number;
  /** When the sender made it; whole milliseconds. */
  readonly timestamp: Date;
  /** SHA-256 of the previous user message's plaintext, 32 bytes, empty for the first; others announce extensions here. */
  readonly previousHash: Uint8Array<ArrayBuffer>;
}

/** Where a message has come to. */
export interface Arrival<M> {
  readonly connection: Connection;
  readonly route: ReceivingRoute;
  readonly received: Received<M>;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** What becomes of a delivery that a server has refused. */
export type Verdict = "retry" | "sent" | "failed";

/** All there is to one kind of agent message: bytes, what it does when it comes and when it is sent. */
export interface Kind<M extends { readonly type: string }> {
  /** Whether a head with number, time and hash comes before the content. */
  readonly hasHead: boolean;
  /** Whether SEND is signed with the route's sender key. */
  readonly isSigned: boolean;
  /** Whether nothing else can be sent on a route on which it has failed. */
  readonly isEssential: boolean;
  /** The content, without the newline at its end. */
  encode(message: M): readonly Part[];
  /** Parses a content with its last newline; `null`, or throws `ParseError`, when it is none of this kind. */
  parse(content: Uint8Array): Omit<M, keyof Head> | null;
  /** What it does; `null`: it is not allowed now. */
  receive(arrival: Arrival<M>): Step | null;
  /** What changes when a server has taken it. */
  sent(connection: Connection, route: SendingRoute): Connection;
  /** What to do when a server has refused it with another error than those that pass by themselves. */
  refused(code: SmpErrorCode, delivery: Delivery): Verdict;
}
