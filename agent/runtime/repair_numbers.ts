/** What a side tells of numbers to repair a session, and what it makes of what the other tells (sessions.md Repair). */
import {
  decodeFrames,
  equalBytes,
  type Frame,
  frameName,
  frameNameLength,
  messageHash,
  mostNames,
  mostRanges,
  type NumberSet,
  type RepairAccount,
  type RepairRest,
  repairWindow,
} from "../../protocol/mod.ts";
import type { LastMessage } from "../protocol/integrity.ts";
import { tellsDigests, toldDigest } from "../session/digest.ts";
import { countBeyond, difference, greatest } from "../session/number_set.ts";
import { mostUnreceipted } from "../session/session.ts";
import type { AgentStore, Connection, FrameRecord, RepairPlan, Session } from "../store/store.ts";
import { digestOver } from "./frame_digest.ts";

/** Frames that are read at a time. */
const batchSize = 100;

type Stored = { readonly store: AgentStore };

/** What this side has of the other's frames, those that are held too; `isCompared`: with a digest, if all of it can be told. */
export async function accountOf(
  { store }: Stored,
  { record, session }: Connection,
  isCompared: boolean,
): Promise<RepairAccount> {
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
  const digest = isCompared && toldEnd(stored) >= greatest(stored) ? toldDigest(session!) : null;
  const account = { stored: windowOf(stored), greatest: greatest(stored), last };
  return digest === null
    ? account
    : { ...account, told: { digest, names: await heldNames(store, id, stored) } };
}

/** The names of the frames that are held; none when there are too many. */
async function heldNames(store: AgentStore, connection: string, stored: NumberSet) {
  const names: Uint8Array<ArrayBuffer>[] = [];
  if (countBeyond(stored) > mostNames) return names;
  for (const [from, to] of stored.ranges) {
    for (let number = from; number <= to; number++) {
      const held = await store.held(connection, number);
      names.push(held === null ? new Uint8Array(frameNameLength) : await frameName(held.frame));
    }
  }
  return names;
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
  const { session } = connection;
  if (tellsDigests(session!) || account.told !== undefined && session!.receiptedDigest != null) {
    return await comparedPlan(store, connection, account);
  }
  const { lastNumber, fork, receipted } = session!;
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
 * The same where the other side tells digests: what has no receipt has new numbers, unless what the other side has of it is
 * what was sent.
 */
async function comparedPlan(
  store: AgentStore,
  connection: Connection,
  account: RepairAccount,
): Promise<RepairPlan> {
  const { record: { id, lastSent }, session } = connection;
  const { lastNumber, receipted } = session!;
  const last = Math.max(lastNumber, greatest(receipted));
  const before = await messageBefore(store, id, receipted.upTo) ?? lastSent;
  const likeness = account.greatest > last ? "other" : await likenessOf(store, connection, account);
  const unsure = likeness === "same" ? {} : { isUnsure: true };
  if (likeness !== "other") {
    const told = toldEnd(receipted), same = { kept: lastNumber, next: lastNumber, base: null };
    const isWhole = told >= greatest(receipted) || account.greatest > told;
    return { ...isWhole ? same : await shortened(store, connection, told), ...unsure };
  }
  const { upTo } = account.stored;
  const next = Math.max(last, upTo + 2 * mostUnreceipted, account.greatest + mostUnreceipted);
  // The numbers of messages that have receipts are not given again.
  const base = receipted.ranges.length > 0 ? lastSent : before;
  return { kept: receipted.upTo, next, base: account.last.id >= base.id ? account.last : base, ...unsure };
}

/** Whether what the other side has is what this side has sent, is less than it has told, or is something else. */
async function likenessOf(
  store: AgentStore,
  { record: { id, lastSent }, session }: Connection,
  { stored, last, told }: RepairAccount,
): Promise<"same" | "less" | "other"> {
  const { receipted, receiptedDigest } = session!;
  const news = difference(stored, receipted), isBehind = difference(receipted, stored).length > 0;
  // The last message that may have a receipt: some before it may have none.
  const before = await messageBefore(store, id, greatest(receipted)) ?? lastSent;
  if (news.length === 0 && (last.id > before.id || last.id === before.id && !isHashOf(last, before))) {
    return "other";
  }
  // What it had is lost there, and what has no receipt has not come.
  if (isBehind) {
    return news.length === 0 || told && await areHeld(store, id, { stored, news, names: told.names })
      ? "less"
      : "other";
  }
  if (told === undefined || receiptedDigest == null || last.id > lastSent.id) return "other";
  const expected = await digestOver(store, id, { digest: receiptedDigest, ranges: news });
  return equalBytes(expected, told.digest) ? "same" : "other";
}

/** Whether frames that the other side has and has not told before are those of this side, by their names. */
async function areHeld(
  store: AgentStore,
  connection: string,
  { stored, news, names }: {
    readonly stored: NumberSet;
    readonly news: readonly (readonly [from: number, to: number])[];
    readonly names: readonly Uint8Array[];
  },
): Promise<boolean> {
  const held = stored.ranges.flatMap(([from, to]) => numbersFrom(from, to));
  if (names.length !== held.length) return false;
  for (const number of news.flatMap(([from, to]) => numbersFrom(from, to))) {
    const name = names[held.indexOf(number)];
    const [frame] = await store.frames(connection, number - 1, 1);
    if (name === undefined || frame?.number !== number) return false;
    if (!equalBytes(name, await frameName(frame.frame))) return false;
  }
  return true;
}

function numbersFrom(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
}

function isHashOf(last: LastMessage, before: LastMessage): boolean {
  return equalBytes(padded(last.hash), padded(before.hash));
}

/** The user message before the first one after a number that has no receipt; `null`: there is none. */
async function messageBefore(
  store: AgentStore,
  connection: string,
  number: number,
): Promise<LastMessage | null> {
  for await (const { frame } of framesAfter(store, connection, number)) {
    const content = onlyFrame(frame);
    if (content?.kind === "message") {
      return { id: content.userNumber - 1, hash: content.previousHash.slice() };
    }
  }
  return null;
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
  return { kept, next, base: await messageBefore(store, id, kept) ?? lastSent };
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
