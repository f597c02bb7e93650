import type { NumberSet, Receipt } from "../../protocol/mod.ts";
import type { Command } from "../core/types.ts";
import type { Connection, Session, StoreChange, StoredEvent } from "../store/store.ts";
import type { FrameHandler } from "./arrival.ts";
import { tellsDigests } from "./digest.ts";
import { difference, greatest, hasNumber, toldSet, union } from "./number_set.ts";
import { unansweredRepair } from "./repair_state.ts";
import { dropEnded } from "./routes.ts";
import { canEncrypt, mostWaiting, withSession } from "./session.ts";

/**
 * Milliseconds for which the other side may miss a frame that is sent again and again: then the key of its message was used
 * for another one, by another life of this side, and it needs a new one.
 */
const longestGap = 3_600_000;

/** Ranges of user numbers that are remembered: only a peer that leaves out numbers has more. */
export const mostScattered = 4 * mostWaiting;

/** What the other side is told of what has come. */
export function receiptOf({ stored, acknowledged }: Session): Receipt {
  return { stored: toldSet(stored), acknowledged: toldSet(acknowledged) };
}

/** The other side tells what it has; of numbers that were not sent nothing is believed. */
export const receiveReceipt: FrameHandler<"receipt"> = (
  connection,
  { frame: { stored }, delivered, taken },
  context,
) => {
  const { record: { id }, session, outbound } = connection;
  const { lastEncrypted, receipted } = session!;
  const changes: StoreChange[] = [], events: StoredEvent[] = [], commands: Command[] = [];
  let changed = connection;
  // After a repair what is receipted may be beyond what is encrypted again.
  // While it is being repaired, it may tell of other frames with these numbers.
  const isBelieved = unansweredRepair(session!) === null;
  if (isBelieved && greatest(stored) <= Math.max(lastEncrypted, greatest(receipted))) {
    const news = difference(stored, receipted);
    for (const [from, to] of news) {
      for (let number = from; number <= to; number++) {
        changes.push({ type: "delete frame", connection: id, number });
      }
    }
    for (const { number, messageId } of taken) {
      if (messageId === 0 || hasNumber(receipted, number)) continue;
      changes.push({ type: "message done", connection: id, id: messageId });
      events.push({ type: "sent", id: messageId });
    }
    const united = union(receipted, stored);
    changed = withSession(changed, {
      receipted: united,
      ...news.length > 0 && { quietSince: context.now },
    });
    // It may have been made for that, by a side that cannot read.
    const hasAcknowledged = delivered !== null &&
      difference(delivered.numbers, session!.delivered).length > 0;
    const missed = gapOf(changed.session!, hasAcknowledged ? null : context.now);
    changed = withSession(changed, { missed });
    const isLong = missed !== null && Math.abs(context.now - missed.since) > longestGap;
    if (isLong && !hasAcknowledged && tellsDigests(session!)) {
      changed = withSession(changed, { strayed: true });
      commands.push({ type: "repair" });
    }
    if (canEncrypt(changed.session!)) commands.push({ type: "encrypt" });
    // What lies before something that came on the same route is lost.
    for (const { id: route, cursor } of united.ranges.length > 0 ? outbound : []) {
      if (cursor >= greatest(stored)) commands.push({ type: "repeat", route });
    }
    const ended = dropEnded(changed, context);
    changed = ended.connection;
    changes.push(...ended.changes);
    events.push(...ended.events);
    commands.push(...ended.commands);
  }
  if (delivered !== null) {
    changed = withSession(changed, { delivered: delivered.numbers });
    for (const message of delivered.messages) {
      changes.push({ type: "message delivered", connection: id, id: message.id });
      events.push({ type: "delivered", id: message.id });
    }
  }
  return { connection: changed, changes, events, commands };
};

/**
 * What the other side misses, and since when it has told so though it has had what came after that, or all was sent again
 * ({@linkcode repeatAll}), by receipts that it had no other reason for; `null`: nothing. `now`: of such a receipt.
 */
function gapOf({ receipted: { upTo, ranges }, missed }: Session, now: number | null) {
  const isSame = missed?.after === upTo;
  if (now === null) return isSame ? missed : null;
  if (!isSame && ranges.length === 0) return null;
  return isSame && missed.since > 0 ? missed : { after: upTo, since: now };
}

/** The numbers that the application has acknowledged, with one more where there is room for it. */
export function withAcknowledged({ acknowledged }: Session, number: number): NumberSet {
  const united = union(acknowledged, { upTo: 0, ranges: [[number, number]] });
  return united.ranges.length > mostScattered ? acknowledged : united;
}

/** The application has acknowledged a message, for the first time, that the other side has given a number. */
export function acknowledgedInSession(
  connection: Connection,
  number: number,
): { readonly connection: Connection; readonly commands: readonly Command[] } {
  const { session, inbound } = connection;
  if (number === 0) return { connection, commands: [] };
  const acknowledged = withAcknowledged(session!, number);
  const waiting = Math.max(0, session!.waiting - 1);
  return {
    connection: withSession(connection, { acknowledged, waiting, receiptDue: true }),
    commands: [
      { type: "tell receipt" },
      ...inbound.map(({ id }) => ({ type: "resume", route: id }) as const),
    ],
  };
}
