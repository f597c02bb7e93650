import {
  type Options,
  orProblem,
  readCommandLine,
  readWhole,
  shownArgument,
  UsageError,
  type UsageProblem,
} from "../../cli/options.ts";
import { type LogLevel, logLevels } from "../../cli/logger.ts";
import { plainHost } from "../../cli/plain_host.ts";
import type { GivenSettings } from "./config.ts";
import { readPort, readSwitch } from "./values.ts";

export type CliCommand =
  | { readonly type: "help" }
  /** What `admin` can do; `isAsked`: that was the question, else it was not said what to do. */
  | { readonly type: "admin help"; readonly isAsked: boolean }
  | { readonly type: "version" }
  | { readonly type: "start" | "delete" | "verify"; readonly options: CliOptions }
  | {
    readonly type: "init";
    readonly options: CliOptions;
    /** What the command line alone says, for the ini. */
    readonly settings: GivenSettings;
  }
  | { readonly type: "cluster"; readonly options: CliOptions; readonly task: ClusterTask }
  | { readonly type: "administer"; readonly options: CliOptions; readonly task: AdminTask }
  | { readonly type: "export" | "import"; readonly options: CliOptions; readonly directory: string }
  /** What `start --workers` starts; not for people. */
  | { readonly type: "worker" }
  | UsageProblem;

/** What is done with a cluster. */
export type ClusterTask =
  | { readonly type: "status"; readonly isJson: boolean }
  | { readonly type: "drain" | "undrain"; readonly node: string }
  | { readonly type: "export" | "import"; readonly directory: string };

/** What a running server is asked for. */
export type AdminTask =
  | { readonly type: "status"; readonly isJson: boolean }
  | { readonly type: "reload" }
  | { readonly type: "stop" }
  | { readonly type: "top" }
  | { readonly type: "log-level"; readonly level: LogLevel };

export interface CliOptions extends GivenSettings {
  readonly yes: boolean;
  readonly configDir: string;
  readonly logDir: string;
  readonly repair: boolean;
  /** What the start says that the server can be tried with; its address follows. */
  readonly hint?: string;
  /** Processes that serve, 0: one per core; without it this one alone does. */
  readonly workers?: number;
}

export const mostWorkers = 64;

/** What `admin --help` prints. */
export const adminHelpText = `Looks at a running SMP server, or changes it

Usage: smp-server admin COMMAND [options], deno task admin COMMAND

  status            show what the server is and has done; --json: for programs
  top               the same, live, in the terminal
  reload            make the server read smp-server.ini again, and say what takes a restart
  log-level LEVEL   error, warn, info or debug, until the next reload or start
  stop              stop the server, and wait until it has stopped

  --config-dir DIR  where server_key and smp-server.ini are (default /etc/opt/simplex; of the task: data)
`;

export const helpText = `SMP server

Usage: smp-server [COMMAND] [options]

  start             start the server (the default)
  init              make the server's key and smp-server.ini, and print its address; --host, --port,
                    --ws-port and -l are written into the ini
  delete            remove key, ini and logs
  verify            check key, ini, logs and the TLS certificate; changes nothing
  export DIR        copy key, ini and the live content of the logs to DIR
  import DIR        make the server of an exported DIR
  status            show what the server is and has done; --json: for programs
  top               the same, live, in the terminal
  reload            make the server read smp-server.ini again, and say what takes a restart
  log-level LEVEL   error, warn, info or debug, until the next reload or start
  stop              stop the server, and wait until it has stopped
  admin COMMAND     one of the last five; without COMMAND it lists them
  cluster status    show nodes and partitions of a cluster; --json: for programs
  cluster drain NODE     move the partitions of a node to the others, and give it none until it is started again
  cluster undrain NODE   give it some again
  cluster export DIR     copy the key and what all nodes have to DIR, as export does, also while they run
  cluster import DIR     fill a cluster without queues, whose nodes are stopped, with an exported DIR

  -y, --yes         answer questions with yes: make the server's files, remove them
  --config-dir DIR  where server_key and smp-server.ini are (default /etc/opt/simplex)
  --log-dir DIR     where logs are (default /var/opt/simplex)
  --host HOST       address to listen on (default ::, all of IPv6 and IPv4)
  --port N          TCP port, 0 for a free one (default 5223)
  --ws-port N       WebSocket port, 0 for a free one (default: no WebSockets)
  -l, --store-log   keep queues and messages over restarts (default off)
  --workers N       serve with N processes, 0: one per core; implies -l and messages: journal; Linux alone
  --cluster SERVERS run as a node of a cluster over NATS, nats://host:port[,…]; needs --node
  --node NAME       the name of this node, which no other one has
  --hint COMMAND    what start says that the server can be tried with, but for its address (default "smp ping")
  --json            with status and cluster status: print JSON
  --repair          start although logs are damaged: keeps a copy, leaves the damaged lines out
  -h, --help        print this
  --version         print the version

The environment is asked for what is not given: SMP_CONFIG_DIR, SMP_LOG_DIR, SMP_HOST, SMP_PORT, SMP_WS_PORT,
SMP_STORE_LOG (on or off); then smp-server.ini.
`;

