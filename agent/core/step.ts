import { equalBytes } from "../../protocol/mod.ts";
import { approved, secured } from "../kinds/key.ts";
import { type AgentMessage, kindOf } from "../kinds/mod.ts";
import { send } from "../kinds/msg.ts";
import { joined, routeMade } from "../kinds/reply.ts";
import { settle } from "../kinds/settle.ts";
import { AgentError } from "../protocol/error.ts";
import { packets } from "../session/arrival.ts";
import { gaveUpFrames } from "../session/close.ts";
import { sendFrame } from "../session/message.ts";
import { acknowledgedInSession } from "../session/receipt.ts";
import { repaired, repairRefused, repairSaid } from "../session/repair.ts";
import { dropPieces } from "../session/pieces.ts";
import { encrypted, framesSent, receiptSent, repeatAll } from "../session/sending.ts";
import { endRoute, inboundMade, leaveRoutes, refuseRoute } from "../session/routes.ts";
import { answered, begun, fellBack, offered, unanswered } from "../session/upgrade.ts";
import { withSession, withSessionKeys } from "../session/session.ts";
import { changeStreams } from "../stream/step.ts";
import type { Connection, ReceivingRoute, StoreChange, StoredEvent } from "../store/store.ts";
import { withInbound, withReceiving, withRecord, withSending } from "./connection.ts";
import {
  type Command,
  type ConnectionEvent,
  type Received,
  type Step,
  type StepContext,
  stepTo,
} from "./types.ts";

/**
 * What an event makes of a connection (agent.md Duplex procedure): a function of its arguments alone. An event of a route
 * that the connection has not changes nothing. Throws {@linkcode AgentError} for `send` without a route, and for `verified`
 * with another code.
 */
export function step(connection: Connection, event: ConnectionEvent, context: StepContext): Step {
  const next = stepOf(connection, event, context);
  const isNew = !connection.record.connected && next.connection.record.connected;
  return isNew ? { ...next, events: [{ type: "connected" }, ...next.events] } : next;
}

function stepOf(connection: Connection, event: ConnectionEvent, context: StepContext): Step {
  switch (event.type) {
    case "received":
      return on(connection, event.route, (route) => received(connection, route, event.received, context));
    case "unreadable":
      return on(connection, event.route, (route) => unreadable(connection, route, event));
    case "approved":
      return on(connection, event.route, (route) => approved(connection, route, event));
    case "secured":
      return on(connection, event.route, (route) => secured(connection, route, event));
    case "joined":
      return on(connection, event.route, (route) => joined(connection, route, event, context));
    case "route made":
      return routeMade(connection, event, context);
    case "send":
      return send(connection, event, context);
    case "attempted": {
      const { route, position, giveUpAt } = event;
      if (!connection.sending.some(({ id }) => id === route)) return stepTo(connection);
      const delivery = { connection: connection.record.id, route, position, attempted: true, giveUpAt };
      return stepTo(connection, { changes: [{ type: "put delivery", delivery }] });
    }
    case "sent":
      return sent(connection, event);
    case "given up":
      return givenUp(connection, event);
    case "acknowledged":
      return acknowledged(connection, event);
    case "suspended":
      return suspended(connection, event.route);
    case "fell back":
      return fellBack(connection, event, context);
    case "offered":
      return offered(connection, event, context);
    case "answered":
      return on(connection, event.route, (route) => answered(connection, route, event, context));
    case "begun":
      return on(connection, event.route, (route) => begun(connection, route, event, context));
    case "unanswered":
      return unanswered(connection, event, context);
    case "send frame":
      return sendFrame(connection, event, context);
    case "encrypted":
      return encrypted(connection, event);
    case "packets":
      return packets(connection, event, context);
    case "refuse route":
      return refuseRoute(connection, event, context);
    case "repeat all":
      return repeatAll(connection, context);
    case "drop pieces":
      return dropPieces(connection, event);
    case "frames sent":
      return framesSent(connection, event, context);
    case "receipt encrypted":
      return stepTo(withSession(connection, { ratchet: event.ratchet }));
    case "receipt sent":
      return receiptSent(connection, event, context);
    case "leave routes":
      return leaveRoutes(connection, event);
    case "inbound made":
      return inboundMade(connection, event, context);
    case "end route":
      return endRoute(connection, event.route, context);
    case "routes wanted":
      return stepTo(withSession(connection, { routes: event.routes }), {
        commands: [{ type: "look at routes" }],
      });
    case "gave up frames":
      return gaveUpFrames(connection, event);
    case "streams":
      return changeStreams(connection, event, context);
    case "repair said":
      return repairSaid(connection, event);
    case "receipt wanted":
      return stepTo(withSession(connection, { receiptDue: true }), { commands: [{ type: "tell receipt" }] });
    case "repair refused":
      return repairRefused(connection);
    case "repaired":
      return repaired(connection, event, context);
    case "verified":
      return verified(connection, event.compared);
    default:
      return event satisfies never;
  }
}

function on(connection: Connection, id: string, then: (route: ReceivingRoute) => Step): Step {
  const route = connection.receiving.find((route) => route.id === id);
  return route === undefined ? stepTo(connection) : then(route);
}

