/** What a side that may have been restored believes of what it has sent since it was started (sessions.md Repair). */
import { equalBytes, type NumberSet } from "../../protocol/mod.ts";
import type { Connection, Fork, RepairPlan, Session, Start } from "../store/store.ts";
import { isCompared, withDigest } from "./digest.ts";
import { withSession } from "./session.ts";

/** A connection as it is when the agent starts: from now on it may part from what it had sent before. */
export function started(connection: Connection): Connection {
  const { session, record: { lastSent } } = connection;
  if (session?.status !== "active" || session.ratchet === null) return connection;
  const here = { number: session.lastNumber, lastSent, ownKey: session.ratchet.ownKey.slice() };
  return withSession(connection, { ...withDigest(session), fork: startedAgain(session.fork ?? null, here) });
}

function startedAgain(fork: Fork | null, here: Required<Start>): Fork {
  if (fork === null) return here;
  if (fork.ownKey === undefined) return { ...fork, ownKey: here.ownKey };
  const isLater = !equalBytes((fork.later ?? fork).ownKey!, here.ownKey);
  return isLater ? { ...fork, later: here } : fork;
}

/**
 * What is left of a fork when the other side has begun a chain that answers a pair: the starts before that pair was made are
 * no restored ones, as the other side has read what came of them.
 */
export function answered(fork: Fork | null, ownKey: Uint8Array): Fork | null {
  if (fork === null || fork.ownKey === undefined || equalBytes(fork.ownKey, ownKey)) return fork;
  const { later = null } = fork;
  return later !== null && equalBytes(later.ownKey!, ownKey) ? later : null;
}

/**
 * What is in doubt when a new session takes the place of the old one: what was said to agree on it may be of a backup, and
 * the other side then has what another life has sent in that session. `ownKey`: of the pair with which it begins.
 */
export function forkOfRepaired(fork: Fork | null, plan: RepairPlan, ownKey: Uint8Array): Fork | null {
  if (fork === null) return null;
  const { number, lastSent } = plan.base === null ? fork : { number: plan.next, lastSent: plan.base };
  return { number, lastSent, ownKey: ownKey.slice() };
}

/** The numbers of a set up to one. */
export function upTo({ upTo, ranges }: NumberSet, most: number): NumberSet {
  return {
    upTo: Math.min(upTo, most),
    ranges: ranges.filter(([from]) => from <= most).map(([from, to]) => [from, Math.min(to, most)] as const),
  };
}

/** Whether this side has sent something of which it believes no receipt yet, as none tells what it is of. */
export function isInDoubt(session: Session): boolean {
  const { fork, lastNumber } = session;
  return fork != null && lastNumber > fork.number && !isCompared(session);
}

/**
 * Whether the next message begins a chain before all that was encrypted for the chain before is at a server: the answer to
 * it would say nothing of that.
 */
export function isAheadOfFrames(session: Session): boolean {
  const { ratchet, lastTaken, lastEncrypted } = session;
  return isInDoubt(session) && ratchet?.turn.side === "own" && lastTaken < lastEncrypted;
}
