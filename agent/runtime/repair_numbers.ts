/** What a side tells of numbers to repair a session, and what it makes of what the other tells (sessions.md Repair). */
import {
  decodeFrames,
  equalBytes,
  type Frame,
  messageHash,
  mostRanges,
  type NumberSet,
  type RepairAccount,
  type RepairRest,
  repairWindow,
} from "../../protocol/mod.ts";
import type { LastMessage } from "../protocol/integrity.ts";
import { greatest } from "../session/number_set.ts";
import { mostUnreceipted } from "../session/session.ts";
import type { AgentStore, Connection, FrameRecord, RepairPlan, Session } from "../store/store.ts";

/** Frames that are read at a time. */
const batchSize = 100;

type Stored = { readonly store: AgentStore };

/** What this side has of the other's frames, those that are held too. */
export async function accountOf({ store }: Stored, { record, session }: Connection): Promise<RepairAccount> {
  const { id, lastReceived } = record;
  const { stored } = session!;
  let last = { id: lastReceived.id, hash: padded(lastReceived.hash) };
  for (const [from, to] of stored.ranges) {
    for (let number = from; number <= to; number++) {
      const held = await store.held(id, number);
      const frame = held === null ? null : onlyFrame(held.frame);
      if (frame?.kind !== "message" || frame.userNumber <= last.id) continue;
      last = { id: frame.userNumber, hash: await messageHash(frame) };
    }
  }
  return { stored: windowOf(stored), greatest: greatest(stored), last };
}

/** What this side can still send. */
export function restOf({ receipted }: Session, { kept, next }: RepairPlan): RepairRest {
  return { receipted: windowOf(receipted), kept, next };
}

/**
 * What becomes of this side's numbers when the other side has what it tells. Where that has frames that this side did not
 * send since it was started, this side was restored: what it has sent since has numbers that mean something else there.
 */
export async function planOf(
  { store }: Stored,
  connection: Connection,
  account: RepairAccount,
): Promise<RepairPlan> {
  const { lastNumber, fork, receipted } = connection.session!;
  const { number: kept, lastSent } = fork ?? { number: lastNumber, lastSent: connection.record.lastSent };
  const same = { kept: lastNumber, next: lastNumber, base: null };
  const isSame = account.greatest <= kept ||
    account.greatest <= lastNumber && await isOwn(store, connection, { account, kept, lastSent });
  if (isSame) {
    const told = toldEnd(receipted);
    const isWhole = told >= greatest(receipted) || account.greatest > told;
    return isWhole ? same : await shortened(store, connection, told);
  }
  const { last, stored } = account;
  // Beyond all that can be on its way yet: no more than so many are encrypted without receipt.
  const next = Math.max(kept, stored.upTo + 2 * mostUnreceipted, account.greatest + mostUnreceipted);
  return { kept, next, base: last.id > lastSent.id ? last : lastSent };
}

/**
 * More was left out in a repair before than can be told: what comes after what can has other numbers, and all else is as
 * it was.
 */
async function shortened(
  store: AgentStore,
  { record: { id, lastSent }, session }: Connection,
  kept: number,
): Promise<RepairPlan> {
  const next = Math.max(session!.lastNumber, greatest(session!.receipted));
  for await (const { frame } of framesAfter(store, id, kept)) {
    const content = onlyFrame(frame);
    if (content?.kind !== "message") continue;
    return { kept, next, base: { id: content.userNumber - 1, hash: content.previousHash.slice() } };
  }
  return { kept, next, base: lastSent };
}

/** Whether the last user message that the other side has is the one that this side has sent since it was started. */
async function isOwn(
  store: AgentStore,
  { record: { id } }: Connection,
  { account: { greatest, last }, kept, lastSent }: {
    readonly account: RepairAccount;
    readonly kept: number;
    readonly lastSent: LastMessage;
  },
): Promise<boolean> {
  for await (const { number, frame } of framesAfter(store, id, kept)) {
    const content = onlyFrame(frame);
    if (content?.kind !== "message") continue;
    if (content.userNumber === last.id) return equalBytes(await messageHash(content), last.hash);
    // The other side would have this one.
    if (last.id <= lastSent.id && number <= greatest) return false;
  }
  return last.id <= lastSent.id;
}

/** The frames of a connection after a number, in their order. */
export async function* framesAfter(
  store: AgentStore,
  connection: string,
  number: number,
): AsyncGenerator<FrameRecord, void, void> {
  for (let after = number;;) {
    const frames = await store.frames(connection, after, batchSize);
    yield* frames;
    if (frames.length < batchSize) return;
    after = frames.at(-1)!.number;
  }
}

/** The frame of a record; `null` when it is damaged. */
export function onlyFrame(bytes: Uint8Array<ArrayBuffer>): Frame | null {
  const decoded = decodeFrames(bytes);
  return decoded.ok ? decoded.frames[0]! : null;
}

/** A hash of 32 bytes; zeros for none. */
export function padded(hash: Uint8Array): Uint8Array<ArrayBuffer> {
  return hash.length === 0 ? new Uint8Array(32) : hash.slice();
}

/** A set as far as it is told. */
function windowOf(set: NumberSet): NumberSet {
  const end = set.upTo + repairWindow;
  const told = set.ranges.filter(([from]) => from <= end).slice(0, mostRanges);
  return { upTo: set.upTo, ranges: told.map(([from, to]) => [from, Math.min(to, end)] as const) };
}

/** Up to which number a set is told. */
function toldEnd(set: NumberSet): number {
  const told = windowOf(set);
  return told.ranges.length < mostRanges ? set.upTo + repairWindow : greatest(told);
}
