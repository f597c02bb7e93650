import { setTimeout as pause } from "node:timers/promises";
import { generateKeyPair } from "../../protocol/mod.ts";
import { Random } from "../agent/model/random.ts";
import { byQueue, check, type Verdict } from "./checker.ts";
import { Churn } from "./churn.ts";
import { drain } from "./drain.ts";
import { missingEnds } from "./ends.ts";
import { type Fault, type Gaps, gapsOf } from "./gaps.ts";
import { type Call, History } from "./history.ts";
import { Pair, type PairKind } from "./pair.ts";
import type { World } from "./peer.ts";
import type { Target } from "./target.ts";

/** What is done to a target. */
export interface RunOptions {
  /** The faults, one after the other. */
  readonly faults: readonly string[];
  /** Queues with a sender and one or two recipients, of each kind in turns. */
  readonly pairs: number;
  /** The same one makes the same choices; what becomes of them depends on time. */
  readonly seed: number;
  /** How many times as long as usual senders wait between messages. @default 1 */
  readonly pace?: number;
  /** Milliseconds between a recovery and the next fault, at most. @default 1000 */
  readonly mostPause?: number;
  /** Milliseconds that clients may take after a fault until each has had an answer, and each END has come. @default 60 000 */
  readonly patience?: number;
  /** Milliseconds after which no fault is begun any more. @default all of `faults` are brought about */
  readonly mostTime?: number;
  /** Is told of each fault when everything serves again. */
  readonly injected?: (fault: Fault) => void;
}

/** What came of it. */
export interface Report {
  readonly verdict: Verdict;
  readonly faults: readonly (Fault & { readonly gaps: Gaps })[];
}

const kinds: readonly PairKind[] = [
  { window: null, recipients: 1 },
  { window: 8, recipients: 1 },
  { window: null, recipients: 2 },
  { window: 4, recipients: 2 },
  { window: null, recipients: 1, isAway: true },
];

/** Puts load on a target, brings faults about, and looks at what clients have seen. */
export async function run(target: Target, options: RunOptions): Promise<Report> {
  const { seed, patience = 60_000 } = options;
  const stop = new AbortController();
  const history = new History();
  const world: World = {
    history,
    addresses: () => target.addresses(),
    keyPair: await generateKeyPair("sign", 1024),
    random: new Random(seed, "load"),
    pace: options.pace ?? 1,
    stop: stop.signal,
  };
  const churns = [new Churn(world, "churn")];
  const pairs = await Promise.all(
    Array.from({ length: options.pairs }, (_, i) => Pair.start(world, `pair${i}`, kinds[i % kinds.length]!)),
  );
  const faults: Fault[] = [];
  try {
    await progress(history, pairs, patience);
    const random = new Random(seed, "faults");
    const end = performance.now() + (options.mostTime ?? Infinity);
    for (const name of options.faults) {
      if (performance.now() > end) break;
      await pause(random.below(options.mostPause ?? 1_000));
      const at = performance.now();
      const { what, hits } = await target.inject(name, random);
      await target.recovered();
      const fault = { name, what, hits, at, recovery: performance.now() - at };
      faults.push(fault);
      options.injected?.(fault);
      await progress(history, pairs, patience);
    }
    stop.abort();
    await Promise.all([...pairs, ...churns].map(({ stopped }) => stopped));
    await untilEnded(history, pairs, patience);
  } finally {
    stop.abort();
    await Promise.all([...pairs, ...churns].map((client) => client[Symbol.asyncDispose]()));
  }
  await drain(world, { pairs, churns });
  const alone = pairs.filter(({ kind }) => kind.recipients === 1 && !kind.isAway);
  const gaps = gapsOf(faults, {
    calls: history.calls,
    queues: new Map(alone.map(({ name, queue }) => [name, queue.recipientId])),
  });
  history.problems.push(...target.failures ?? []);
  return {
    verdict: check(history, target),
    faults: faults.map((fault, i) => ({ ...fault, gaps: gaps[i]! })),
  };
}

/** Waits until each pair has sent and acknowledged something. */
async function progress(history: History, pairs: readonly Pair[], patience: number): Promise<void> {
  const waiting = new Set(
    pairs.flatMap(({ name, kind }) => kind.isAway ? [`${name} SEND`] : [`${name} SEND`, `${name} ACK`]),
  );
  const end = performance.now() + patience;
  const from = history.calls.length;
  while (waiting.size > 0) {
    // Commands that were given before are not counted, as their answers may be from before the fault.
    const calls = history.calls.slice(from);
    if (performance.now() > end) {
      const missing = [...waiting].map((name) => `${name} (${outcomesOf(calls, name.split(" ")[0]!)})`);
      history.problems.push(`no OK in ${patience} ms: ${missing.join(", ")}`);
      return;
    }
    await pause(10);
    for (const { command, queue, outcome } of calls) {
      if (outcome === "OK") waiting.delete(`${queue} ${command}`);
    }
  }
}

/** What became of the commands of a queue, and which one has no answer yet. */
function outcomesOf(calls: readonly Call[], name: string): string {
  const counts = new Map<string, number>();
  for (const { command, queue, outcome, ended } of calls) {
    if (queue !== name) continue;
    const what = `${command} ${ended === Infinity ? "under way" : outcome}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return [...counts].map(([what, count]) => `${count} ${what}`).join(", ");
}

async function untilEnded(history: History, pairs: readonly Pair[], patience: number): Promise<void> {
  const names = new Set(pairs.map(({ name }) => name));
  const end = performance.now() + patience;
  for (;;) {
    const closed = new Set(
      history.notices.flatMap(({ type, connection }) =>
        type === "CLOSED" || type === "LEFT" ? [connection] : []
      ),
    );
    const missing = byQueue(history).filter(({ queue }) => names.has(queue))
      .flatMap((queue) => missingEnds(queue, closed));
    if (missing.length === 0) return;
    if (performance.now() > end) return void history.problems.push(...missing);
    await pause(100);
  }
}
