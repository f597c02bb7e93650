import type { Call, History, Notice } from "./history.ts";
import { checkEnds } from "./ends.ts";
import { checkOrder } from "./order.ts";
import { checkState } from "./state.ts";
import type { Target } from "./target.ts";

/** What a history shows. */
export interface Verdict {
  /** What must not be, each as a sentence; none: all is well. */
  readonly problems: readonly string[];
  /** SENDs that were answered OK. */
  readonly accepted: number;
  /** Of those, the ones that were never received. */
  readonly lost: number;
  /** ACKs that were answered OK. */
  readonly acknowledged: number;
  /** Of their messages, those that came again later. */
  readonly undone: number;
  /** Messages that were received more than once. */
  readonly redelivered: number;
  /** Commands of which nobody knows whether they were executed. */
  readonly unknown: number;
  /** Commands that were answered ERR INTERNAL. */
  readonly internal: number;
  /** ENDs that a subscription of a connection has caused which was gone before. */
  readonly lateEnds: number;
}

/** Everything of one queue, in its order. */
export interface QueueHistory {
  readonly queue: string;
  readonly calls: readonly Call[];
  readonly notices: readonly Notice[];
}

/** Looks at what clients have seen after all queues were read to their ends. */
export function check(history: History, { forgetsSuspended }: Pick<Target, "forgetsSuspended">): Verdict {
  const queues = byQueue(history);
  const problems = [...history.problems, ...sameIds(history)];
  const counts = { lost: 0, undone: 0, redelivered: 0, lateEnds: 0 };
  for (const queue of queues) {
    const mayBeGone = queue.calls.find(({ command, outcome }) => {
      return (command === "DEL" || command === "OFF" && forgetsSuspended) && outcome !== "not sent";
    });
    const { lost, redelivered, undone, problems: found } = checkMessages(queue, mayBeGone !== undefined);
    const { lateEnds, problems: ends } = checkEnds(queue);
    counts.lost += lost;
    counts.redelivered += redelivered;
    counts.undone += undone;
    counts.lateEnds += lateEnds;
    problems.push(...found, ...checkOrder(queue), ...ends, ...checkState(queue, mayBeGone));
  }
  const count = (condition: (call: Call) => boolean) => history.calls.filter(condition).length;
  return {
    ...counts,
    problems,
    accepted: count(({ command, outcome }) => command === "SEND" && outcome === "OK"),
    acknowledged: count(({ command, outcome }) => command === "ACK" && outcome === "OK"),
    unknown: count(({ outcome }) => outcome === "unknown"),
    internal: count(({ outcome }) => outcome === "ERR INTERNAL"),
  };
}

/** A history, by queue. */
export function byQueue({ calls, notices }: Pick<History, "calls" | "notices">): QueueHistory[] {
  const queues = new Map<string, { calls: Call[]; notices: Notice[] }>();
  const of = (queue: string) => {
    const known = queues.get(queue) ?? { calls: [], notices: [] };
    queues.set(queue, known);
    return known;
  };
  for (const call of calls) of(call.queue).calls.push(call);
  for (const notice of notices) if (notice.queue !== "") of(notice.queue).notices.push(notice);
  return [...queues].map(([queue, known]) => ({ queue, ...known }));
}

function sameIds({ queues }: History): string[] {
  const ids = new Set<string>();
  const problems: string[] = [];
  for (const { name, recipientId, senderId } of queues) {
    for (const id of [recipientId, senderId]) {
      if (ids.has(id)) problems.push(`${name}: NEW was answered with an ID that another queue has`);
      ids.add(id);
    }
  }
  return problems;
}

function checkMessages({ queue, calls, notices }: QueueHistory, mayBeGone: boolean) {
  const problems: string[] = [];
  const sent = new Map(calls.flatMap((call) => call.command === "SEND" ? [[call.text!, call] as const] : []));
  const idsByText = new Map<string, string>();
  const acknowledgedAt = new Map<string, number>();
  for (const { command, outcome, ended, messageIds = [] } of calls) {
    if (command !== "ACK" || outcome !== "OK") continue;
    for (const id of messageIds) acknowledgedAt.set(id, Math.min(ended, acknowledgedAt.get(id) ?? Infinity));
  }
  const seen = new Set<string>(), again = new Set<string>(), undone = new Set<string>();
  const subscribing = calls.filter(({ command }) => command === "SUB");
  for (const { type, text, messageId, order, connection } of notices) {
    if (type !== "MSG") continue;
    const call = sent.get(text!);
    if (call === undefined) problems.push(`${queue}: ${text} was received and never sent to it`);
    else if (call.outcome !== "OK" && call.outcome !== "unknown") {
      problems.push(`${queue}: ${text} was received, and its SEND had the outcome ${call.outcome}`);
    }
    const id = idsByText.get(text!) ?? messageId!;
    if (id !== messageId) problems.push(`${queue}: ${text} was sent once and is there twice`);
    idsByText.set(text!, id);
    if (seen.has(messageId!)) again.add(messageId!);
    seen.add(messageId!);
    // To a former subscriber it may have been on its way when another one acknowledged it.
    const subscription = subscribing.findLast((call) => call.connection === connection && call.began < order);
    if ((subscription?.began ?? 0) > (acknowledgedAt.get(messageId!) ?? Infinity)) undone.add(messageId!);
  }
  let lost = 0;
  for (const { text, outcome } of sent.values()) {
    if (outcome !== "OK" || mayBeGone || idsByText.has(text!)) continue;
    lost++;
    problems.push(`${queue}: ${text} was answered OK and is lost`);
  }
  return { problems, lost, redelivered: again.size, undone: undone.size };
}
