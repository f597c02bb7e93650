import {
  encodeFrame,
  messageHash,
  type NumberSet,
  type RepairAccount,
  type RepairRest,
} from "../../protocol/mod.ts";
import type { BegunSession, ConnectionEvent, RenumberedFrame } from "../core/types.ts";
import type { LastMessage } from "../protocol/integrity.ts";
import { forkOfRepaired } from "../session/fork.ts";
import { difference, hasNumber, noNumbers, union } from "../session/number_set.ts";
import type {
  AgentStore,
  Connection,
  FrameRecord,
  MessageRecord,
  RepairPlan,
  RepairStage,
} from "../store/store.ts";
import type { AgentContext } from "./context.ts";
import { releaseHeld } from "./packets.ts";
import { framesAfter, onlyFrame, padded } from "./repair_numbers.ts";

type Context = Pick<AgentContext, "store" | "now" | "allowUnverified">;

/** What is made of a session that takes the place of another one. */
export interface NewBeginning {
  readonly begun: Pick<BegunSession, "ratchet" | "safetyCode">;
  /** What becomes of this side's numbers. */
  readonly plan: RepairPlan;
  /** What the other side has, and what it can still send. */
  readonly account: RepairAccount;
  readonly rest: RepairRest;
  /** How far the repair is then. */
  readonly stage: RepairStage | null;
}

/** What happens when a new session takes the place of the old one: what both sides have by then is the same. */
export async function repairedEvent(
  context: Context,
  connection: Connection,
  { begun, plan, account, rest, stage }: NewBeginning,
): Promise<ConnectionEvent> {
  const session = connection.session!;
  const receipted = union(union(session.receipted, account.stored), between(plan.kept, plan.next));
  const stored = union(union(session.stored, rest.receipted), between(rest.kept, rest.next));
  const opened = await releaseHeld(context, connection, { stored, now: context.now() });
  const taken: Pick<FrameRecord, "number" | "messageId">[] = [];
  /** The user numbers that messages without receipt have. */
  let left = noNumbers;
  const renumbered: RenumberedFrame[] = [];
  let last = plan.base ?? connection.record.lastSent;
  for await (const frame of framesAfter(context.store, connection.record.id, session.receipted.upTo)) {
    const { number, messageId } = frame;
    if (plan.base !== null && number > plan.kept) {
      const made = await renumber(context, frame, { number: plan.next + 1 + renumbered.length, last });
      renumbered.push(made.renumbered);
      last = made.last;
    } else if (hasNumber(receipted, number)) taken.push({ number, messageId });
    else if (plan.isUnsure) left = withMessage(left, frame.frame);
  }
  const lastNumber = plan.base === null ? session.lastNumber : plan.next + renumbered.length;
  const fork = forkOfRepaired(session.fork ?? null, plan, begun.ratchet.ownKey);
  // What the other side has told is what it begins with.
  const receiptedDigest = account.told?.digest ?? null;
  // Of those that have a receipt the other side may have other ones: nothing is told of them any more.
  const upTo = (plan.base ?? connection.record.lastSent).id;
  const delivered = plan.isUnsure
    ? union(session.delivered, { upTo: 0, ranges: difference({ upTo, ranges: [] }, left) })
    : session.delivered;
  const numbers = { receipted, receiptedDigest, delivered, stored, lastNumber, lastSent: last, fork };
  return { type: "repaired", begun, numbers, taken, renumbered, opened, stage, copies: rest.next };
}

/** A frame with another number; of a user message with another user number too, after the last one. */
async function renumber(
  { store }: Context,
  record: FrameRecord,
  { number, last }: { readonly number: number; readonly last: LastMessage },
): Promise<{ readonly renumbered: RenumberedFrame; readonly last: LastMessage }> {
  const content = onlyFrame(record.frame);
  if (content === null) throw new Error(`Cannot go on: frame ${record.number} is damaged`);
  const empty = { ...record, number, message: new Uint8Array(0) };
  if (content.kind !== "message") {
    const frame = { ...empty, frame: encodeFrame({ ...content, number }) };
    return { renumbered: { from: record.number, frame, message: null }, last };
  }
  const changed = { ...content, number, userNumber: last.id + 1, previousHash: padded(last.hash) };
  const message = await messageOf(store, record, content.userNumber);
  // That a server has it is told once; one that is not kept any more was told.
  const messageId = message === null || message.done ? 0 : record.messageId;
  const frame = { ...empty, messageId, frame: encodeFrame(changed) };
  return {
    renumbered: {
      from: record.number,
      frame,
      message: message && { ...message, number: changed.userNumber },
    },
    last: { id: changed.userNumber, hash: await messageHash(changed) },
  };
}

/** The message that a frame is of; a frame that has got new numbers before may have it by its user number alone. */
async function messageOf(
  store: AgentStore,
  { connection, messageId }: Pick<FrameRecord, "connection" | "messageId">,
  userNumber: number,
): Promise<MessageRecord | null> {
  if (messageId !== 0) return await store.message(connection, messageId);
  const [found] = await store.undelivered(connection, userNumber, userNumber, 1);
  return found === undefined ? null : await store.message(connection, found.id);
}

/** User numbers with that of a message. */
function withMessage(numbers: NumberSet, bytes: Uint8Array<ArrayBuffer>): NumberSet {
  const frame = onlyFrame(bytes);
  return frame?.kind === "message"
    ? union(numbers, between(frame.userNumber - 1, frame.userNumber))
    : numbers;
}

/** The numbers after one up to another one. */
function between(after: number, upTo: number): NumberSet {
  return { upTo: 0, ranges: upTo > after ? [[after + 1, upTo]] : [] };
}
