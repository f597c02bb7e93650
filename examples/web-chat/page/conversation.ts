import type {
  AgentError,
  AgentEvent,
  ConnectionInfo,
  MessageIntegrity,
  MessageRecord,
} from "@simplexmq/smp/agent";

/** What the list shows of a conversation. */
export interface Conversation {
  /** The connection's ID: another conversation may have the name of one that was deleted. */
  readonly id: string;
  /** Also the connection's alias. */
  readonly name: string;
  /** `invited`: nobody has used the invitation yet; `connecting`: the two agents exchange keys; `failed`: for good. */
  readonly phase: "invited" | "connecting" | "connected" | "failed";
  readonly canSend: boolean;
  /** Messages that came while it was not open. */
  readonly unread: number;
  /** The number of the last message that was counted or seen. */
  readonly newest: number;
  /** What the person should know of it; `null` when all is well. */
  readonly notice: string | null;
  /** Whether the safety code was compared. */
  readonly verified: boolean;
}

/** What became of a message that was sent. */
export type DeliveryState =
  | { readonly type: "queued" }
  | { readonly type: "sent" }
  /** The other side's agent has told that the person's page has it. */
  | { readonly type: "delivered" }
  | { readonly type: "failed"; readonly reason: string };

/** A message as it is shown. */
export type ChatMessage =
  & { readonly id: number; readonly at: number; readonly text: string }
  & (
    | { readonly from: "me"; readonly delivery: DeliveryState }
    | { readonly from: "them"; readonly integrity: MessageIntegrity }
  );

/** A conversation as the agent has it. */
export function conversationOf(info: ConnectionInfo, isInvited: boolean): Conversation {
  const { id, connection: name, connected, canSend, failed, unreadable, session } = info;
  const phase = failed ? "failed" : connected ? "connected" : isInvited ? "invited" : "connecting";
  const notice = session?.closed
    ? closedText
    : failed
    ? unusableText
    : unreadable === 0
    ? null
    : unreadableText(unreadable);
  return {
    id,
    name,
    phase,
    canSend: canSend && !session?.closed,
    unread: 0,
    newest: 0,
    notice,
    verified: session?.verified ?? false,
  };
}

/** What an event makes of its conversation. */
export function afterEvent(conversation: Conversation, event: AgentEvent, isOpen: boolean): Conversation {
  switch (event.type) {
    case "connected":
      return { ...withoutNotice(conversation, refusedText), phase: "connected", canSend: true };
    case "message": {
      // One of a connection of one direction, which is never told to be connected.
      const phase = conversation.phase === "invited" ? "connecting" : conversation.phase;
      // An event may be told again.
      const isNew = event.message.id > conversation.newest;
      const unread = isOpen ? 0 : conversation.unread + (isNew ? 1 : 0);
      return { ...conversation, phase, unread, newest: Math.max(conversation.newest, event.message.id) };
    }
    case "end":
      return {
        ...conversation,
        notice: "Another program receives this conversation now; reload to have it here again.",
      };
    case "security": {
      const verified = conversation.verified && event.reason !== "session repaired";
      return { ...conversation, verified, notice: securityText(event.reason) };
    }
    case "error":
      // That one message cannot be sent is said at the message, and that a server cannot be reached is not of one.
      if (event.id !== undefined || event.error.code.startsWith("BROKER ")) return conversation;
      return {
        ...conversation,
        notice: isRefusedReply(conversation, event) ? refusedText : noticeText(conversation, event.error),
      };
    case "sent":
    case "delivered":
      return conversation;
    case "route":
      return { ...conversation, notice: routeText(event) ?? conversation.notice };
    case "session":
      if (event.change === "slow") return { ...conversation, notice: slowText };
      return event.change === "closed"
        ? { ...conversation, canSend: false, notice: closedText }
        : withoutNotice(conversation, slowText);
    case "stream offered":
      return { ...conversation, unread: isOpen ? 0 : conversation.unread + 1 };
    case "down":
    case "up":
      return conversation;
    default:
      return event satisfies never;
  }
}

function withoutNotice(conversation: Conversation, text: string): Conversation {
  return conversation.notice === text ? { ...conversation, notice: null } : conversation;
}

/** Whether a server of this side refuses the queue for what the other side sends. */
export function isRefusedReply({ phase }: Conversation, event: AgentEvent): boolean {
  return phase === "connecting" && event.type === "error" && event.id === undefined &&
    event.error.code === "SMP AUTH";
}

