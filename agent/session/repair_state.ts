/** What is known of the repairs of a session (sessions.md Repair). */
import { equalBytes, sessionOf } from "../../protocol/mod.ts";
import type { Connection, Repair, RepairStage, Session } from "../store/store.ts";
import { withSessionKeys } from "./session.ts";

/** Milliseconds between two repairs of a session. */
export const repairInterval = 3_600_000;

/** Milliseconds for which a side that has begun a repair believes nothing of what is told of its frames. */
const attemptInterval = 60_000;

/** Milliseconds after which an offer or an answer that leads to nothing is given up. */
const patience = 86_400_000;

/** Questions that are remembered: what is said to others was said to another life of this side. */
const mostIds = 16;

/** Sessions before that are remembered, so that messages of theirs that come late say nothing. */
const mostFormer = 4;

/** What is kept of repairs. */
export function repairOf({ keys: { repair } }: Session): Repair {
  return repair ?? { doneAt: null, asked: 0, called: 0, former: [], stage: null };
}

/** A connection of which something is kept of repairs. */
export function withRepair(connection: Connection, change: Partial<Repair>): Connection {
  const { session } = connection;
  return session === null
    ? connection
    : withSessionKeys(connection, { repair: { ...repairOf(session), ...change } });
}

/** Whether a session may be repaired: it was not a short time ago. */
export function mayRepair(session: Session, now: number): boolean {
  const { doneAt } = repairOf(session);
  if (session.status !== "active" || session.keys.repairKey === null) return false;
  // A clock that was set back must not put it off.
  return doneAt === null || doneAt > now || now - doneAt >= repairInterval;
}

/**
 * Whether this side may answer a new question: it may repair, or nothing has come in the session that the last repair has
 * begun, which the other side then does not have.
 */
export function mayAnswer(session: Session, now: number): boolean {
  const isAlone = repairOf(session).stage?.type === "begun" && session.ratchet?.receiving === null;
  return mayRepair(session, now) || session.status === "active" && isAlone;
}

/** Whether this side may begin a repair: it may, and has not begun one already. */
export function mayBegin(session: Session, now: number): boolean {
  return mayRepair(session, now) && unansweredRepair(session) === null;
}

/** Whether a repair is to be begun that could not be when it was found to be needed. */
export function isRepairDue(connection: Connection, now: number): boolean {
  const { session } = connection;
  return session !== null && isOutOfStep(session) && mayBegin(session, now);
}

/**
 * A repair that was under way when the agent was closed, and is to be begun anew when nothing answers it: the database may
 * be a restored one, and the other side knows better. What was agreed on by then goes on.
 */
export function isInterrupted(session: Session): boolean {
  const { stage } = repairOf(session);
  return stage?.type === "called" || stage?.type === "asked";
}

/**
 * Whether what was said is given up: it has led to nothing for long. The other side may have been restored to before what was
 * agreed on, or takes the time of a question for an old one, as this side's clock is behind, or was set back.
 */
export function isGivenUp(session: Session, now: number): boolean {
  const stage = unansweredRepair(session);
  if (stage === null) return false;
  const isAgreed = stage.type === "offered" || stage.type === "answered";
  return Math.abs(now - stage.since) >= (isAgreed ? patience : repairInterval);
}

/** Whether what the other side sends is not decrypted, or what it has is not what was sent. */
function isOutOfStep({ parted = false, strayed = false, undecrypted }: Session): boolean {
  return parted || strayed || undecrypted > 0;
}

/** What a side has said to repair a session, and is not answered. */
export type UnansweredRepair = Extract<RepairStage, { readonly said: unknown }>;

/** What this side has said to repair a session, and is not answered; `null`: nothing. */
export function unansweredRepair(session: Session): UnansweredRepair | null {
  const { stage } = repairOf(session);
  return session.status !== "active" || stage === null || stage.type === "begun" ? null : stage;
}

/**
 * Whether this side has a short time ago begun to repair: a restored side must not take what is told of other frames for
 * its own.
 */
export function isBeingRepaired(session: Session, now: number): boolean {
  const stage = unansweredRepair(session);
  return stage !== null && stage.since <= now && now - stage.since < attemptInterval;
}

/** The IDs of the questions before, with one more. */
export function idsWith(session: Session, id: Uint8Array): readonly Uint8Array<ArrayBuffer>[] {
  const { ids = [] } = repairOf(session);
  return isKnown(session, id) ? ids : [...ids, id.slice()].slice(-mostIds);
}

/** Whether this side has asked a question, or answered it. */
export function isKnown(session: Session, id: Uint8Array): boolean {
  return repairOf(session).ids?.some((known) => equalBytes(known, id)) ?? false;
}

/** The names of the sessions before, with one more. */
export function formerWith(session: Session): readonly Uint8Array<ArrayBuffer>[] {
  const { former } = repairOf(session);
  return session.ratchet === null
    ? former
    : [...former, sessionOf(session.ratchet).slice()].slice(-mostFormer);
}

/** Whether a name of a session is that of one before. */
export function isFormer(session: Session, name: Uint8Array): boolean {
  return repairOf(session).former.some((former) => equalBytes(former, name));
}
