import type { AgentEvent } from "@simplexmq/smp/agent";
import { formatAddress, parseAddress } from "@simplexmq/smp/protocol";

/** What is known of the servers; `null` when nothing is. One that is lost is said before those that are not. */
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

/** The servers that cannot be reached, with the conversations on them. */
export class LostServers {
  readonly #lost = new Map<string, Set<string>>();

  /** Takes an event of a server; gives what is known of all then. */
  take(state: ServerState, event: AgentEvent): ServerState {
    if (event.type === "down") this.#lost.set(formatAddress(event.server), new Set(event.connections));
    if (event.type === "up") this.#lost.delete(formatAddress(event.server));
    return event.type === "up" && this.#lost.size > 0 ? "lost" : serverAfter(state, event);
  }

  /** A conversation is gone, and with it what its servers were needed for. */
  forget(connection: string): void {
    for (const [server, connections] of this.#lost) {
      if (connections.delete(connection) && connections.size === 0) this.#lost.delete(server);
    }
  }

  /** Hosts that cannot be reached. */
  get hosts(): readonly string[] {
    return [...this.#lost.keys()].map((server) => parseAddress(server).host);
  }
}

/** What is said of the servers; `own` is the page's host. */
export function serverText(state: "reached" | "lost", hosts: readonly string[], own: string): string {
  if (state === "reached") return "connected to the server";
  const isOwn = hosts.every((host) => host === own);
  return `no connection to ${isOwn ? "the server" : hosts.join(", ")}, trying again…`;
}
