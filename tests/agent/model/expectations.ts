import type { AgentEvent, ConnectionInfo } from "../../../agent/mod.ts";
import { asciiText, type QueueInfo, textBytes } from "../../../protocol/mod.ts";

/** A message that an application has sent. */
export interface Sent {
  readonly body: string;
  /** Its number; `null` while the agent has not given one. */
  id: number | null;
  /** `unknown`: the program has ended before the agent had said anything. */
  outcome: "pending" | "stored" | "unknown" | "refused";
}

/** Two connections that belong together: one that an invitation was made for and one that was joined by it. */
export interface Pair {
  readonly number: number;
  isDuplex: boolean;
  invitation: QueueInfo | null;
  readonly initiator: Side;
  joiner: Side | null;
  /** How often somebody else has done something to its queues. */
  attacks: number;
}

/** A connection as its application knows it. */
export class Side {
  readonly alias: string;
  readonly pair: Pair;
  readonly role: "initiator" | "joiner";
  /** `null` before the application has seen it. */
  id: string | null = null;
  state: "made" | "live" | "deleting" | "deleted" = "made";
  isSuspended = false;
  isConnected = false;
  readonly sent: Sent[] = [];
  /** Numbers of the messages of which there was a `sent` or an `error` event. */
  readonly settled = new Map<number, "sent" | "error">();
  /** The bodies of the messages that were received, by number, and of those the ones that were whole and in order. */
  readonly received = new Map<number, string>();
  readonly inOrder: string[] = [];
  /** Messages and events that were told and not taken. */
  readonly untaken = new Map<number, string>();
  /** The messages whose acknowledgement the agent has stored, by number, and in which of its lives. */
  readonly taken = new Map<number, number>();

  constructor(alias: string, pair: Pair, role: "initiator" | "joiner") {
    this.alias = alias;
    this.pair = pair;
    this.role = role;
  }

  /** The connection at the other end. */
  get other(): Side | null {
    return this.role === "initiator" ? this.pair.joiner : this.pair.initiator;
  }

  /** Whether it can send at some time. */
  get canSend(): boolean {
    return this.role === "joiner" || this.pair.isDuplex;
  }

  /** Whether it can receive at some time. */
  get canReceive(): boolean {
    return this.role === "initiator" || this.pair.isDuplex;
  }

  /** Whether the application uses it. */
  get isLive(): boolean {
    return this.state === "live";
  }

  /** The body of the next message. */
  next(): Sent {
    const sent: Sent = {
      body: `${this.pair.number}/${this.role}/${this.sent.length}`,
      id: null,
      outcome: "pending",
    };
    this.sent.push(sent);
    return sent;
  }
}

/** What an agent's application has seen and done, over all the agent's lives. Throws when that is not as it must be. */
export class Application {
  readonly sides: Side[] = [];
  /** Messages that the application has done with, and that were told, by their servers' IDs. */
  readonly #doneWith = new Set<string>();
  readonly #told = new Set<string>();
  readonly #acknowledged = new Set<string>();

  /** The connection that has an alias now, or is being made with it. */
  side(alias: string): Side | undefined {
    return this.sides.findLast((side) => side.alias === alias && side.state !== "deleted");
  }

  /** An event was told; `owner` is the ID of the connection that it was stored for. */
  told(event: AgentEvent, { owner, connections, life }: {
    readonly owner: string | undefined;
    readonly connections: readonly ConnectionInfo[];
    /** The number of the agent's life. */
    readonly life: number;
  }): Side | undefined {
    if (!("connection" in event)) return;
    const now = connections.find(({ connection }) => connection === event.connection);
    // Deleted while it was told.
    if (now === undefined) return;
    if (event.eventId !== undefined && owner !== now.id) {
      throw new Error(`"${event.connection}" was told ${event.type} of an earlier connection of that name`);
    }
    const side = this.side(event.connection);
    if (side === undefined) return;
    if (side.id !== null && side.id !== now.id) return;
    if (event.type === "connected") side.isConnected = true;
    // The server of a session's message knows nothing of the application.
    const isAwaited = now.session === null;
    if (event.type === "message") this.#message(side, event.message, { life, isAwaited });
    if (event.type === "sent") side.settled.set(event.id, "sent");
    if (event.type === "error" && event.id !== undefined) side.settled.set(event.id, "error");
    return side;
  }