/** Whether an event is one that a person wants to know of; it may be told again. */
export function isNews({ newest }: Conversation, event: AgentEvent): boolean {
  return event.type === "stream offered" || event.type === "message" && event.message.id > newest;
}

/** A stored message as it is shown; `queued` has the numbers of those that wait to be sent. */
export function messageOf(record: MessageRecord, queued: ReadonlySet<number>): ChatMessage {
  const { id, at, body, done, delivered, received } = record;
  const text = new TextDecoder().decode(body);
  if (received !== null) return { id, at, text, from: "them", integrity: received.integrity };
  const delivery: DeliveryState = delivered
    ? { type: "delivered" }
    : done
    ? { type: "sent" }
    : queued.has(id)
    ? { type: "queued" }
    : { type: "failed", reason: "the other side's queue is gone" };
  return { id, at, text, from: "me", delivery };
}

/** What the list and the head of a conversation say of it. */
export function phaseText({ phase, verified }: Conversation): string {
  switch (phase) {
    case "invited":
      return "waiting for somebody to join";
    case "connecting":
      return "connecting…";
    case "connected":
      return `connected, end-to-end encrypted${verified ? ", verified" : ""}`;
    case "failed":
      return "not connected";
    default:
      return phase satisfies never;
  }
}

/** What is said of a message's delivery. */
export function deliveryText(delivery: DeliveryState): string {
  switch (delivery.type) {
    case "queued":
      return "queued";
    case "sent":
      return "✓ sent";
    case "delivered":
      return "✓✓ delivered";
    case "failed":
      return `not sent: ${delivery.reason}`;
    default:
      return delivery satisfies never;
  }
}

/** What is said of a message that did not come whole and in order; `null` when it did. */
export function integrityText(integrity: MessageIntegrity): string | null {
  switch (integrity.type) {
    case "OK":
      return null;
    case "NO_ID": {
      const count = integrity.to - integrity.from + 1;
      return count === 1
        ? "A message before this one is missing."
        : `${count} messages before this one are missing.`;
    }
    case "ID":
      return "This message is older than the one before: the order was changed.";
    case "HASH":
      return "A message before this one was changed.";
    case "DUPLICATE":
      return "Two different messages came in the same place.";
    default:
      return integrity satisfies never;
  }
}

const closedText = "The other side has deleted this conversation: nothing can be sent any more.";
const refusedText =
  "A server takes no new conversations from you: save Servers under More, which asks for its password.";
const slowText = "The other side does not answer yet. What you write waits until it does.";

const unusableText =
  "The invitation was used before, or is gone: ask for a new one, and delete this conversation.";

function noticeText({ phase }: Conversation, error: AgentError): string {
  return phase === "failed" ? unusableText : errorText(error);
}

/** What an error means for the person. */
export function errorText({ code, message }: AgentError): string {
  if (code === "SMP AUTH") return "The server does not have this conversation's queue any more.";
  if (code.startsWith("AGENT ")) return unreadableText(1);
  if (code.startsWith("BROKER ")) return "The server cannot be reached.";
  return message;
}

/** What is said when a conversation has moved to another server; `null` when it has not. */
function routeText(
  { direction, change, from, to }: Extract<AgentEvent, { readonly type: "route" }>,
): string | null {
  if (change !== "moved" || from === to || to === null) return null;
  const what = direction === "sending" ? "What you send" : "What you receive";
  return `${what} goes through ${to.replace(/#.*/, "")} now.`;
}

function unreadableText(count: number): string {
  return count === 1
    ? "A message came that could not be read; it was dropped."
    : `${count} messages came that could not be read; they were dropped.`;
}

function securityText(reason: Extract<AgentEvent, { readonly type: "security" }>["reason"]): string {
  switch (reason) {
    case "second confirmation":
      return "Somebody else has tried to use the same invitation and was refused. Ask whom you talk to whether that was them.";
    case "confirmation not approved":
      return "Somebody who was not approved has tried to join.";
    case "session out of step":
      return "What comes cannot be decrypted: one of you may have restored a backup.";
    case "session repaired":
      return "One of you has restored a backup, and the encryption was set up anew. Compare the safety code again.";
    default:
      return reason satisfies never;
  }
}
