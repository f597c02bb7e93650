import type { QueueHistory } from "./checker.ts";
import type { Call, Notice } from "./history.ts";

/**
 * Messages of a queue come in the order in which they were sent: those of one connection in the order of its commands,
 * others when one was answered before the next was given. That holds for what comes for the first time and within each
 * subscription, and a subscription gets no message again and no more than its window takes.
 */
export function checkOrder({ queue, calls, notices }: QueueHistory): string[] {
  const sent = new Map(calls.flatMap((call) => call.command === "SEND" ? [[call.text!, call] as const] : []));
  const messages = notices.filter(({ type }) => type === "MSG");
  const seen = new Set<string>();
  const first = messages.filter(({ messageId }) => !seen.has(messageId!) && seen.add(messageId!));
  const problems = inOrder(queue, first, sent);
  for (const [subscription, received] of bySubscription(calls, messages)) {
    problems.push(...inOrder(queue, received, sent));
    problems.push(...checkSubscription(queue, received, { calls, subscription }));
  }
  return problems;
}

function inOrder(queue: string, messages: readonly Notice[], sent: ReadonlyMap<string, Call>): string[] {
  const problems: string[] = [];
  const lastOf = new Map<number, number>();
  let latest = 0;
  for (const { text } of messages) {
    const call = sent.get(text!);
    if (call === undefined) continue;
    const { connection, began, ended, outcome } = call;
    const isAnswered = outcome === "OK";
    if (began < (lastOf.get(connection) ?? 0) || isAnswered && ended < latest) {
      problems.push(`${queue}: ${text} came after what was sent later`);
    }
    lastOf.set(connection, Math.max(began, lastOf.get(connection) ?? 0));
    latest = Math.max(latest, began);
  }
  return problems;
}

/** The messages that came to each subscription, by the command that asked for it. */
function bySubscription(calls: readonly Call[], messages: readonly Notice[]): Map<Call, Notice[]> {
  const asked = calls.filter(({ command }) => command === "SUB" || command === "NEW");
  const received = new Map<Call, Notice[]>();
  for (const message of messages) {
    const { connection, order } = message;
    const subscription = asked.findLast((call) => call.connection === connection && call.began < order);
    if (subscription === undefined) continue;
    const known = received.get(subscription);
    if (known === undefined) received.set(subscription, [message]);
    else known.push(message);
  }
  return received;
}

function checkSubscription(
  queue: string,
  received: readonly Notice[],
  { calls, subscription }: { readonly calls: readonly Call[]; readonly subscription: Call },
): string[] {
  const problems: string[] = [];
  const { connection, began, window = 1 } = subscription;
  const acknowledging = calls.filter((call) =>
    call.command === "ACK" && call.connection === connection && call.began > began
  );
  const delivered = new Set<string>(), unacknowledged = new Set<string>();
  for (const { messageId, text, order } of received) {
    if (delivered.has(messageId!)) problems.push(`${queue}: ${text} came twice to one subscription`);
    delivered.add(messageId!);
    unacknowledged.add(messageId!);
    while (acknowledging[0] !== undefined && acknowledging[0].began < order) {
      for (const id of acknowledging.shift()!.messageIds ?? []) unacknowledged.delete(id);
    }
    if (unacknowledged.size > window) problems.push(`${queue}: ${text} came although the window was full`);
  }
  return problems;
}
