import { formatAddress, type ServerAddress } from "../../protocol/mod.ts";
import { canChangeRoutes, isSuspended } from "../session/routes.ts";
import type { Connection, InboundRoute } from "../store/store.ts";
import type { AgentContext } from "./context.ts";

/** A route that is to be made on a server, or to be ended. */
export type RouteNeed =
  | { readonly type: "make"; readonly replaces: string | null; readonly server: ServerAddress }
  | { readonly type: "end"; readonly route: string };

/** Milliseconds after the other side has refused a route before another one is made: it may refuse that, too. */
const refusalPause = 3_600_000;

/** What has to be done next so that a session has the inbound routes that it is to have; `null`: nothing can be. */
export function routeNeed(
  connection: Connection,
  { routes, ownServers, servers, lostTimeout, now }: Pick<
    AgentContext,
    "routes" | "ownServers" | "servers" | "lostTimeout" | "now"
  >,
): RouteNeed | null {
  const { refusedAt } = connection;
  if (!canChangeRoutes(connection) || isSuspended(connection)) return null;
  // A clock that was set back must not put it off.
  if (refusedAt !== undefined && Math.abs(now() - refusedAt) < refusalPause) return null;
  const usable = ownServers().filter((server) => !servers.isLost(server, lostTimeout));
  const inbound = connection.inbound.filter(({ status }) => status !== "ending");
  const staying = inbound.filter(({ leaving }) => leaving === null);
  const free = usable.filter((server) => !isOn(staying, server));
  for (const route of inbound) {
    const isReplaced = route.leaving === null || inbound.some(({ replaces }) => replaces === route.id);
    if (isReplaced) continue;
    const isLeft = route.leaving === "lost" || route.leaving === "server";
    const others = free.filter((server) => !isOn([route], server));
    const choice = others.length > 0
      ? others
      : isLeft
      ? usable.filter((server) => !isOn([route], server))
      : usable;
    // A server that has forgotten the queue, but can be reached, is better than none.
    const last = choice.length === 0 && route.leaving === "lost" ? usable : choice;
    if (last.length > 0) return { type: "make", replaces: route.id, server: anyOf(last) };
  }
  const wanted = connection.session?.routes ?? routes;
  const count = inbound.length - inbound.filter(({ replaces }) => replaces !== null).length;
  if (count < wanted && free.length > 0) return { type: "make", replaces: null, server: anyOf(free) };
  const settled = staying.filter(({ status }) => status === "active");
  if (settled.length <= wanted) return null;
  // That a route ends is told by those that are left: of these as many as are wanted must be there.
  const reached = settled.filter(({ keys }) => servers.isConnected(keys.server));
  const ended = settled.find((route) => !reached.includes(route)) ?? reached[0]!;
  const left = reached.filter((route) => route !== ended);
  return left.length < wanted ? null : { type: "end", route: ended.id };
}

function isOn(routes: readonly InboundRoute[], server: ServerAddress): boolean {
  return routes.some(({ keys }) => formatAddress(keys.server) === formatAddress(server));
}

function anyOf(servers: readonly ServerAddress[]): ServerAddress {
  return servers[Math.floor(Math.random() * servers.length)]!;
}
