import { Sections } from "../../cli/admin/sections.ts";
import { duration, size } from "../../cli/admin/words.ts";
import { counted } from "../../cli/counted.ts";
import type { AgentStatus, ListedServer } from "./status.ts";

/** What `agent status` prints: sections of `name: value`. */
export function statusLines(status: AgentStatus): readonly string[] {
  const { connections, sessions, messages, streams } = status;
  const all = Object.values(connections).reduce((sum, count) => sum + count, 0);
  const sections = new Sections();
  sections.add("agent", {
    version: status.version,
    process: status.pid,
    uptime: duration(status.uptime),
    address: status.address,
    clients: status.clients,
    database: `${status.database} (${size(status.databaseSize)})`,
    memory: size(status.memory),
    "log level": status.logLevel,
  });
  sections.add("connections", {
    all,
    ...present(connections),
    "with a session": sessions.active,
    "session not agreed on": sessions.waiting || undefined,
  });
  sections.add("waiting", {
    "messages unread": messages.unread,
    "messages unreadable": messages.unreadable || undefined,
    "to be sent in sessions": messages.unsent,
    "to be sent without": status.waitingQueues === 0 ? 0 : `in ${counted(status.waitingQueues, "queue")}`,
    "streams offered here": streams.offers,
    "streams offered there": streams.offered,
  });
  sections.add("streams", { sending: streams.sending, receiving: streams.receiving });
  sections.add("servers", status.servers.map((one) => [hostOf(one), stateLine(one)] as const));
  return sections.lines;
}

/** Its name and port; keys are for `--json`. */
export function hostOf({ server }: ListedServer): string {
  return server.split("#", 1)[0]!;
}

/** How a server is, and since when. */
export function stateLine({ state, since }: ListedServer): string {
  return since === null ? state : `${state} since ${since.slice(0, 19).replace("T", " ")} UTC`;
}

function present(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}
