import type { QueueHistory } from "./checker.ts";
import type { Call } from "./history.ts";

/** What may be answered at any time: the server failed, or the queue is full. */
const anyTime: readonly string[] = ["ERR INTERNAL", "ERR QUOTA"];

/**
 * What was created stays, and what was secured, suspended or deleted stays so. `mayBeGone`: the command after which the
 * queue may be gone.
 */
export function checkState({ queue, calls }: QueueHistory, mayBeGone: Call | undefined): string[] {
  const of = (command: string) =>
    calls.find((call) => call.command === command && call.outcome !== "not sent");
  const [secured, suspended, deleted] = [of("KEY"), of("OFF"), of("DEL")];
  const subscribing = calls.filter(({ command }) => command === "SUB");
  return calls.flatMap((call) => {
    const what = `${queue}: ${call.command}${call.text === undefined ? "" : ` ${call.text}`}`;
    if (call.command === "NEW" || call === deleted) return [];
    if (call.outcome === "OK") {
      if (isAfter(call, deleted)) return [`${what} was answered OK after DEL was`];
      if (call.command !== "SEND") return [];
      if (isAfter(call, suspended)) return [`${what} was answered OK after OFF was`];
      if (call.isUnsigned && isAfter(call, secured)) {
        return [`${what} needed no signature after KEY was answered`];
      }
      return [];
    }
    if (!call.outcome.startsWith("ERR") || anyTime.includes(call.outcome)) return [];
    if (call.outcome === "ERR AUTH") {
      if (mayBe(call, mayBeGone)) return [];
      if (call.command === "KEY" && call !== secured && mayBe(call, secured)) return [];
      const isUnfit = call.isUnsigned ? mayBe(call, secured) : secured?.outcome !== "OK";
      const isRefused = mayBe(call, suspended) || isUnfit;
      if (call.command === "SEND" && isRefused) return [];
    }
    const isTaken = subscribing.some(({ connection, began }) =>
      connection !== call.connection && began < call.ended
    );
    if (call.command === "ACK" && call.outcome === "ERR NO_MSG" && isTaken) return [];
    return [`${what} was answered ${call.outcome}`];
  });
}

function isAfter({ began }: Call, done: Call | undefined): boolean {
  return done?.outcome === "OK" && began > done.ended;
}

function mayBe({ ended }: Call, done: Call | undefined): boolean {
  return done !== undefined && done.began < ended && !done.outcome.startsWith("ERR");
}
