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
  /** Of clients that have connected anew meanwhile. */
  readonly reconnected: number;
  /** Of senders whose connection stayed, to queues whose owner was hit. */
  readonly ownerHit: number;
  /** Of senders whose connection stayed, to other queues; the connection itself may be to what was stopped. */
  readonly others: number;
}

/**
 * The longest times between two answered SENDs, or ACKs, of a queue that the last fault has fallen into, or come before. Recipients count that have connected anew; others may wait for a sender that has. `queues`: the names of
 * those that are looked at, with their recipient IDs.
 */
export function gapsOf(
  faults: readonly Fault[],
  { calls, queues }: { readonly calls: readonly Call[]; readonly queues: ReadonlyMap<string, string> },
): Gaps[] {
  const gaps = faults.map(() => ({ reconnected: 0, ownerHit: 0, others: 0 }));
  const last = new Map<string, Call>();
  for (const call of calls.toSorted((a, b) => a.endedAt - b.endedAt)) {
    const { command, queue, outcome, endedAt, connection } = call;
    if (!queues.has(queue) || outcome !== "OK" || command !== "SEND" && command !== "ACK") continue;
    const before = last.get(`${queue} ${command}`);
    last.set(`${queue} ${command}`, call);
    const isReconnected = before?.connection !== connection;
    if (before === undefined || command === "ACK" && !isReconnected) continue;
    const i = faults.findLastIndex(({ at }) => at <= endedAt);
    if (i === -1) continue;
    const isHit = faults[i]!.hits(queues.get(queue)!);
    const kind = isReconnected ? "reconnected" : isHit ? "ownerHit" : "others";
    gaps[i]![kind] = Math.max(gaps[i]![kind], endedAt - before.endedAt);
  }
  return gaps;
}
