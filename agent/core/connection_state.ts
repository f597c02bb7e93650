import type { Connection } from "../store/store.ts";

/** How far a connection is, as users are told. */
export type ConnectionState = "connected" | "closed" | "suspended" | "invited" | "joining" | "failed";

/** How far a connection is. */
export function stateOf(
  { record: { role, connected }, receiving, inbound, sending, session }: Connection,
): ConnectionState {
  if (session?.status === "closed") return "closed";
  if (sending.some(({ status }) => status === "failed")) return "failed";
  if ([...receiving, ...inbound].some(({ suspended }) => suspended)) return "suspended";
  if (connected) return "connected";
  return role === "joiner" ? "joining" : "invited";
}

/** How many messages of a connection came and were not acknowledged. */
export function unreadOf({ receiving, session }: Connection): number {
  return receiving.reduce((sum, { unacknowledged }) => sum + unacknowledged.length, session?.waiting ?? 0);
}
