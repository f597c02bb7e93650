import type {
  Connection,
  ConnectionRecord,
  Delivery,
  Discarded,
  EventRecord,
  FrameRecord,
  HeldFrame,
  InboundRoute,
  MessageRecord,
  OutboundRoute,
  OutboxEntry,
  PieceRecord,
  QueuedDelivery,
  ReceivingRoute,
  SendingRoute,
  Session,
  UndeliveredMessage,
} from "./records.ts";

export type * from "./records.ts";

/** One change of what is stored; "put" makes something or replaces it. */
export type StoreChange =
  | { readonly type: "put connection"; readonly record: ConnectionRecord }
  /** With all that belongs to it. */
  | { readonly type: "delete connection"; readonly connection: string }
  /** `withKeys`: its keys have changed too; always so for a new route. */
  | {
    readonly type: "put receiving";
    readonly connection: string;
    readonly route: ReceivingRoute;
    readonly withKeys: boolean;
  }
  | {
    readonly type: "put sending";
    readonly connection: string;
    readonly route: SendingRoute;
    readonly withKeys: boolean;
  }
  | { readonly type: "delete receiving"; readonly connection: string; readonly id: string }
  /** With its deliveries. */
  | { readonly type: "delete sending"; readonly connection: string; readonly id: string }
  | {
    readonly type: "put session";
    readonly connection: string;
    readonly session: Session;
    readonly withKeys: boolean;
  }
  /** Its frames and routes stay. */
  | { readonly type: "delete session"; readonly connection: string }
  | {
    readonly type: "put inbound";
    readonly connection: string;
    readonly route: InboundRoute;
    readonly withKeys: boolean;
  }
  /** With the pieces that came on it. */
  | { readonly type: "delete inbound"; readonly connection: string; readonly id: string }
  | {
    readonly type: "put outbound";
    readonly connection: string;
    readonly route: OutboundRoute;
    readonly withKeys: boolean;
  }
  | { readonly type: "delete outbound"; readonly connection: string; readonly id: string }
  | { readonly type: "put frame"; readonly frame: FrameRecord }
  | { readonly type: "delete frame"; readonly connection: string; readonly number: number }
  | { readonly type: "put held"; readonly held: HeldFrame }
  | { readonly type: "delete held"; readonly connection: string; readonly number: number }
  | { readonly type: "put piece"; readonly piece: PieceRecord }
  /** All of one message on one route. */
  | {
    readonly type: "delete pieces";
    readonly connection: string;
    readonly route: string;
    readonly tag: string;
  }
  | { readonly type: "put outbox"; readonly entry: OutboxEntry }
  | { readonly type: "put delivery"; readonly delivery: Delivery }
  /** The entry of the outbox goes with its last delivery. */
  | {
    readonly type: "delete delivery";
    readonly connection: string;
    readonly route: string;
    readonly position: number;
  }
  | { readonly type: "put message"; readonly message: MessageRecord }
  | { readonly type: "message done"; readonly connection: string; readonly id: number }
  /** The other side's application has acknowledged it. */
  | { readonly type: "message delivered"; readonly connection: string; readonly id: number }
  | { readonly type: "put event"; readonly event: EventRecord }
  | { readonly type: "delete event"; readonly id: number }
  | { readonly type: "put discarded"; readonly queue: Discarded }
  | { readonly type: "delete discarded"; readonly id: string };

/** Which messages are asked for. */
export interface MessageQuery {
  /** Only those with a lower number. @default all */
  readonly before?: number;
  /** At most so many, the newest. @default 100 */
  readonly limit?: number;
}

/** Where an agent keeps connections and messages. A failed call rejects with `StoreError`. */
export interface AgentStore extends AsyncDisposable {
  /** All connections, oldest first. */
  connections(): Promise<Connection[]>;
  /** The queues that servers have still to delete. */
  discarded(): Promise<Discarded[]>;
  /** The IDs of the sending routes that have something to send. */
  waitingRoutes(): Promise<string[]>;
  /** The first deliveries of a sending route by position, at most `limit`. */
  deliveries(route: string, limit: number): Promise<QueuedDelivery[]>;
  /** Frames of a connection with a greater number than `after`, at most `limit`, in order. */
  frames(connection: string, after: number, limit: number): Promise<FrameRecord[]>;
  /** The held frame with a number. */
  held(connection: string, number: number): Promise<HeldFrame | null>;
  /** All pieces of a connection's unfinished messages, by the time of the first piece, then route, tag and index. */
  pieces(connection: string): Promise<PieceRecord[]>;
  /** Messages sent in a session and not delivered, with numbers from `from` to `to`, at most `limit`, in order. */
  undelivered(connection: string, from: number, to: number, limit: number): Promise<UndeliveredMessage[]>;
  /** One message. */
  message(connection: string, id: number): Promise<MessageRecord | null>;
  /** Messages of a connection, oldest first. */
  messages(connection: string, query?: MessageQuery): Promise<MessageRecord[]>;
  /** Events with a greater number than `after`, at most `limit`, in order. */
  events(after: number, limit: number): Promise<EventRecord[]>;
  /**
   * Makes all changes or none; they survive the end of the program when this resolves. A change of what belongs to a
   * connection that is not there fails, but a deletion of what is not there does nothing.
   */
  commit(changes: readonly StoreChange[], options?: CommitOptions): Promise<void>;
  /** Removes messages stored before a time (milliseconds since 1970) that are done; gives how many. */
  prune(before: number): Promise<number>;
  /**
   * All that is stored, as changes that make it in an empty store: the state of one moment, while commits go on.
   * Returning from the iterator early lets go of what it holds.
   */
  snapshot(): AsyncIterable<StoreChange>;
}

/** How changes are stored. */
export interface CommitOptions {
  /**
   * A power cut may undo the changes, as if it had come before, with all that are stored after them: the disk is not waited
   * for. The end of the program undoes none. @default false
   */
  readonly mayBeLost?: boolean;
}

/** A store cannot be used; the message says what is wrong and what to do. */
export class StoreError extends Error {
  /** The class name. */
  override readonly name = "StoreError";
  /** `OPEN`: it cannot be opened; `PASSPHRASE`: missing or wrong; `IN_USE`: by another agent; `WRITE`, `READ`: the disk. */
  readonly code: "OPEN" | "PASSPHRASE" | "IN_USE" | "WRITE" | "READ";

  /** Makes an error with a stable `code` and a `message` for people. */
  constructor(code: StoreError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
