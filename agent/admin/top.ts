import type { Look, ScreenSize } from "../../cli/admin/live.ts";
import { duration, size } from "../../cli/admin/words.ts";
import { printable } from "../../cli/printable.ts";
import { hostOf, stateLine } from "./report.ts";
import type { AgentStatus } from "./status.ts";

/** The lines of the live view, at most `rows` of at most `columns` characters. */
export function topLines(
  { status }: Look<AgentStatus>,
  _last: Look<AgentStatus> | null,
  { columns, rows }: ScreenSize,
): readonly string[] {
  const { connections, sessions, messages, streams } = status;
  const row = (name: string, ...values: readonly (string | number)[]) =>
    name.padEnd(14) + values.map((value) => `${value}`.padStart(14)).join("");
  const lines = [
    `SMP agent ${status.version}  up ${duration(status.uptime)}  ${status.address}  (q ends this)`,
    `${status.database}  ${size(status.databaseSize)}  memory ${size(status.memory)}`,
    "",
    row("connections", "connected", "joining", "invited", "others"),
    row(
      "",
      connections.connected,
      connections.joining,
      connections.invited,
      connections.suspended + connections.closed + connections.failed,
    ),
    row("sessions", "active", "waiting", "clients"),
    row("", sessions.active, sessions.waiting, status.clients),
    row("messages", "unread", "unsent", "unreadable"),
    row("", messages.unread, messages.unsent, messages.unreadable),
    row("streams", "sending", "receiving", "offered here"),
    row("", streams.sending, streams.receiving, streams.offers),
    "",
    ...status.servers.map((one) => `${hostOf(one)}  ${stateLine(one)}`),
  ];
  return lines.slice(0, rows).map((line) => printable(line).slice(0, columns));
}
