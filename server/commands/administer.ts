import { ask, type Asked } from "../../cli/admin/ask.ts";
import { canWatch, watchLive } from "../../cli/admin/live.ts";
import type { AdminReply, AdminRequest } from "../../cli/admin/messages.ts";
import { osReason } from "../../cli/os_error.ts";
import { jsonText, printable } from "../../cli/printable.ts";
import { adminPlace } from "../admin/place.ts";
import { statusLines } from "../admin/report.ts";
import type { ServerStatus } from "../admin/status.ts";
import { topLines } from "../admin/top.ts";
import type { AdminTask, CliOptions } from "../config/cli.ts";
import { Fatal, type Terminal } from "./terminal.ts";

/** `status`, `reload`, `stop`, `log-level` and `top`: asks the server that runs with these directories. */
export async function administer(options: CliOptions, task: AdminTask, terminal: Terminal): Promise<void> {
  switch (task.type) {
    case "status": {
      const status = await statusOf(options);
      if (task.isJson) return terminal.print(jsonText(status, 2));
      for (const line of statusLines(status)) terminal.print(printable(line));
      return;
    }
    case "top":
      return await top(options);
    default: {
      using asked = await askServer(options, task);
      for (const line of linesOf(asked.reply)) terminal.print(printable(line));
      if (task.type !== "stop") return;
      await asked.ended();
      return terminal.print("stopped");
    }
  }
}

async function askServer(options: CliOptions, request: AdminRequest): Promise<Asked<ServerStatus>> {
  const { configDir } = options;
  let asked;
  try {
    asked = await ask<ServerStatus>(adminPlace(configDir), request);
  } catch (error) {
    const advice = error instanceof Deno.errors.NotCapable ? "; --config-dir says where else it is" : "";
    throw new Fatal(`Cannot ask the server of ${configDir}: ${printable(osReason(error))}${advice}`);
  }
  if (asked === null) {
    throw new Fatal(`No server runs with the files of ${configDir}; --config-dir says where else they are`);
  }
  const { reply } = asked;
  if (reply.ok) return asked;
  asked[Symbol.dispose]();
  throw new Fatal(`The server refuses ${request.type}: ${printable(reply.error)}`);
}

function linesOf(reply: AdminReply<ServerStatus>): readonly string[] {
  return reply.ok && "lines" in reply ? reply.lines : [];
}

async function statusOf(options: CliOptions): Promise<ServerStatus> {
  using asked = await askServer(options, { type: "status" });
  const { reply } = asked;
  // Perhaps one of another version.
  if (reply.ok && "status" in reply && isReadable(reply.status)) return reply.status;
  throw new Fatal("The server gives no status that can be read");
}

function isReadable({ gauges, totals, refused }: ServerStatus): boolean {
  return [gauges, totals, refused].every((values) => typeof values === "object" && values !== null);
}

/** Until q or Ctrl-C, or the server cannot be asked any more. */
async function top(options: CliOptions): Promise<void> {
  if (!canWatch()) {
    throw new Fatal("top needs a terminal: status prints the numbers once, status --json for programs");
  }
  const signal = await watchLive({ look: () => statusOf(options), lines: topLines });
  if (signal !== null) throw new Fatal("interrupted", signal === "SIGINT" ? 130 : 143);
}
