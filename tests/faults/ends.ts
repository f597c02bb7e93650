import type { QueueHistory } from "./checker.ts";
import type { Call, Notice } from "./history.ts";

/** A subscriber gets END only when another connection has subscribed. */
export function checkEnds({ queue, calls, notices }: QueueHistory) {
  const asked = calls.filter(isSubscribing);
  const problems: string[] = [];
  let lateEnds = 0;
  for (const { type, connection, order } of notices) {
    if (type !== "END") continue;
    const own = asked.findLast((call) => call.connection === connection && call.began < order);
    // What was not answered may be executed at any time.
    const causes = asked.filter((call) =>
      call.connection !== connection && call.began < order &&
      (call.outcome === "unknown" || call.ended > (own?.began ?? 0))
    );
    if (own === undefined || causes.length === 0) {
      problems.push(`${queue}: END came, and nobody else had subscribed`);
    } else if (causes.every(({ outcome, ended }) => outcome === "unknown" && ended < own.began)) lateEnds++;
  }
  return { problems, lateEnds };
}

/** Subscribers that another one has followed and that do not know, each as a sentence; asked when nothing is in work. */
export function missingEnds({ queue, calls, notices }: QueueHistory, closed: ReadonlySet<number>): string[] {
  const asked = calls.filter((call) => isSubscribing(call) && call.outcome === "OK");
  const last = new Map(asked.map((call) => [call.connection, call]));
  const isTold = ({ connection, began }: Call) => (notice: Notice) =>
    notice.type === "END" && notice.connection === connection && notice.order > began;
  return [...last.values()].flatMap((own) => {
    const isFollowed = asked.some((call) => call.connection !== own.connection && call.began > own.ended);
    if (!isFollowed || closed.has(own.connection) || notices.some(isTold(own))) return [];
    return [`${queue}: another connection has subscribed, and the former one got no END`];
  });
}

function isSubscribing({ command, outcome }: Call): boolean {
  return (command === "SUB" || command === "NEW") && !outcome.startsWith("ERR") && outcome !== "not sent";
}
