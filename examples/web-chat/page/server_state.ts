import type { AgentEvent } from "@simplexmq/smp/agent";

/** What is known of the page's server; `null` when nothing is. */
export type ServerState = "reached" | "lost" | null;

/**
 * What an event makes of it. Anything that succeeds shows at the start that there is a server; but what it answered
 * before it was lost may be told later, when it is stored.
 */
export function serverAfter(state: ServerState, event: AgentEvent): ServerState {
  switch (event.type) {
    case "down":
      return "lost";
    case "up":
      return "reached";
    case "error":
      return event.error.code.startsWith("BROKER ") ? "lost" : state;
    case "connected":
    case "message":
    case "sent":
    case "delivered":
    case "route":
    case "stream offered":
    case "session":
    case "end":
    case "security":
      return state ?? "reached";
    default:
      return event satisfies never;
  }
}
