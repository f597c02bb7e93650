import { withOutbound } from "../core/connection.ts";
import { type SessionEvent, type Step, type StepContext, stepTo } from "../core/types.ts";
import type { Connection, StoreChange, StoredEvent } from "../store/store.ts";
import { hasNumber } from "./number_set.ts";
import { proveRoute } from "./routes.ts";
import { canEncrypt, withSession } from "./session.ts";

type Event<Type extends SessionEvent["type"]> = Extract<SessionEvent, { readonly type: Type }>;

/** Frames that waited are encrypted and can go. */
export function encrypted(connection: Connection, { ratchet, frames }: Event<"encrypted">): Step {
  const last = frames.at(-1);
  if (last === undefined) return stepTo(connection);
  const changed = withSession(connection, { ratchet, lastEncrypted: last.number });
  return stepTo(changed, {
    changes: frames.map((frame): StoreChange => ({ type: "put frame", frame })),
    commands: [
      ...connection.outbound.map(({ id }) => ({ type: "send packets", route: id }) as const),
      ...canEncrypt(changed.session!) ? [{ type: "encrypt" } as const] : [],
    ],
  });
}

/** Frames went by a route: a message is sent when the first route has taken it. */
export function framesSent(
  connection: Connection,
  { route: id, cursor, frames, session: code }: Event<"frames sent">,
  context: StepContext,
): Step {
  const { record, session, outbound } = connection;
  const route = outbound.find((route) => route.id === id);
  if (route === undefined || session === null) return stepTo(connection);
  // They went as messages of a session that was repaired meanwhile, and go again.
  if (code !== undefined && code !== session.keys.safetyCode) return stepTo(connection);
  const changes: StoreChange[] = [], events: StoredEvent[] = [];
  for (const { number, messageId } of frames) {
    // What is receipted is known to be sent.
    if (number <= session.lastTaken || hasNumber(session.receipted, number) || messageId === 0) continue;
    changes.push({ type: "message done", connection: record.id, id: messageId });
    events.push({ type: "sent", id: messageId });
  }
  const moved = cursor > route.cursor ? withOutbound(connection, { ...route, cursor }) : connection;
  const isFirst = session.receipted.upTo >= session.lastTaken && cursor > session.lastTaken;
  const taken = withSession(moved, {
    lastTaken: Math.max(session.lastTaken, cursor),
    ...isFirst && { quietSince: context.now },
  });
  const proven = proveRoute(taken, id, context);
  return {
    ...proven,
    changes: [...changes, ...proven.changes],
    // It may have waited for these.
    commands: session.fork != null && session.receiptDue
      ? [...proven.commands, { type: "tell receipt" }]
      : proven.commands,
    events: [...events, ...proven.events],
  };
}

/**
 * Receipts have told nothing new for long: what has none is sent again by all routes. From the next receipt on that says the
 * same it is missed there, as what is in a gap: the other side may have got it, and cannot read it.
 */
export function repeatAll(connection: Connection, { now }: StepContext): Step {
  const { receipted: { upTo }, missed = null } = connection.session!;
  const since = missed?.after === upTo ? missed.since : 0;
  return stepTo(withSession(connection, { quietSince: now, missed: { after: upTo, since } }), {
    commands: connection.outbound.map(({ id }) => ({ type: "repeat", route: id })),
  });
}

/** The other side was told; unless something has changed since, or a receipt has yet to prove a route, that is all. */
export function receiptSent(
  connection: Connection,
  { route, told }: Event<"receipt sent">,
  context: StepContext,
): Step {
  const { session, outbound } = connection;
  const isSame = session?.stored === told.stored && session?.acknowledged === told.acknowledged;
  const isDone = isSame && outbound.every(({ id, isProven }) => isProven || id === route);
  return proveRoute(isDone ? withSession(connection, { receiptDue: false }) : connection, route, context);
}