export const environmentNames = [
  "SMP_CONFIG_DIR",
  "SMP_LOG_DIR",
  "SMP_HOST",
  "SMP_PORT",
  "SMP_WS_PORT",
  "SMP_STORE_LOG",
] as const;

export type Environment = Readonly<Partial<Record<typeof environmentNames[number], string>>>;

const kinds = {
  "yes": "flag",
  "config-dir": "value",
  "log-dir": "value",
  "host": "value",
  "port": "value",
  "ws-port": "value",
  "store-log": "flag",
  "repair": "flag",
  "workers": "value",
  "cluster": "value",
  "node": "value",
  "hint": "value",
  "json": "flag",
  "help": "flag",
  "version": "flag",
} as const;

const special = [
  "host",
  "port",
  "ws-port",
  "store-log",
  "repair",
  "workers",
  "cluster",
  "node",
  "hint",
  "json",
] as const;

const taken: Readonly<Record<Command, readonly (typeof special)[number][]>> = {
  start: special.filter((option) => option !== "json"),
  init: ["host", "port", "ws-port", "store-log"],
  delete: [],
  verify: ["store-log"],
  export: ["store-log"],
  import: [],
  cluster: ["cluster", "json"],
  worker: [],
  status: ["json"],
  top: [],
  reload: [],
  stop: [],
  "log-level": [],
};
type Command =
  | "cluster"
  | "start"
  | "init"
  | "delete"
  | "verify"
  | "export"
  | "import"
  | "worker"
  | AdminTask["type"];
type Given = Options<typeof kinds>;

export function parseCli(args: readonly string[], environment: Environment = {}): CliCommand {
  return orProblem(() => readCommand(args, environment));
}

function readCommand(args: readonly string[], environment: Environment): CliCommand {
  const { options: given, positional: all } = readCommandLine(args, kinds, {
    y: "yes",
    l: "store-log",
    h: "help",
  });
  // Never more than it says: not a start, where a command is missing.
  const isAdmin = all[0] === "admin";
  const positional = isAdmin ? all.slice(1) : all;
  if (given.help || positional[0] === "help") {
    return isAdmin ? { type: "admin help", isAsked: true } : { type: "help" };
  }
  if (given.version) return { type: "version" };
  const [word = "start", ...rest] = positional;
  if (isAdmin && positional.length === 0) return { type: "admin help", isAsked: false };
  if (!Object.hasOwn(taken, word) || isAdmin && !isAdminTask(word as Command)) {
    throw new UsageError(`unknown command ${isAdmin ? "admin " : ""}${shownArgument(word)}`);
  }
  const type = word as Command;
  for (const option of special) {
    const isGiven = given[option] !== undefined && given[option] !== false;
    if (isGiven && !taken[type].includes(option)) throw new UsageError(`${type} does not take --${option}`);
  }
  if (given.cluster !== undefined && given.workers !== undefined) {
    throw new UsageError("--cluster excludes --workers: a node is one process, start one for each core");
  }
  const options = readOptions(given, environment);
  if (type === "cluster") return { type, options, task: readTask(rest, given) };
  if (isAdminTask(type)) return { type: "administer", options, task: readAdminTask(type, rest, given) };
  const takesDirectory = type === "export" || type === "import";
  if (rest.length > (takesDirectory ? 1 : 0)) throw new UsageError(`${type} does not take ${rest.at(-1)}`);
  if (type === "worker") return { type };
  if (type === "init") return { type, options, settings: readSettings(given, {}) };
  if (!takesDirectory) return { type, options };
  const [directory = ""] = rest;
  if (directory === "") throw new UsageError(`${type} needs a directory`);
  return { type, options, directory };
}

