import type { Call, Notice } from "./history.ts";

/** A fault, with when it was begun, and how long it took until everything served again. */
export interface Fault {
  readonly name: string;
  readonly what: string;
  /** Milliseconds, as in a history. */
  readonly at: number;
  /** Milliseconds. */
  readonly recovery: number;
  readonly hits: (recipientId: string) => boolean;
}

/** Milliseconds; 0: there was no such client. */
export interface Gaps {
  /** Of clients whose connection was lost. */
  readonly reconnected: number;
  /** Of others, whose queue had an owner that was hit. */
  readonly ownerHit: number;
  /** Of those that have nothing to do with the fault. */
  readonly others: number;
}

/**
 * The longest times between two answers of a client that a fault has fallen into or that have begun before the next
 * fault. Senders are looked at, and recipients that are alone with their queue, as nothing else makes them wait.
 */
export function gapsOf(
  faults: readonly Fault[],
  { calls, notices, queues }: {
    readonly calls: readonly Call[];
    readonly notices: readonly Notice[];
    /** Names with the recipient IDs. */
    readonly queues: ReadonlyMap<string, string>;
  },
): Gaps[] {
  const clients = new Map<string, { recipientId: string; answers: Call[] }>();
  for (const call of calls) {
    const recipientId = queues.get(call.queue);
    if (recipientId === undefined || call.outcome !== "OK") continue;
    if (call.command !== "SEND" && call.command !== "ACK") continue;
    const name = `${call.queue} ${call.command}`;
    const known = clients.get(name);
    if (known === undefined) clients.set(name, { recipientId, answers: [call] });
    else known.answers.push(call);
  }
  for (const { answers } of clients.values()) answers.sort((a, b) => a.endedAt - b.endedAt);
  return faults.map(({ at, hits }, i) => {
    const end = faults[i + 1]?.at ?? Infinity;
    const lost = new Set(
      notices.flatMap((notice) => {
        return notice.type === "CLOSED" && notice.at >= at && notice.at < end ? [notice.connection] : [];
      }),
    );
    const gaps = { reconnected: 0, ownerHit: 0, others: 0 };
    for (const { recipientId, answers } of clients.values()) {
      const { gap, isReconnected } = longest(answers, { at, end, lost });
      const kind = isReconnected ? "reconnected" : hits(recipientId) ? "ownerHit" : "others";
      gaps[kind] = Math.max(gaps[kind], gap);
    }
    return gaps;
  });
}

function longest(
  answers: readonly Call[],
  { at, end, lost }: { readonly at: number; readonly end: number; readonly lost: ReadonlySet<number> },
) {
  let gap = 0, isReconnected = false;
  for (const [i, { endedAt, connection }] of answers.entries()) {
    const next = answers[i + 1];
    if (next === undefined || endedAt >= end) break;
    if (next.endedAt < at) continue;
    gap = Math.max(gap, next.endedAt - endedAt);
    isReconnected ||= lost.has(connection);
  }
  return { gap, isReconnected };
}
