import type { AgentEvent, OfConnection } from "../events.ts";
import type { StreamOffer } from "../stream/types.ts";
import type { Extension, ServiceResponse } from "./command.ts";
import type { RequestId } from "./json.ts";

/** A session, as it is told what happens. */
export interface Subscriber {
  /** Whether what can wait should. */
  readonly isFull: boolean;
  /** Whether messages wait for its ACK. */
  readonly acknowledges: boolean;
  /** What it has asked to be told besides. */
  readonly extensions: ReadonlySet<Extension>;
  /** Says something; `about`: the ID of the connection, for notifications. Rejects when it was not written. */
  say(id: RequestId | null, alias: string, response: ServiceResponse, about?: string): Promise<void>;
  /** Tells of a stream that the other side of its connection offers; `about`: the connection's ID. */
  offered(offer: StreamOffer, about: string): void;
  /** Takes back the notifications of a connection that are not being written. */
  drop(about: string): void;
  /** Resolves when it is not full, or gone. */
  room(): Promise<void>;
}

/** Who is told of a connection. */
export interface Watch {
  readonly alias: string;
  owner: Subscriber | null;
  /** Events that are not told again: they are being written, or wait for ACK. */
  told: Set<number>;
  /** Events of messages that wait for ACK, by the number of the message. */
  unacknowledged: Map<number, number>;
  /** Whether there are events that the owner had no room for; later ones wait too. */
  isBehind: boolean;
}

/** Events of one connection that are told when they happen, or later. */
export type Told = Extract<
  AgentEvent,
  OfConnection & {
    readonly type:
      | "connected"
      | "message"
      | "sent"
      | "delivered"
      | "route"
      | "session"
      | "error"
      | "security";
  }
>;

/** Gives a connection to another session, or to none: it was told nothing yet. */
export function setOwner(watch: Watch, owner: Subscriber | null): void {
  watch.owner = owner;
  watch.told = new Set();
  watch.unacknowledged = new Map();
  watch.isBehind = false;
}

/** How an event is told. */
export function responseTo(event: Told): ServiceResponse {
  switch (event.type) {
    case "connected":
      return { type: "CON" };
    case "message":
      return { type: "MSG", message: event.message };
    case "sent":
      return { type: "SENT", id: event.id };
    case "delivered":
      return { type: "RCVD", id: event.id };
    case "route": {
      const { direction, change, from, to } = event;
      return { type: "ROUTE", direction, change, from, to };
    }
    case "session":
      return { type: "SESSION", change: event.change };
    case "error": {
      const { error: { code: error, message }, id } = event;
      return { type: "ERR", error, message, ...(id !== undefined && { id }) };
    }
    case "security":
      return { type: "SECURITY", reason: event.reason };
    default:
      return event satisfies never;
  }
}
