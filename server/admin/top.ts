import type { Look, ScreenSize } from "../../cli/admin/live.ts";
import { duration, size } from "../../cli/admin/words.ts";
import { printable } from "../../cli/printable.ts";
import { milliseconds } from "./report.ts";
import type { ServerStatus } from "./status.ts";

/** The lines of the live view, at most `rows` of at most `columns` characters; rates are those since `last`. */
export function topLines(
  { status, at }: Look<ServerStatus>,
  last: Look<ServerStatus> | null,
  { columns, rows }: ScreenSize,
): readonly string[] {
  const { gauges, totals, workers } = status;
  const rate = (of: (status: ServerStatus) => number) => {
    // Another process has begun to count anew.
    if (last === null || last.status.pid !== status.pid) return "-";
    const seconds = Math.max(1, at - last.at) / 1000;
    return `${Math.max(0, Math.round((of(status) - of(last.status)) / seconds))}/s`;
  };
  const row = (name: string, ...values: readonly string[]) =>
    name.padEnd(16) + values.map((value) => value.padStart(14)).join("");
  const refused = Object.entries(status.refused).filter(([, count]) => count > 0)
    .toSorted(([, a], [, b]) => b - a);
  const refusedRate = (reason: string) => rate(({ refused }) => refused[reason] ?? 0);
  const lines = [
    `SMP server ${status.version}  ${status.notReady ?? "ready"}  up ${duration(status.uptime)}` +
    (workers === undefined ? "" : `  workers ${workers.ready}/${workers.all}`) + "  (q ends this)",
    status.address,
    "",
    row("", "now", "a second", "in all"),
    row("connections", `${gauges.connections}`, rate((s) => s.totals.connections), `${totals.connections}`),
    row("subscriptions", `${gauges.subscriptions}`),
    row("queues", `${gauges.queues}`),
    row("messages", `${gauges.messages}`, rate((s) => s.totals.accepted), `${totals.accepted}`),
    row("delivered", `${gauges.delivered}`, rate((s) => s.totals.delivered), `${totals.delivered}`),
    row("commands", "", rate((s) => s.totals.commands), `${totals.commands}`),
    row("memory", size(gauges.memory)),
    row("errors", "", "", `${totals.internalErrors + totals.logFailures}`),
    `delivery: half ${milliseconds(totals.p50)}, 99 of 100 ${milliseconds(totals.p99)}`,
    ...(refused.length === 0 ? [] : ["", "refused because of"]),
    ...refused.map(([reason, count]) => row(reason, "", refusedRate(reason), `${count}`)),
  ];
  return lines.slice(0, rows).map((line) => printable(line).slice(0, columns));
}
