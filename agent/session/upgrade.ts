/** The upgrade of a connection (sessions.md), step by step. */
import { withInbound, withOutbound, withRecord } from "../core/connection.ts";
import { type BegunSession, type SessionEvent, type Step, type StepContext, stepTo } from "../core/types.ts";
import { encodeFrame } from "../kinds/frame.ts";
import { settle } from "../kinds/settle.ts";
import { upg } from "../kinds/upg.ts";
import { AgentError } from "../protocol/error.ts";
import type { Connection, ReceivingRoute, Session, StoreChange, StoredEvent } from "../store/store.ts";
import { dropFormer } from "./former.ts";
import { readyFrame } from "./ready.ts";
import { withSession, withSessionKeys, withTranscript } from "./session.ts";

const noBytes = new Uint8Array(0);

type Event<Type extends SessionEvent["type"]> = Extract<SessionEvent, { readonly type: Type }>;

/** The other agent has no sessions: what waits goes as messages of 0.3, in their order. */
export function fellBack(
  connection: Connection,
  { messages }: Event<"fell back">,
  { now }: StepContext,
): Step {
  const { record: { id, lastPosition, lastSent }, session, sending } = connection;
  if (session?.status !== "greeting") return stepTo(connection);
  const changes = messages.flatMap(({ number, messageId, plaintext }, i): StoreChange[] => {
    const position = lastPosition + 1 + i;
    const entry = { connection: id, position, kind: "MSG", messageId, plaintext, createdAt: now };
    return [
      { type: "delete frame", connection: id, number },
      { type: "put outbox", entry },
      ...sending.map((route): StoreChange => ({
        type: "put delivery",
        delivery: { connection: id, route: route.id, position, attempted: false, giveUpAt: null },
      })),
    ];
  });
  const last = messages.at(-1);
  const left = withRecord({ ...connection, session: null }, {
    lastPosition: lastPosition + messages.length,
    lastSent: last === undefined ? lastSent : { id: lastSent.id, hash: last.hash },
  });
  return stepTo(left, { changes, commands: sending.map(({ id }) => ({ type: "deliver", route: id })) });
}

/** The joiner's UPG is on its way. */
export function offered(
  connection: Connection,
  { pair, inbound, upgrade }: Event<"offered">,
  context: StepContext,
): Step {
  if (connection.session?.status !== "agreed" || connection.record.role !== "joiner") {
    return stepTo(connection);
  }
  const own = withSession(withTranscript(connection, { joinerUpgrade: upgrade }), { status: "offered" });
  const { now: upgradedAt } = context;
  return told(withInbound(withSessionKeys(own, { pair, upgradedAt }), inbound), { upgrade, upgradedAt });
}

/** The initiator has a session, and its UPG is on its way; it sends nothing in the session before `ready` has come. */
export function answered(
  connection: Connection,
  route: ReceivingRoute,
  { received, begun }: Event<"answered">,
  context: StepContext,
): Step {
  if (connection.session?.status !== "agreed" || connection.record.role !== "initiator") {
    return stepTo(connection);
  }
  const { serverId, hash } = received;
  if (begun instanceof AgentError) return refused(connection, route, { received, error: begun });
  const { inbound, upgrade } = begun;
  const said = { joinerUpgrade: received.message.upgrade.slice(), initiatorUpgrade: upgrade };
  const { now: upgradedAt } = context;
  const begins = withSessionKeys(withTranscript(begin(connection, begun), said), { upgradedAt });
  const own = withSession(begins, { status: "answered" });
  const { connection: changed, changes, commands } = told(withInbound(own, inbound), { upgrade, upgradedAt });
  return settle({ connection, route }, serverId, { connection: changed, changes, commands, hash });
}