function readTask([word, ...rest]: readonly string[], { json }: Given): ClusterTask {
  switch (word) {
    case "status":
      if (rest.length > 0) throw new UsageError(`cluster status does not take ${rest.at(-1)}`);
      return { type: word, isJson: json };
    case "drain":
    case "undrain": {
      const [node = "", ...more] = rest;
      if (node === "") throw new UsageError(`cluster ${word} needs the name of a node`);
      if (more.length > 0) throw new UsageError(`cluster ${word} does not take ${more.at(-1)}`);
      if (json) throw new UsageError(`cluster ${word} does not take --json`);
      return { type: word, node };
    }
    case "export":
    case "import": {
      const [directory = "", ...more] = rest;
      if (directory === "") throw new UsageError(`cluster ${word} needs a directory`);
      if (more.length > 0) throw new UsageError(`cluster ${word} does not take ${more.at(-1)}`);
      if (json) throw new UsageError(`cluster ${word} does not take --json`);
      return { type: word, directory };
    }
    case undefined:
      throw new UsageError(
        "cluster needs what to do: status, drain NODE, undrain NODE, export DIR or import DIR",
      );
    default:
      throw new UsageError(`cluster does not take ${word}`);
  }
}

function isAdminTask(type: Command): type is AdminTask["type"] {
  return ["status", "top", "reload", "stop", "log-level"].includes(type);
}

function readAdminTask(type: AdminTask["type"], rest: readonly string[], { json }: Given): AdminTask {
  const most = type === "log-level" ? 1 : 0;
  if (rest.length > most) throw new UsageError(`${type} does not take ${rest.at(-1)}`);
  if (type === "status") return { type, isJson: json };
  if (type !== "log-level") return { type };
  const level = logLevels.find((level) => level === rest[0]);
  if (level === undefined) throw new UsageError(`log-level needs one of ${logLevels.join(", ")}`);
  return { type, level };
}

function readOptions(given: Given, environment: Environment): CliOptions {
  return {
    yes: given.yes,
    repair: given.repair,
    configDir: given["config-dir"] ?? (environment.SMP_CONFIG_DIR || "/etc/opt/simplex"),
    logDir: given["log-dir"] ?? (environment.SMP_LOG_DIR || "/var/opt/simplex"),
    ...(given.hint !== undefined && { hint: given.hint }),
    ...(given.workers !== undefined && {
      workers: readWhole("workers", given.workers, { least: 0, most: mostWorkers }),
    }),
    ...readSettings(given, environment),
  };
}

function readSettings(given: Given, environment: Environment): GivenSettings {
  const settings: { -readonly [K in keyof GivenSettings]: GivenSettings[K] } = {};
  const host = given.host ?? environment.SMP_HOST;
  if (host && /\s/.test(host)) throw new UsageError(`the host "${host.replaceAll(/\s/g, " ")}" has spaces`);
  if (host) settings.host = plainHost(host);
  for (
    const [option, variable, name] of [
      ["port", "SMP_PORT", "port"],
      ["ws-port", "SMP_WS_PORT", "webSocketPort"],
    ] as const
  ) {
    const text = given[option] ?? environment[variable];
    if (!text) continue;
    const read = readPort(text);
    const source = given[option] === undefined ? variable : `--${option}`;
    if ("allowed" in read) throw new UsageError(`${source} ${text} is not ${read.allowed}`);
    settings[name] = read.value;
  }
  if (given.cluster !== undefined) settings.clusterServers = given.cluster;
  if (given.node !== undefined) settings.clusterNode = given.node;
  const { SMP_STORE_LOG } = environment;
  if (given["store-log"]) settings.storeLog = true;
  else if (SMP_STORE_LOG) {
    const read = readSwitch(SMP_STORE_LOG);
    if ("allowed" in read) throw new UsageError(`SMP_STORE_LOG ${SMP_STORE_LOG} is not ${read.allowed}`);
    settings.storeLog = read.value;
  }
  return settings;
}
