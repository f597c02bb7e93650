import type { Call } from "./history.ts";

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
  /** Of queues with a client that has connected anew meanwhile. */
  readonly reconnected: number;
  /** Of other queues, whose owner was hit. */
  readonly ownerHit: number;
  /** Of those that have nothing to do with the fault. */
  readonly others: number;
}

/**
 * The longest times between two answered SENDs, or ACKs, of a queue that a fault has fallen into or that have begun before
 * the next fault. `queues`: the names of those that are looked at, with their recipient IDs.
 */
export function gapsOf(
  faults: readonly Fault[],
  { calls, queues }: { readonly calls: readonly Call[]; readonly queues: ReadonlyMap<string, string> },
): Gaps[] {
  const answers = new Map<string, Call[]>();
  for (const call of calls.toSorted((a, b) => a.endedAt - b.endedAt)) {
    const { command, queue, outcome } = call;
    if (!queues.has(queue) || outcome !== "OK" || command !== "SEND" && command !== "ACK") continue;
    const known = answers.get(`${queue} ${command}`);
    if (known === undefined) answers.set(`${queue} ${command}`, [call]);
    else known.push(call);
  }
  return faults.map(({ at, hits }, i) => {
    const end = faults[i + 1]?.at ?? Infinity;
    const gaps = { reconnected: 0, ownerHit: 0, others: 0 };
    for (const [queue, recipientId] of queues) {
      const both = ["SEND", "ACK"].map((command) =>
        longest(answers.get(`${queue} ${command}`) ?? [], { at, end })
      );
      const kind = both.some(({ isReconnected }) => isReconnected)
        ? "reconnected"
        : hits(recipientId)
        ? "ownerHit"
        : "others";
      gaps[kind] = Math.max(gaps[kind], ...both.map(({ gap }) => gap));
    }
    return gaps;
  });
}

function longest(answers: readonly Call[], { at, end }: { readonly at: number; readonly end: number }) {
  let gap = 0, isReconnected = false;
  for (const [i, { endedAt, connection }] of answers.entries()) {
    const next = answers[i + 1];
    if (next === undefined || endedAt >= end) break;
    if (next.endedAt < at) continue;
    gap = Math.max(gap, next.endedAt - endedAt);
    isReconnected ||= next.connection !== connection;
  }
  return { gap, isReconnected };
}
