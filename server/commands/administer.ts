import { jsonText, printable } from "../../cli/printable.ts";
import { ask, type Asked } from "../admin/ask.ts";
import { reasonOf } from "../admin/listen.ts";
import type { AdminReply, AdminRequest, ServerStatus } from "../admin/messages.ts";
import { adminPlace } from "../admin/place.ts";
import { statusLines } from "../admin/report.ts";
import { type Look, topLines } from "../admin/top.ts";
import type { AdminTask, CliOptions } from "../config/cli.ts";
import { Fatal, type Terminal } from "./terminal.ts";

/** Milliseconds between two looks. */
const lookInterval = 1_000;

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

async function askServer(options: CliOptions, request: AdminRequest): Promise<Asked> {
  const { configDir } = options;
  let asked;
  try {
    asked = await ask(adminPlace(configDir), request);
  } catch (error) {
    throw new Fatal(`Cannot ask the server of ${configDir}: ${printable(reasonOf(error))}`);
  }
  if (asked === null) {
    throw new Fatal(`No server runs with the files of ${configDir}; --config-dir says where else they are`);
  }
  const { reply } = asked;
  if (reply.ok) return asked;
  asked[Symbol.dispose]();
  throw new Fatal(`The server refuses ${request.type}: ${printable(reply.error)}`);
}

function linesOf(reply: AdminReply): readonly string[] {
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
  if (!Deno.stdin.isTerminal() || !Deno.stdout.isTerminal()) {
    throw new Fatal("top needs a terminal: status prints the numbers once, status --json for programs");
  }
  const write = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(text));
  const ending = new AbortController();
  let last: Look | null = { status: await statusOf(options), at: performance.now() };
  let previous: Look | null = null;
  Deno.stdin.setRaw(true);
  // Another screen, without a cursor.
  write("\x1b[?1049h\x1b[?25l");
  try {
    void untilKey(ending);
    while (!ending.signal.aborted) {
      const lines = topLines(last, previous, Deno.consoleSize());
      write(`\x1b[H${lines.map((line) => `${line}\x1b[K`).join("\r\n")}\x1b[J`);
      await pause(lookInterval, ending.signal);
      if (ending.signal.aborted) return;
      [previous, last] = [last, { status: await statusOf(options), at: performance.now() }];
    }
  } finally {
    write("\x1b[?25h\x1b[?1049l");
    Deno.stdin.setRaw(false);
  }
}

async function untilKey(ending: AbortController): Promise<void> {
  const bytes = new Uint8Array(16);
  for (;;) {
    const count = await Deno.stdin.read(bytes);
    // q, Ctrl-C and Ctrl-D
    if (count === null || bytes.subarray(0, count).some((key) => [113, 3, 4].includes(key))) {
      return ending.abort();
    }
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