/** The joiner has a session and sends in it: the first is `ready`. Nothing more goes to the initiator's 0.3 queue. */
export function begun(
  connection: Connection,
  route: ReceivingRoute,
  { received, begun }: Event<"begun">,
  context: StepContext,
): Step {
  if (connection.session?.status !== "offered") return stepTo(connection);
  const { serverId, hash } = received;
  if (begun instanceof AgentError) return refused(connection, route, { received, error: begun });
  const said = { initiatorUpgrade: received.message.upgrade.slice() };
  const own = withSession(withTranscript(begin(connection, begun), said), { status: "active" });
  const since = context.now;
  const dropped = dropFormer(withSessionKeys(own, { since, pair: null }), context, {
    receiving: false,
    sending: true,
  });
  const settled = settle({ connection, route }, serverId, { ...dropped, hash });
  return {
    ...settled,
    frames: [readyFrame(since)],
    events: [...settled.events, { type: "session", change: "active" }],
    commands: [...settled.commands, { type: "encrypt" }],
  };
}

function begin(
  connection: Connection,
  { ratchet, safetyCode, repairKey, outbound }: BegunSession,
): Connection {
  const started = withSession(withSessionKeys(connection, { safetyCode, repairKey }), { ratchet });
  return withOutbound(started, { ...outbound, isProven: true });
}

/** UPG cannot be used: as if it had not come. */
function refused(
  connection: Connection,
  route: ReceivingRoute,
  { received: { serverId, hash }, error: { code, message } }: {
    readonly received: Event<"begun">["received"];
    readonly error: AgentError;
  },
): Step {
  return settle({ connection, route }, serverId, {
    connection: withRecord(connection, { unreadable: connection.record.unreadable + 1 }),
    hash,
    events: [{ type: "error", code, message }],
  });
}

/**
 * The other side does not answer: this side's UPG is said again as it was, unless it is on its way; an initiator that has
 * none yet asks for the joiner's by an empty one, and so finds out whether its queue is still there. When `isLate`, the
 * application is told, once.
 */
export function unanswered(
  connection: Connection,
  { isLate, isOnWay }: Event<"unanswered">,
  { now }: StepContext,
): Step {
  const { session, record: { role } } = connection;
  if (session === null || !isUpgrading(session)) return stepTo(connection);
  const { transcript: { joinerUpgrade, initiatorUpgrade }, upgradedAt = 0, isSlow = false } = session.keys;
  const made = role === "joiner" ? joinerUpgrade : initiatorUpgrade;
  const isAsking = role === "initiator" && session.status === "agreed";
  const upgrade = isAsking ? noBytes : made?.slice();
  const isToldNow = isLate && !isSlow;
  const changed = isToldNow ? withSessionKeys(connection, { isSlow: true }) : connection;
  const events: StoredEvent[] = isToldNow ? [{ type: "session", change: "slow" }] : [];
  if (upgrade === undefined || isOnWay) return stepTo(changed, { events });
  return { ...told(changed, { upgrade, upgradedAt: isAsking ? now : upgradedAt }), events };
}

/** Whether both sides have announced sessions, and this one waits for the other. */
export function isUpgrading({ status }: Session): boolean {
  return status === "agreed" || status === "offered" || status === "answered";
}

/** This side's UPG is to be delivered on the 0.3 routes. */
function told(
  connection: Connection,
  { upgrade, upgradedAt: now }: {
    readonly upgrade: Uint8Array<ArrayBuffer>;
    readonly upgradedAt: number;
  },
): Step {
  const { record: { id, lastPosition }, sending } = connection;
  const position = lastPosition + 1;
  const head = { id: 0, timestamp: new Date(now), previousHash: new Uint8Array(0) };
  const plaintext = encodeFrame(upg, { type: "UPG", upgrade, ...head });
  const entry = { connection: id, position, kind: "UPG", messageId: 0, plaintext, createdAt: now };
  const deliveries = sending.map((route): StoreChange => ({
    type: "put delivery",
    delivery: { connection: id, route: route.id, position, attempted: false, giveUpAt: null },
  }));
  return stepTo(withRecord(connection, { lastPosition: position }), {
    changes: [{ type: "put outbox", entry }, ...deliveries],
    commands: sending.map((route) => ({ type: "deliver", route: route.id })),
  });
}