function received(
  connection: Connection,
  route: ReceivingRoute,
  received: Received,
  { now }: StepContext,
): Step {
  const { message, serverId, hash } = received;
  const again = deliveredAgain(connection, route, serverId);
  if (again !== null) return again;
  // The sender repeats what it cannot know to have arrived; of UPG it wants the answer again.
  if (equalBytes(hash, route.lastHash) && message.type !== "UPG") {
    return settle({ connection, route }, serverId);
  }
  return kindOf(message.type).receive({ connection, route, received, now }) ??
    prohibited(connection, route, received);
}

/** What a server does that has not been told to forget a message; `null` when it is a new one. */
export function deliveredAgain(connection: Connection, route: ReceivingRoute, serverId: string): Step | null {
  // It waits for the application.
  if (route.unacknowledged.some((message) => message.serverId === serverId)) return stepTo(connection);
  if (route.lastServerId !== serverId) return null;
  return stepTo(connection, { commands: [{ type: "acknowledge", route: route.id, serverId }] });
}

function prohibited(
  connection: Connection,
  route: ReceivingRoute,
  { message, serverId }: Received<AgentMessage>,
): Step {
  const text = `The other agent has sent ${message.type}, which is not allowed now`;
  const events: StoredEvent[] = [{ type: "error", code: "AGENT A_PROHIBITED", message: text }];
  if (message.type === "KEY") events.unshift({ type: "security", reason: "second confirmation" });
  return settle({ connection, route }, serverId, { events });
}

function unreadable(
  connection: Connection,
  route: ReceivingRoute,
  { serverId, error: { code, message } }: Extract<ConnectionEvent, { readonly type: "unreadable" }>,
): Step {
  return deliveredAgain(connection, route, serverId) ?? settle({ connection, route }, serverId, {
    connection: withRecord(connection, { unreadable: connection.record.unreadable + 1 }),
    events: [{ type: "error", code, message }],
  });
}

function sent(
  connection: Connection,
  { delivery: { route: id, position, kind, messageId } }: Extract<ConnectionEvent, { readonly type: "sent" }>,
): Step {
  const { id: of } = connection.record;
  const route = connection.sending.find((route) => route.id === id);
  if (route === undefined) return stepTo(connection);
  const changes: StoreChange[] = [{ type: "delete delivery", connection: of, route: id, position }];
  const events: StoredEvent[] = [];
  if (messageId > 0) {
    changes.push({ type: "message done", connection: of, id: messageId });
    events.push({ type: "sent", id: messageId });
  }
  return stepTo(kindOf(kind).sent(connection, route), { changes, events });
}

function givenUp(
  connection: Connection,
  { route: id, deliveries, frames, error: { code, message }, isRoute }: Extract<
    ConnectionEvent,
    { readonly type: "given up" }
  >,
): Step {
  const route = connection.sending.find((route) => route.id === id);
  if (route === undefined) return stepTo(connection);
  const changes = deliveries.map(({ position }): StoreChange => (
    { type: "delete delivery", connection: connection.record.id, route: id, position }
  ));
  const events: StoredEvent[] = isRoute ? [{ type: "error", code, message }] : [];
  for (const { number } of frames) {
    changes.push({ type: "delete frame", connection: connection.record.id, number });
  }
  for (const { messageId } of [...deliveries, ...frames]) {
    if (messageId > 0) events.push({ type: "error", code, message, id: messageId });
  }
  const failed = isRoute ? withSending(connection, { ...route, status: "failed" }) : connection;
  return stepTo(failed, { changes, events });
}

/** A session that was repaired while its code was compared has another one. */
function verified(connection: Connection, compared: boolean | string): Step {
  if (typeof compared === "string" && compared !== connection.session?.keys.safetyCode) {
    const { alias } = connection.record;
    throw new AgentError("CMD PROHIBITED", `Cannot verify "${alias}": its safety code is another one now`);
  }
  return stepTo(withSessionKeys(connection, { verified: compared !== false }));
}

function suspended(connection: Connection, id: string): Step {
  const inbound = connection.inbound.find((route) => route.id === id);
  if (inbound !== undefined) return stepTo(withInbound(connection, { ...inbound, suspended: true }));
  return on(connection, id, (route) => stepTo(withReceiving(connection, { ...route, suspended: true })));
}

function acknowledged(
  connection: Connection,
  { id, number }: Extract<ConnectionEvent, { readonly type: "acknowledged" }>,
): Step {
  const changes: StoreChange[] = [{ type: "message done", connection: connection.record.id, id }];
  const commands: Command[] = [];
  let changed = connection;
  for (const route of connection.receiving) {
    const message = route.unacknowledged.find((message) => message.id === id);
    if (message === undefined) continue;
    const unacknowledged = route.unacknowledged.filter((other) => other !== message);
    changed = withReceiving(changed, { ...route, unacknowledged });
    commands.push({ type: "acknowledge", route: route.id, serverId: message.serverId });
  }
  if (connection.session !== null) {
    const told = acknowledgedInSession(changed, number);
    return stepTo(told.connection, { changes, commands: [...commands, ...told.commands] });
  }
  return stepTo(changed, { changes, commands });
}
