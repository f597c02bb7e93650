import config from "../../deno.json" with { type: "json" };
import type { Administration } from "../../cli/admin/administration.ts";
import { createLogger, type LogLevel } from "../../cli/logger.ts";
import { type OptionKinds, readWhole, UsageError } from "../../cli/options.ts";
import { plainHost } from "../../cli/plain_host.ts";
import { shownServer } from "../../cli/server_argument.ts";
import { formatAddress, preferOpenSsl } from "../../protocol/mod.ts";
import { openAdministration } from "../admin/open.ts";
import { AgentOperator } from "../admin/operator.ts";
import type { AgentStatus } from "../admin/status.ts";
import { Agent } from "../agent.ts";
import { tellUnreachable } from "../service/reach.ts";
import { AgentService } from "../service/service.ts";
import type { SqliteStore } from "../store/sqlite.ts";
import { readLogLevel } from "./administer.ts";
import {
  databaseOptions,
  defaultDatabase,
  readArguments,
  readServer,
  sessionsHelp,
  sessionsOf,
} from "./arguments.ts";
import type { Command, Surroundings } from "./command.ts";
import { firstLine, openStore } from "./database.ts";
import { serversOf } from "./session.ts";

const kinds = {
  ...databaseOptions,
  "server": "list",
  "allow-unverified": "flag",
  "host": "value",
  "port": "value",
  "token-file": "value",
  "keep-days": "value",
  "log-level": "value",
  "no-sessions": "flag",
  "routes": "value",
} as const satisfies OptionKinds;

/** What was given. */
interface StartOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly database: string;
  /** None: those through which its connections receive. */
  readonly servers: readonly string[];
  readonly allowUnverified: boolean;
  readonly tokenFile: string | undefined;
  readonly passphraseFile: string | undefined;
  /** Days; `undefined`: for ever. */
  readonly retention: number | undefined;
  readonly sessions: ReturnType<typeof sessionsOf>;
  readonly logLevel: LogLevel;
}

/** `smp-agent start`: the agent as a service. */
export const start: Command = {
  summary: "serve programs in any language on a port (without a command, too)",
  usage: "[--server ADDRESS] [options]",
  help: `\
  --server ADDRESS        SMP server for its queues, [password@]host[:port]#keyhash, or @FILE, which has it in
                          its first line; may be given several times (default: where the connections receive)
  --allow-unverified      takes servers without a key hash: anybody on the way there can pretend to be them
  --host HOST             address to listen on (default 127.0.0.1: clients need no key to use an agent)
  --port N                TCP port, 0 for a free one (default 5224)
  --db FILE               where connections and messages are kept (default smp-agent.db)
  --passphrase-file FILE  encrypts private keys and messages in it with the first line of FILE
  --token-file FILE       clients must begin with TOKEN and the first line of FILE
  --keep-days N           remove messages after N days (default: never)
  --log-level LEVEL       what is told on the standard error: error, warn, info or debug (default warn)
${sessionsHelp}`,
  run: (args, surroundings) => serve(readOptions(args), surroundings),
};

function readOptions(args: readonly string[]): StartOptions {
  const { options: given } = readArguments(args, kinds, { names: [] });
  const { port, "allow-unverified": allowUnverified, "keep-days": days } = given;
  const servers = given.server.map((server) => readServer(server, allowUnverified));
  return {
    host: plainHost(given.host ?? "127.0.0.1"),
    port: port === undefined ? 5224 : readWhole("port", port, { least: 0, most: 65_535 }),
    database: given.db ?? defaultDatabase,
    servers,
    allowUnverified,
    tokenFile: given["token-file"],
    passphraseFile: given["passphrase-file"],
    sessions: sessionsOf(given),
    logLevel: readLogLevel(given["log-level"] ?? "warn"),
    retention: days === undefined ? undefined : readWhole("keep-days", days, { least: 1, most: 36_500 }),
  };
}

/** Serves until a signal or an operator says so, and everything is closed. */
async function serve(options: StartOptions, surroundings: Surroundings): Promise<void> {
  // Its end tells whoever has stopped the agent that the next one can start.
  await using administration = new AsyncDisposableStack();
  const stopped = new AbortController();
  const signal = AbortSignal.any([surroundings.signal, stopped.signal]);
  await serveUntil(signal, options, {
    ...surroundings,
    administered: async () => {
      const opened = await openAdministration(options.database, {
        stop: () => stopped.abort(),
        tell: (line) => surroundings.tell(`warning: ${line}`),
      });
      if (opened !== null) administration.use(opened);
      return opened;
    },
  });
  await surroundings.print("stopped");
}

interface ServedSurroundings extends Surroundings {
  /** Lets the agent be administered, when its database is locked. */
  readonly administered: () => Promise<Administration<AgentStatus> | null>;
}

async function serveUntil(
  signal: AbortSignal,
  options: StartOptions,
  surroundings: ServedSurroundings,
): Promise<void> {
  const { host, port, database, allowUnverified, retention, sessions, tokenFile } = options;
  const { print, tell } = surroundings;
  preferOpenSsl();
  const readToken = tokenFile === undefined ? null : () => firstLine(tokenFile);
  const token = await readToken?.() ?? null;
  const logger = createLogger({ level: options.logLevel, format: "text", write: tell });
  await using cleanup = new AsyncDisposableStack();
  const opening = { path: database, passphraseFile: options.passphraseFile, mayMake: true };
  if (options.servers.length === 0 && !await isThere(database)) throw serverMissing();
  const store = cleanup.use(await openStore(opening, surroundings));
  const servers = await serversFor(store, options);
  const administration = await surroundings.administered();
  const agent = cleanup.use(
    await Agent.start({
      servers,
      store,
      client: { allowUnverified },
      acknowledge: "manual",
      ...sessions,
      ...(retention !== undefined && { retention: retention * 86_400_000 }),
      ...(surroundings.keys && { keyPool: surroundings.keys }),
    }),
  );
  const service = cleanup.use(AgentService.start({ agent, host, port, token, log: logger }));
  const address = formatAddress({ host, port: service.port });
  if (!/^(127\.|::1$|localhost$)/.test(host)) {
    tell(`warning: whoever reaches ${address} can read and send everything, in plain text`);
  }
  await print(`database: ${database}`);
  for (const server of servers) await print(`server: ${shownServer(server)}`);
  await print(`address: ${address}`);
  await print(`listening on port ${service.port}`);
  const { version } = config;
  administration?.serve(new AgentOperator({ agent, service, logger, version, address, database, readToken }));
  const warn = (line: string) => tell(`warning: ${line}`);
  const probed = tellUnreachable(servers, { allowUnverified, signal, tell: warn });
  await aborted(signal);
  await print("stopping");
  await probed;
}

/** Those that were given, else those through which the connections receive. Throws {@linkcode UsageError} for none. */
async function serversFor(
  store: SqliteStore,
  { servers, allowUnverified }: Pick<StartOptions, "servers" | "allowUnverified">,
): Promise<readonly string[]> {
  if (servers.length > 0) return servers;
  const known = serversOf(await store.connections(), "receiving");
  const usable = known.filter((server) => allowUnverified || server.includes("#"));
  if (usable.length === 0) throw serverMissing();
  return usable;
}

function serverMissing(): UsageError {
  return new UsageError("--server is missing: the address that a server prints");
}

/** Whether there is a database that can be seen. */
async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
