/** The repair of a session, step by step (sessions.md Repair). */
import { withRecord } from "../core/connection.ts";
import { type SessionEvent, type Step, type StepContext, stepTo } from "../core/types.ts";
import type { Connection, StoreChange, StoredEvent } from "../store/store.ts";
import { applyFrames } from "./arrival.ts";
import { formerWith, withRepair } from "./repair_state.ts";
import { knownKinds } from "./ready.ts";
import { withSession, withSessionKeys } from "./session.ts";

type Event<Type extends SessionEvent["type"]> = Extract<SessionEvent, { readonly type: Type }>;

/** A packet of a repair that is not authentic, or that nobody can have said. */
export function repairRefused(connection: Connection): Step {
  return stepTo(withRecord(connection, { unreadable: connection.record.unreadable + 1 }));
}

/** This side has something to say, which is repeated until it is answered. */
export function repairSaid(connection: Connection, { repair }: Event<"repair said">): Step {
  if (connection.session?.status !== "active") return stepTo(connection);
  return stepTo(withRepair(connection, repair), { commands: [{ type: "say repair" }] });
}

/**
 * The new session takes the place of the old one: what the other side has is receipted, what is left is encrypted anew and
 * sent again, and what this side may have used the numbers of has new ones.
 */
export function repaired(connection: Connection, event: Event<"repaired">, context: StepContext): Step {
  const { session, record: { id } } = connection;
  if (session?.status !== "active") return stepTo(connection);
  const { begun, numbers, taken, renumbered, opened, stage, copies } = event;
  const changes: StoreChange[] = [],
    events: StoredEvent[] = [{ type: "security", reason: "session repaired" }];
  for (const { number, messageId } of taken) {
    changes.push({ type: "delete frame", connection: id, number });
    if (messageId === 0 || number <= session.lastTaken) continue;
    changes.push({ type: "message done", connection: id, id: messageId });
    events.push({ type: "sent", id: messageId });
  }
  for (const { from } of renumbered) changes.push({ type: "delete frame", connection: id, number: from });
  for (const { frame, message } of renumbered) {
    changes.push({ type: "put frame", frame });
    if (message !== null) changes.push({ type: "put message", message });
  }
  const { receipted, receiptedDigest, delivered, stored, lastNumber, lastSent, fork } = numbers;
  const keyed = withSessionKeys(withRecord(connection, { lastSent }), {
    safetyCode: begun.safetyCode,
    verified: false,
    since: context.now,
    // A side that can repair knows them; this one may be of before it has heard so.
    kinds: session.keys.kinds ?? knownKinds,
  });
  const changed = withSession(
    withRepair(keyed, { doneAt: context.now, stage, former: formerWith(session) }),
    {
      ratchet: begun.ratchet,
      lastNumber,
      lastEncrypted: receipted.upTo,
      lastTaken: Math.min(session.lastTaken, lastNumber),
      receipted,
      receiptedDigest,
      delivered,
      stored,
      receiptDue: true,
      undecrypted: 0,
      parted: false,
      strayed: false,
      missed: null,
      fork,
      copies,
    },
  );
  const newNumbers = new Map(renumbered.map(({ from, frame }) => [from, frame.number]));
  const moved = {
    ...changed,
    outbound: changed.outbound.map((route) => ({ ...route, cursor: receipted.upTo })),
    inbound: changed.inbound.map((route) => {
      const endedBy = newNumbers.get(route.endedBy ?? 0);
      return endedBy === undefined ? route : { ...route, endedBy };
    }),
  };
  const arrived = applyFrames(moved, opened.frames, context);
  const lastCopied = arrived.connection.record.lastReceived.id;
  const { copyIndex: _, ...whole } = withSession(arrived.connection, { lastCopied });
  return stepTo(whole, {
    frames: arrived.frames,
    changes: [...changes, ...opened.changes, ...arrived.changes],
    events: [...events, ...arrived.events],
    commands: [
      ...arrived.commands,
      { type: "encrypt" },
      { type: "tell receipt" },
      { type: "look at routes" },
    ],
  });
}
