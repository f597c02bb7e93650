/** The queue that this side receives from. */
export type ReceivingStatus = "none" | "new" | "confirmed" | "secured" | "active";

/** The queue that this side sends to. */
export type SendingStatus = "none" | "new" | "confirmed" | "active";

/** How far a duplex connection is (agent.md Duplex procedure). */
export interface ConnectionState {
  /** Whether this side made the invitation or joined by it. */
  readonly role: "initiator" | "joiner";
  /** Joiner: whether there is to be a queue for the other direction. */
  readonly reply: boolean;
  /** How far the queue to receive from is. */
  readonly receiving: ReceivingStatus;
  /** How far the queue to send to is. */
  readonly sending: SendingStatus;
  /** Whether the client was told that the connection is there. */
  readonly connected: boolean;
}

/** What happens to a connection. */
export type ConnectionEvent =
  /** The peer's agent sent this, decrypted and, where it can be, verified. */
  | { readonly type: "received"; readonly message: "KEY" | "HELLO" | "REPLY" | "MSG" }
  /** The server has taken the sender's key. */
  | { readonly type: "secured" }
  /** The server has made the queue for the other direction. */
  | { readonly type: "reply queue made" }
  /** The server has taken this message. */
  | { readonly type: "sent"; readonly message: "KEY" | "HELLO" | "REPLY" | "MSG" };

/** What has to be done because of an event. */
export type ConnectionEffect =
  /** Give the sender's key to the server. */
  | "secure"
  /** Make the keys of the sending queue and send KEY and HELLO to it. */
  | "answer"
  /** Tell the client that the connection is there. */
  | "connected"
  /** Give the message to the client. */
  | "deliver"
  /** Tell the client that the peer did what is not allowed now. */
  | "prohibited";

/** A state and what has to be done to be in it. */
export interface Transition {
  readonly state: ConnectionState;
  readonly effects: readonly ConnectionEffect[];
}

/** A connection that was just made. */
export function newConnection(role: "initiator" | "joiner", reply: boolean): ConnectionState {
  return role === "initiator"
    ? { role, reply, receiving: "new", sending: "none", connected: false }
    : { role, reply, receiving: "none", sending: "new", connected: false };
}

/** What an event makes of a connection: anything out of order changes nothing. */
export function transition(state: ConnectionState, event: ConnectionEvent): Transition {
  switch (event.type) {
    case "received":
      return received(state, event.message);
    case "secured":
      return state.receiving === "confirmed" ? to(state, { receiving: "secured" }) : to(state, {});
    case "reply queue made":
      return state.receiving === "none" && isDuplexJoiner(state)
        ? to(state, { receiving: "new" })
        : to(state, {});
    case "sent":
      return sent(state, event.message);
    default:
      return event satisfies never;
  }
}

function received(state: ConnectionState, message: "KEY" | "HELLO" | "REPLY" | "MSG"): Transition {
  const { role, receiving, sending } = state;
  switch (message) {
    case "KEY":
      // One that is confirmed but not secured was interrupted: the same confirmation comes again.
      if (receiving !== "new" && receiving !== "confirmed") break;
      return to(state, { receiving: "confirmed" }, "secure");
    case "HELLO":
      if (receiving !== "secured") break;
      return role === "joiner"
        ? to(state, { receiving: "active", connected: true }, "connected")
        : to(state, { receiving: "active" });
    case "REPLY":
      if (role !== "initiator" || receiving !== "active" || sending !== "none") break;
      return to(state, { sending: "new" }, "answer");
    case "MSG":
      if (receiving !== "active") break;
      return to(state, {}, "deliver");
    default:
      return message satisfies never;
  }
  return { state, effects: ["prohibited"] };
}

function sent(state: ConnectionState, message: "KEY" | "HELLO" | "REPLY" | "MSG"): Transition {
  const { sending, connected } = state;
  if (message === "KEY" && sending === "new") return to(state, { sending: "confirmed" });
  if (message !== "HELLO" || sending !== "confirmed") return to(state, {});
  // A duplex joiner waits for the other side's HELLO.
  const isThere = !connected && !isDuplexJoiner(state);
  return isThere
    ? to(state, { sending: "active", connected: true }, "connected")
    : to(state, { sending: "active" });
}

function isDuplexJoiner({ role, reply }: ConnectionState): boolean {
  return role === "joiner" && reply;
}

function to(
  state: ConnectionState,
  change: Partial<ConnectionState>,
  ...effects: readonly ConnectionEffect[]
): Transition {
  return { state: { ...state, ...change }, effects };
}
