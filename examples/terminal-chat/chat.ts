import type {
  Agent,
  AgentEvent,
  ConnectionInfo,
  MessageIntegrity,
  MessageRecord,
} from "@simplexmq/smp/agent";
import {
  formatAddress,
  formatQueueInfo,
  ParseError,
  parseQueueInfo,
  type ServerAddress,
} from "@simplexmq/smp/protocol";
import type { Files } from "./files.ts";
import { helpLines, type Input } from "./input.ts";
import { harmless, type Kind } from "./screen.ts";

/** Shows a line. */
export type Show = (text: string, kind?: Kind) => void;

/** Messages that `/history` shows. */
const historyLength = 20;

/** Does what was typed; gives `false` when the person wants to leave. Rejects when the agent cannot do it. */
export async function execute(
  agent: Agent,
  input: Input,
  { show, files, codes }: {
    readonly show: Show;
    readonly files: Files;
    /** The safety codes that were shown, by name. */
    readonly codes: Map<string, string>;
  },
): Promise<boolean> {
  switch (input.type) {
    case "create": {
      const { invitation } = await agent.create(input.name);
      show(`give this to ${input.name} over a channel that nobody can change:`, "notice");
      show(formatQueueInfo(invitation));
      break;
    }
    case "accept":
      if (!isInvitation(input.invitation)) {
        show("this is not a whole invitation: copy all of the line that begins with smp::", "warning");
        break;
      }
      await agent.join(input.invitation, { alias: input.name });
      show(`accepting the invitation of ${input.name} …`, "notice");
      break;
    case "send": {
      const id = await agent.send(input.name, new TextEncoder().encode(input.text));
      show(`[${id}] to ${input.name}: ${harmless(input.text)}`, "sent");
      break;
    }
    case "file":
      files.send(input.name, input.path);
      break;
    case "receive":
      files.accept(input.number, input.path);
      break;
    case "refuse":
      await files.refuse(input.number);
      break;
    case "cancel":
      await files.cancel(input.number);
      break;
    case "files":
      files.list();
      break;
    case "connections": {
      const connections = agent.connections();
      if (connections.length === 0) show("there is nobody yet; /c NAME makes an invitation", "notice");
      for (const connection of connections) show(connectionLine(connection));
      break;
    }
    case "history": {
      const messages = await agent.messages(input.name, { limit: historyLength });
      if (messages.length === 0) show(`there are no messages with ${input.name}`, "notice");
      for (const message of messages) {
        show(historyLine(message), message.received === null ? "sent" : "received");
      }
      break;
    }
    case "code": {
      const code = agent.safetyCode(input.name);
      if (code === null) {
        show(`${input.name} has no session, and so no safety code`, "warning");
        break;
      }
      show(
        `compare this with what ${input.name} sees; when it is the same, /verify ${input.name}:`,
        "notice",
      );
      codes.set(input.name, code);
      const groups = code.split(" ");
      for (let at = 0; at < groups.length; at += 4) show(groups.slice(at, at + 4).join(" "));
      break;
    }
    case "verify":
      // That which was shown: the session may have been repaired meanwhile.
      await agent.verify(input.name, input.isVerified && (codes.get(input.name) ?? true));
      show(`${input.name} is ${input.isVerified ? "verified" : "not verified any more"}`, "notice");
      break;
    case "delete":
      await agent.delete(input.name);
      show(`${input.name} and all messages are deleted`, "notice");
      break;
    case "help":
      for (const line of helpLines) show(line);
      break;
    case "wrong":
      show(input.message, "warning");
      break;
    case "nothing":
      break;
    case "quit":
      return false;
    default:
      return input satisfies never;
  }
  return true;
}

function isInvitation(text: string): boolean {
  try {
    parseQueueInfo(text);
    return true;
  } catch (error) {
    if (error instanceof ParseError) return false;
    throw error;
  }
}