  /** The application has done with a message: it can be acknowledged from now on. */
  doneWith(serverId: string): void {
    this.#doneWith.add(serverId);
  }

  /** A server has forgotten a message because the agent has acknowledged it. */
  acknowledged(serverId: string): void {
    if (this.#told.has(serverId) && !this.#doneWith.has(serverId)) {
      throw new Error("a message was acknowledged before the application has done with it");
    }
    this.#acknowledged.add(serverId);
  }

  #message(
    side: Side,
    { id, body, integrity, server }: Extract<AgentEvent, { readonly type: "message" }>["message"],
    { life, isAwaited }: { readonly life: number; readonly isAwaited: boolean },
  ): void {
    const text = asciiText(body);
    const before = side.received.get(id);
    if ((side.taken.get(id) ?? life) < life) throw new Error(`message ${id} was told after it was taken`);
    if (before !== undefined && before !== text) throw new Error(`message ${id} was told with another body`);
    if (before !== undefined) return;
    if (isAwaited && this.#acknowledged.has(server.id)) {
      throw new Error(`message ${id} was acknowledged before it was told`);
    }
    if (isAwaited) this.#told.add(server.id);
    for (const earlier of side.received.keys()) {
      if (earlier > id) throw new Error(`message ${id} was told after message ${earlier}`);
    }
    side.received.set(id, text);
    const [pair, role] = text.split("/");
    if (Number(pair) !== side.pair.number || role === side.role) {
      throw new Error(`"${side.alias}" (${side.pair.number}/${side.role}) was told the message ${text}`);
    }
    if (integrity.type === "OK") side.inOrder.push(text);
    else if (side.pair.attacks === 0) throw new Error(`message ${text} has come with ${integrity.type}`);
  }
}

/** What is still to come on the way from a connection to the other one of its pair; `null`: nothing. */
export function missing(from: Side, isInSession: boolean): string | null {
  const to = from.other;
  if (to === null || !from.isLive || !to.isLive) return null;
  const stored = from.sent.filter(({ outcome }) => outcome === "stored");
  for (const { id, body } of stored) {
    const settled = from.settled.get(id!);
    // In a session it waits for another queue, which a side that was suspended does not make, and those after it for it.
    if (settled === undefined && isInSession && to.isSuspended) return null;
    if (settled === undefined) return `${body} was not told to be sent`;
    if (settled === "sent" && !to.inOrder.includes(body)) return `${body} was not received`;
  }
  return null;
}

/** Throws unless what was received is what was sent, in its order, each once. */
export function checkOrder(from: Side): void {
  const to = from.other;
  // Its joining may have failed, and another one may have joined.
  if (to === null || to.other !== from) return;
  const order = from.sent.map(({ body }) => body);
  let last = -1;
  for (const body of to.inOrder) {
    const at = order.indexOf(body);
    if (at <= last) throw new Error(`${body} was received again or out of order: ${to.inOrder.join(" ")}`);
    last = at;
    if (from.sent[at]!.outcome === "refused") {
      throw new Error(`${body} was received though send had refused it`);
    }
  }
  for (const id of from.settled.keys()) {
    const isKnown = from.sent.some((sent) => sent.id === id || sent.outcome !== "stored");
    if (!isKnown) throw new Error(`message ${id} of "${from.alias}" was told to be sent, but it never was`);
  }
}

/** The bytes of a body. */
export function bytesOf(body: string): Uint8Array<ArrayBuffer> {
  return textBytes(body);
}
