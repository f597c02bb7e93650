/** How the ways between two agents change (sessions.md Rotation, Redundancy). */
import { equalBytes, formatAddress, frameKinds, routeRefusals, withoutRoute } from "../../protocol/mod.ts";
import { withInbound, withOutbound } from "../core/connection.ts";
import { type Command, type SessionEvent, type Step, type StepContext, stepTo } from "../core/types.ts";
import { AgentError } from "../protocol/error.ts";
import type { Connection, InboundRoute, RouteChange, StoreChange } from "../store/store.ts";
import type { FrameHandler } from "./arrival.ts";
import { discardedOf } from "./former.ts";
import { hasNumber } from "./number_set.ts";
import { takeRoute } from "./route_budget.ts";
import { mostFrames } from "./session.ts";

type Event<Type extends SessionEvent["type"]> = Extract<SessionEvent, { readonly type: Type }>;

/** Outbound routes of a connection at most: the other side can have four, each with one that takes its place. */
const mostOutbound = 8;

/** Whether the other side knows what routes are changed by. */
export function canChangeRoutes({ session }: Connection): boolean {
  return session?.status === "active" && (session.keys.kinds?.includes(frameKinds["route add"]) ?? false);
}

/** Whether nobody is to send to this agent any more: a new route would undo it. */
export function isSuspended({ inbound }: Pick<Connection, "inbound">): boolean {
  return inbound.some(({ suspended }) => suspended);
}

/** Inbound routes are to be replaced: what a server has lost or this agent leaves counts more than other reasons. */
export function leaveRoutes(connection: Connection, { routes, reason }: Event<"leave routes">): Step {
  let changed = connection;
  for (const route of connection.inbound) {
    if (!routes.includes(route.id) || route.status === "ending") continue;
    const isMore = route.leaving === null || reason === "lost" ||
      reason === "server" && route.leaving !== "lost";
    if (isMore && route.leaving !== reason) changed = withInbound(changed, { ...route, leaving: reason });
  }
  return stepTo(changed, { commands: [{ type: "look at routes" }] });
}

/** The other side is to be told of a route that was made. */
export function inboundMade(
  connection: Connection,
  { inbound, record }: Event<"inbound made">,
  { now }: StepContext,
): Step {
  if (connection.session?.status !== "active" || isSuspended(connection)) return stepTo(connection);
  const replaced = connection.inbound.find(({ id }) => id === inbound.replaces);
  if (inbound.replaces !== null && replaced === undefined) return stepTo(connection);
  const content = {
    kind: "route add",
    route: record,
    replaces: replaced?.keys.routeId ?? null,
    lost: replaced?.leaving === "lost",
  } as const;
  return stepTo(withInbound(connection, inbound), { frames: [{ content, time: now, messageId: 0 }] });
}

/** The other side is to be told that a route ends. */
export function endRoute(connection: Connection, id: string, { now }: StepContext): Step {
  const route = connection.inbound.find((route) => route.id === id);
  const { session } = connection;
  if (route === undefined || session === null || route.status === "ending") return stepTo(connection);
  const content = { kind: "route end", routeId: route.keys.routeId } as const;
  const ending = { ...route, status: "ending", endedBy: session.lastNumber + 1 } as const;
  return stepTo(withInbound(connection, ending), { frames: [{ content, time: now, messageId: 0 }] });
}

/** Drops the inbound routes of whose end the other side knows. */
export function dropEnded(connection: Connection, context: StepContext): Step {
  const { session, inbound } = connection;
  const ended = inbound.filter(({ endedBy }) => endedBy !== null && hasNumber(session!.receipted, endedBy));
  const dropped = dropInbound(connection, ended, context);
  const events = ended.map(({ keys }) => routeEvent("receiving", "ended", { from: keys }));
  return { ...dropped, events };
}

/** The other side has another route: it is used beside the one that it replaces until something has gone by it. */
export const receiveRouteAdd: FrameHandler<"route add"> = (
  connection,
  { frame: { route: { routeId }, replaces }, outbound },
  { now },
) => {
  const routes = connection.outbound;
  if (outbound === null || routes.some(({ keys }) => equalBytes(keys.routeId, routeId))) return null;
  const { lastNumber, receipted } = connection.session!;
  const routeBudget = outbound === "too many" ? null : takeRoute(connection.routeBudget, now);
  const counted = routeBudget === null ? connection : { ...connection, routeBudget };
  const isRefused = outbound === "too many" || outbound instanceof AgentError;
  if (isRefused || routeBudget === null || routes.length >= mostOutbound) {
    // Who takes no answers gets none.
    if (lastNumber - receipted.upTo >= mostFrames) return { connection: counted };
    const reason = outbound instanceof AgentError
      ? outbound.code === "AGENT A_MESSAGE" ? routeRefusals.invalid : routeRefusals.serverNotAllowed
      : routeRefusals.tooMany;
    const content = { kind: "route refused", routeId: routeId.slice(), reason } as const;
    return { connection: counted, frames: [{ content, time: now, messageId: 0 }] };
  }
  const former = replaces && routes.find(({ keys }) => equalBytes(keys.routeId, replaces));
  const route = { ...outbound, replaces: former?.id ?? null, cursor: connection.session!.receipted.upTo };
  return {
    connection: withOutbound(counted, route),
    // Receipts go by all routes, and prove this one.
    commands: [{ type: "send packets", route: route.id }, { type: "tell receipt" }],
  };
};

