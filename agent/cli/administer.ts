import { ask, type Asked } from "../../cli/admin/ask.ts";
import { canWatch, watchLive } from "../../cli/admin/live.ts";
import type { AdminRequest } from "../../cli/admin/messages.ts";
import { type LogLevel, logLevels } from "../../cli/logger.ts";
import { type OptionKinds, UsageError } from "../../cli/options.ts";
import { agentPlace } from "../admin/place.ts";
import { statusLines } from "../admin/report.ts";
import type { AgentStatus, ListedServer } from "../admin/status.ts";
import { topLines } from "../admin/top.ts";
import { defaultDatabase, readArguments } from "./arguments.ts";
import { type Command, Interrupted, type Surroundings } from "./command.ts";
import { fileError } from "./named_file.ts";
import { oneLine, printable } from "./print.ts";

const kinds = { "db": "value" } as const satisfies OptionKinds;

const help = `\
  --db FILE               the database that "smp-agent start" was given (default smp-agent.db)`;

/** `agent status`: what a running agent is and has to do. */
export const status: Command = {
  summary: 'look at the agent that "smp-agent start" runs',
  usage: "[options]",
  help: `  --json                  print a JSON object: status\n${help}`,
  async run(args, { print, signal }) {
    const { options } = readArguments(args, { ...kinds, "json": "flag" }, { names: [] });
    const status = await statusOf(options.db ?? defaultDatabase, signal);
    if (options.json) return await print(oneLine({ type: "status", ...status }));
    for (const line of statusLines(status)) await print(printable(line));
  },
};

/** `agent top`: the same, live. */
export const top: Command = {
  summary: "the same, live, until q",
  usage: "[options]",
  help,
  async run(args, { signal }) {
    const database = databaseOf(args);
    if (!canWatch()) {
      throw new Error("top needs a terminal: status prints the numbers once, status --json for programs");
    }
    const ended = await watchLive({ look: () => statusOf(database, signal), lines: topLines });
    if (ended !== null) throw new Interrupted("interrupted");
  },
};

/** `agent reload`: reads again what can be. */
export const reload: Command = {
  summary: "read the file of --token-file again; says what takes a restart",
  usage: "[options]",
  help,
  run: (args, surroundings) => order(databaseOf(args), { type: "reload" }, surroundings),
};

/** `agent log-level`: how much a running agent tells. */
export const logLevel: Command = {
  summary: `how much it tells: ${logLevels.join(", ")}`,
  usage: "LEVEL [options]",
  help,
  async run(args, surroundings) {
    const { positional: [level], options } = readArguments(args, kinds, { names: ["LEVEL"] });
    const request = { type: "log-level", level: readLogLevel(level!) } as const;
    await order(options.db ?? defaultDatabase, request, surroundings);
  },
};

/** `agent stop`: ends a running agent, and waits until it has ended. */
export const stop: Command = {
  summary: "stop it, and wait until it has stopped",
  usage: "[options]",
  help,
  run: (args, surroundings) => order(databaseOf(args), { type: "stop" }, surroundings),
};

/** Throws `UsageError`. */
export function readLogLevel(text: string): LogLevel {
  const level = logLevels.find((one) => one === text);
  if (level !== undefined) return level;
  throw new UsageError(`${text} is no log level: there are ${logLevels.join(", ")}`);
}

function databaseOf(args: readonly string[]): string {
  return readArguments(args, kinds, { names: [] }).options.db ?? defaultDatabase;
}

async function order(
  database: string,
  request: AdminRequest,
  { print, signal }: Surroundings,
): Promise<void> {
  using asked = await askAgent(database, request, signal);
  const { reply } = asked;
  if (reply.ok && "lines" in reply) { for (const line of reply.lines) await print(printable(line)); }
  if (request.type !== "stop") return;
  await asked.ended().catch(() => {
    throw new Interrupted("interrupted: the agent goes on stopping");
  });
  await print("stopped");
}

async function statusOf(database: string, signal: AbortSignal): Promise<AgentStatus> {
  using asked = await askAgent(database, { type: "status" }, signal);
  const { reply } = asked;
  // Perhaps one of another version.
  if (reply.ok && "status" in reply && isReadable(reply.status)) return reply.status;
  throw new Error("The agent gives no status that can be read");
}

function isReadable({ connections, sessions, messages, streams, servers }: AgentStatus): boolean {
  const isObject = (value: unknown) => typeof value === "object" && value !== null;
  return [connections, sessions, messages, streams].every(isObject) && Array.isArray(servers) &&
    servers.every((one: Partial<ListedServer> | null) => typeof one?.server === "string");
}

async function askAgent(
  database: string,
  request: AdminRequest,
  signal: AbortSignal,
): Promise<Asked<AgentStatus>> {
  let asked;
  try {
    asked = await ask<AgentStatus>(await agentPlace(database), request, { signal });
  } catch (error) {
    if (signal.aborted) throw new Interrupted("interrupted");
    throw fileError("ask the agent of", database, error);
  }
  if (asked === null) {
    throw new Error(`No agent serves ${database}: "smp-agent start" does; --db says which one`);
  }
  if (asked.reply.ok) return asked;
  asked[Symbol.dispose]();
  throw new Error(`The agent refuses ${request.type}: ${printable(asked.reply.error)}`);
}
