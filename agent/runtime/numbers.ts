import { formatAddress, type ServerAddress } from "../../protocol/mod.ts";
import { type ConnectionState, stateOf, unreadOf } from "../core/connection_state.ts";
import type { OutgoingStream, StreamOffer } from "../stream/types.ts";
import type { AgentContext } from "./context.ts";

/** How a server is reached now. */
export interface ServerInfo {
  /** The server. */
  readonly server: ServerAddress;
  /**
   * `connected`; `connecting`: there was no answer yet; `unreachable`: the last try has failed; `idle`: there is no
   * connection, and none is needed.
   */
  readonly state: "connected" | "connecting" | "unreachable" | "idle";
  /** Since when, milliseconds since 1970; `null` when it was never tried. */
  readonly since: number | null;
}

/** How an agent is, in numbers without names. */
export interface AgentNumbers {
  /** Connections by how far they are: `failed` are those that could not be joined, `closed` those that the other side has deleted. */
  readonly connections: Readonly<Record<ConnectionState, number>>;
  /** Sessions that messages go through, those that are being agreed on, and those that are closed. */
  readonly sessions: Readonly<Record<"active" | "waiting" | "closed", number>>;
  /** Messages that came and were not acknowledged, those that could not be decrypted, and what is to be sent in sessions. */
  readonly messages: Readonly<Record<"unread" | "unreadable" | "unsent", number>>;
  /** Queues of connections without a session that something waits to be sent to. */
  readonly waitingQueues: number;
  /** Streams that run, those that were offered to the other sides, and those that the other sides have offered, which wait to be accepted. */
  readonly streams: Readonly<Record<"sending" | "receiving" | "offered" | "offers", number>>;
  /** The agent's own servers and those that it has used. */
  readonly servers: readonly ServerInfo[];
}

/** Counts. Throws what the store throws. */
export async function agentNumbers(
  { connections: all, servers, store, ownServers, now }: AgentContext,
  running: readonly (OutgoingStream | StreamOffer)[],
): Promise<AgentNumbers> {
  const connections = { connected: 0, closed: 0, suspended: 0, invited: 0, joining: 0, failed: 0 };
  const sessions = { active: 0, waiting: 0, closed: 0 };
  const messages = { unread: 0, unreadable: 0, unsent: 0 };
  for (const connection of all.all()) {
    connections[stateOf(connection)]++;
    messages.unread += unreadOf(connection);
    messages.unreadable += connection.record.unreadable;
    const { session } = connection;
    if (session === null || session.status === "greeting") continue;
    const isOver = session.status === "closed";
    sessions[isOver ? "closed" : session.status === "active" ? "active" : "waiting"]++;
    if (!isOver) messages.unsent += session.lastNumber - session.lastTaken;
  }
  const streams = { sending: 0, receiving: 0, offered: 0, offers: 0 };
  for (const { direction, status } of running) {
    if (status === "accepted") streams[direction]++;
    else streams[direction === "sending" ? "offered" : "offers"]++;
  }
  const used = servers.states().map(({ server, state, for: time }) => ({
    server,
    state,
    since: time === null ? null : Math.round(now() - time),
  }));
  const names = new Set(used.map(({ server }) => formatAddress(server)));
  const unused = ownServers().filter((server) => !names.has(formatAddress(server)))
    .map((server) => ({ server, state: "idle", since: null } as const));
  return {
    connections,
    sessions,
    messages,
    waitingQueues: (await store.waitingRoutes()).length,
    streams,
    servers: [...used, ...unused],
  };
}