/** Shows what happens. */
export function showEvent(event: AgentEvent, show: Show): void {
  switch (event.type) {
    case "connected":
      return show(`${event.connection} is connected`, "notice");
    case "message": {
      const { body, integrity } = event.message;
      const warning = integrityWarning(integrity);
      if (warning !== null) show(`from ${event.connection}: ${warning}`, "warning");
      return show(`${event.connection}: ${harmless(new TextDecoder().decode(body))}`, "received");
    }
    case "sent":
      return show(`[${event.id}] ✓ the server of ${event.connection} has it`, "notice");
    case "delivered":
      return show(`[${event.id}] ✓✓ ${event.connection} has it`, "notice");
    case "end":
      return show(`another program receives the messages of ${event.connection} now`, "warning");
    case "down":
      return show(`${placeOf(event.server)} cannot be reached: ${event.connections.join(", ")}`, "warning");
    case "up":
      return show(`${placeOf(event.server)} is back: ${event.connections.join(", ")}`, "notice");
    case "error": {
      const { message, code } = event.error;
      const again = code.startsWith("BROKER ") ? "; trying again" : "";
      return show(`${event.connection}: ${harmless(message)} (${code})${again}`, "warning");
    }
    case "route":
      // A queue that is replaced by another one on the same server is nothing to see.
      if (event.from === event.to) return;
      return show(`${event.connection}: ${routeText(event)}`, "notice");
    case "session":
      return show(...sessionText(event));
    case "stream offered":
      return;
    case "security":
      return show(`${event.connection}: ${securityText(event.reason)}`, "warning");
    default:
      return event satisfies never;
  }
}

function securityText(reason: Extract<AgentEvent, { readonly type: "security" }>["reason"]): string {
  switch (reason) {
    case "session out of step":
      return "nothing can be decrypted: one side may be a restored backup";
    case "session repaired":
      return "one side was a restored backup: the session was made anew, compare the safety code again";
    case "second confirmation":
    case "confirmation not approved":
      return `${reason}: somebody else has the invitation`;
    default:
      return reason satisfies never;
  }
}

function sessionText(
  { connection, change }: Extract<AgentEvent, { readonly type: "session" }>,
): [text: string, kind: "notice" | "warning"] {
  switch (change) {
    case "active":
      return [`${connection}: forward secret from now on`, "notice"];
    case "closed":
      return [`${connection} has deleted the connection`, "warning"];
    case "slow":
      return [`${connection} does not answer yet: messages wait`, "notice"];
    default:
      return change satisfies never;
  }
}

/** What is wrong with a message; `null` when it is whole and in order. */
function routeText({ direction, change, from, to }: Extract<AgentEvent, { readonly type: "route" }>): string {
  const messages = direction === "receiving" ? "what you receive" : "what you send";
  const [before, now] = [from, to].map((server) => server?.replace(/#.*/, ""));
  switch (change) {
    case "moved":
      return `${messages} has moved from ${before} to ${now}`;
    case "added":
      return `${messages} comes through ${now} too`;
    case "ended":
      return `${messages} does not come through ${before} any more`;
    case "refused":
      return `the other side cannot use ${now}`;
    default:
      return change satisfies never;
  }
}

function integrityWarning(integrity: MessageIntegrity): string | null {
  switch (integrity.type) {
    case "OK":
      return null;
    case "ID":
      return "this message comes late, or again";
    case "HASH":
      return "the message before this one was another one";
    case "NO_ID":
      return `messages ${integrity.from} to ${integrity.to} are missing`;
    case "DUPLICATE":
      return "this is another message with the number of the last one";
    default:
      return integrity satisfies never;
  }
}

function connectionLine({ connection, connected, canSend, unreadable, session }: ConnectionInfo): string {
  const parts = [connected ? "connected" : canSend ? "connecting" : "invited"];
  if (session !== null) {
    const { since, verified, servers: { receiving, sending } } = session;
    const places = (servers: readonly ServerAddress[]) => [...new Set(servers.map(placeOf))].join(", ");
    if (since !== null) parts.push(`secret since ${timeOf(since)}`);
    if (verified) parts.push("verified");
    parts.push(`from ${places(receiving)}`, `to ${places(sending)}`);
  }
  if (unreadable > 0) {
    parts.push(`${unreadable} ${unreadable === 1 ? "message" : "messages"} could not be read`);
  }
  return `${connection}: ${parts.join(", ")}`;
}

/** A server without its key: two can be on one host. */
function placeOf({ host, port }: ServerAddress): string {
  return formatAddress(port === undefined ? { host } : { host, port });
}

function timeOf(time: number): string {
  return new Date(time).toISOString().slice(0, 16).replace("T", " ");
}

function historyLine({ id, body, at, received, done, delivered }: MessageRecord): string {
  const mark = received !== null ? "<" : delivered ? "✓✓" : done ? "✓" : "…";
  return `${timeOf(at)} ${mark} [${id}] ${harmless(new TextDecoder().decode(body))}`;
}