/**
 * The server of an outbound route cannot be reached while the route before it works: that one stays, and the other side
 * is told.
 */
export function refuseRoute(
  connection: Connection,
  { route: id }: Event<"refuse route">,
  { now }: StepContext,
): Step {
  const route = connection.outbound.find((route) => route.id === id);
  const left = connection.outbound.filter((other) => other !== route);
  if (route === undefined || route.isProven || !left.some(({ isProven }) => isProven)) {
    return stepTo(connection);
  }
  const content = {
    kind: "route refused",
    routeId: route.keys.routeId,
    reason: routeRefusals.unreachable,
  } as const;
  return stepTo({ ...connection, outbound: left }, {
    frames: [{ content, time: now, messageId: 0 }],
    commands: [{ type: "drop", routes: [id], discarded: [] }],
  });
}

/** Something has gone by an outbound route: the one that it replaces ends, and the other side is told. */
export function proveRoute(connection: Connection, id: string, { now }: StepContext): Step {
  const route = connection.outbound.find((route) => route.id === id);
  if (route === undefined || route.isProven) return stepTo(connection);
  const former = connection.outbound.find((other) => other.id === route.replaces);
  const proven = withOutbound(connection, { ...route, isProven: true, replaces: null });
  const content = { kind: "route ok", routeId: route.keys.routeId } as const;
  return stepTo({ ...proven, outbound: proven.outbound.filter((other) => other !== former) }, {
    frames: [{ content, time: now, messageId: 0 }],
    commands: former === undefined ? [] : [{ type: "drop", routes: [former.id], discarded: [] }],
    events: [
      routeEvent("sending", former === undefined ? "added" : "moved", { from: former?.keys, to: route.keys }),
    ],
  });
}

/** The other side uses a route: all that it sent by the one before has come, or comes again. */
export const receiveRouteOk: FrameHandler<"route ok" | "route end"> = (
  connection,
  { frame: { routeId } },
  context,
) => {
  const route = connection.inbound.find(({ keys }) => equalBytes(keys.routeId, routeId));
  if (route?.status !== "new") return null;
  const former = connection.inbound.find(({ id }) => id === route.replaces);
  const active = withInbound(connection, { ...route, status: "active", replaces: null });
  const dropped = dropInbound(active, former === undefined ? [] : [former], context);
  const change = former === undefined ? "added" : "moved";
  return {
    ...dropped,
    commands: [...dropped.commands, { type: "look at routes" }],
    events: [routeEvent("receiving", change, { from: former?.keys, to: route.keys })],
  };
};

/** The other side cannot use a route: the one that it was to replace stays. */
export const receiveRouteRefused: FrameHandler<"route refused"> = (
  connection,
  { frame: { routeId, reason } },
  context,
) => {
  const route = connection.inbound.find(({ keys }) => equalBytes(keys.routeId, routeId));
  if (route?.status !== "new") return null;
  const former = connection.inbound.find(({ id }) => id === route.replaces);
  // On another server, or at another time, it may be reached.
  const isFinal = reason !== routeRefusals.unreachable;
  const stays = former !== undefined && isFinal
    ? withInbound(connection, { ...former, leaving: null })
    : connection;
  const dropped = dropInbound({ ...stays, refusedAt: context.now }, [route], context);
  return { ...dropped, events: [routeEvent("receiving", "refused", { to: route.keys })] };
};

/** The other side has one route less; its last one is used until it tells of another. */
export const receiveRouteEnd: FrameHandler<"route ok" | "route end"> = (
  connection,
  { frame: { routeId } },
) => {
  const route = connection.outbound.find(({ keys }) => equalBytes(keys.routeId, routeId));
  if (route === undefined || connection.outbound.length === 1) return null;
  return {
    connection: { ...connection, outbound: connection.outbound.filter((other) => other !== route) },
    commands: [{ type: "drop", routes: [route.id], discarded: [] }],
    events: [routeEvent("sending", "ended", { from: route.keys })],
  };
};

/** A connection without some inbound routes, whose queues are discarded. */
export function dropInbound(
  connection: Connection,
  routes: readonly InboundRoute[],
  { discardUntil }: StepContext,
): Step {
  if (routes.length === 0) return stepTo(connection);
  const ids = routes.map(({ id }) => id);
  const discarded = routes.map((route) => discardedOf(route, discardUntil));
  const { reassembly, ...rest } = connection;
  const left = { ...rest, inbound: connection.inbound.filter(({ id }) => !ids.includes(id)) };
  const pieces = reassembly && ids.reduce(withoutRoute, reassembly);
  return stepTo(pieces === undefined ? left : { ...left, reassembly: pieces }, {
    changes: discarded.map((queue): StoreChange => ({ type: "put discarded", queue })),
    commands: [{ type: "drop", routes: ids, discarded } satisfies Command],
  });
}

type At = Pick<InboundRoute["keys"], "server"> | undefined;

function routeEvent(
  direction: RouteChange["direction"],
  change: RouteChange["change"],
  { from, to }: { readonly from?: At; readonly to?: At },
): RouteChange {
  const name = (at: At) => at === undefined ? null : formatAddress(at.server);
  return { type: "route", direction, change, from: name(from), to: name(to) };
}
