import { parseArgs } from "@std/cli/parse-args";
import { readPort, readSwitch } from "./config.ts";

/** What the command line and the environment ask for. */
export type CliCommand =
  | { readonly type: "help" }
  | { readonly type: "version" }
  | { readonly type: "start" | "init" | "delete" | "verify"; readonly options: CliOptions }
  | { readonly type: "export" | "import"; readonly options: CliOptions; readonly directory: string }
  | { readonly type: "error"; readonly message: string };

/** What was given; what is missing comes from the ini. */
export interface CliOptions {
  /** Answers the questions. */
  readonly yes: boolean;
  readonly configDir: string;
  readonly logDir: string;
  readonly host?: string;
  /** 0 takes a free port. */
  readonly port?: number;
  /** 0 takes a free port. */
  readonly webSocketPort?: number;
  readonly storeLog?: boolean;
  /** Go on without the damaged lines of logs. */
  readonly repair: boolean;
}

/** What `--help` prints. */
export const helpText = `SMP server

Usage: server/main.ts [command] [options]

  start             start the server (the default)
  init              make the server's key and smp-server.ini, and print its address
  delete            remove key, ini and logs
  verify            check key, ini and logs; changes nothing
  export DIR        copy key, ini and the live content of the logs to DIR
  import DIR        make the server of an exported DIR

  -y, --yes         answer questions with yes: make the server's files, remove them
  --config-dir DIR  where server_key and smp-server.ini are (default /etc/opt/simplex)
  --log-dir DIR     where logs are (default /var/opt/simplex)
  --host HOST       address to listen on (default 0.0.0.0)
  --port N          TCP port, 0 for a free one (default 5223)
  --ws-port N       WebSocket port, 0 for a free one (default: no WebSockets)
  -l, --store-log   keep queues and messages over restarts (default off)
  --repair          start although logs are damaged: keeps a copy, leaves the damaged lines out
  --help            print this
  --version         print the version

The environment is asked for what is not given: SMP_CONFIG_DIR, SMP_LOG_DIR, SMP_HOST, SMP_PORT, SMP_WS_PORT,
SMP_STORE_LOG (on or off); then smp-server.ini.
`;

/** The variables of the environment that are read. */
export const environmentNames = [
  "SMP_CONFIG_DIR",
  "SMP_LOG_DIR",
  "SMP_HOST",
  "SMP_PORT",
  "SMP_WS_PORT",
  "SMP_STORE_LOG",
] as const;

/** The environment, as far as it was set and may be read. */
export type Environment = Readonly<Partial<Record<typeof environmentNames[number], string>>>;

const valueOptions = ["config-dir", "log-dir", "host", "port", "ws-port"] as const;
const startOnly = ["host", "port", "ws-port", "store-log", "repair"] as const;
const commands = ["start", "init", "delete", "verify", "export", "import"] as const;
type Command = typeof commands[number];

/** Reads the arguments of `server/main.ts` and the environment. Never throws: what is wrong is a value. */
export function parseCli(args: string[], environment: Environment = {}): CliCommand {
  // What the library would take in its own way: names that it uses itself, and values of options that have none.
  const odd = args.find((arg) =>
    /^--?_/.test(arg) || /^(--(yes|help|version|store-log|repair)=|-[yl].)/.test(arg)
  );
  if (odd !== undefined) return error(`unknown option ${odd}`);
  const unknown: string[] = [];
  const parsed = parseArgs(args, {
    boolean: ["yes", "store-log", "repair", "help", "version"],
    string: [...valueOptions, "_"],
    collect: [...valueOptions],
    alias: { y: "yes", l: "store-log" },
    unknown: (arg, key) => {
      if (key !== undefined) unknown.push(arg);
      return key === undefined;
    },
  });
  if (unknown.length > 0) return error(`unknown option ${unknown[0]}`);
  if (parsed.help) return { type: "help" };
  if (parsed.version) return { type: "version" };
  const [word = "start", ...rest] = parsed._.map(String);
  const command = commands.find((name) => name === word);
  if (command === undefined) return error(`unknown command ${word}`);
  const given = new Map<string, string>();
  for (const option of valueOptions) {
    const values = parsed[option] as string[];
    if (values.length > 1) return error(`--${option} is given more than once`);
    if (values[0] === "") return error(`--${option} needs a value`);
    if (values[0] !== undefined) given.set(option, values[0]);
  }
  for (const option of startOnly) {
    const isGiven = given.has(option) || parsed[option] === true;
    if (isGiven && command !== "start") return error(`${command} does not take --${option}`);
  }
  const options = readOptions(given, parsed, environment);
  return typeof options === "string" ? error(options) : withDirectory(command, rest, options);
}

function withDirectory(type: Command, rest: readonly string[], options: CliOptions): CliCommand {
  const takesDirectory = type === "export" || type === "import";
  if (rest.length > (takesDirectory ? 1 : 0)) return error(`${type} does not take ${rest.at(-1)}`);
  if (!takesDirectory) return { type, options };
  const [directory = ""] = rest;
  return directory === "" ? error(`${type} needs a directory`) : { type, options, directory };
}

/** The options, or what is wrong with them. */
function readOptions(
  given: ReadonlyMap<string, string>,
  parsed: Readonly<Record<string, unknown>>,
  environment: Environment,
): CliOptions | string {
  const options: { -readonly [K in keyof CliOptions]: CliOptions[K] } = {
    yes: parsed.yes === true,
    repair: parsed.repair === true,
    configDir: given.get("config-dir") ?? (environment.SMP_CONFIG_DIR || "/etc/opt/simplex"),
    logDir: given.get("log-dir") ?? (environment.SMP_LOG_DIR || "/var/opt/simplex"),
  };
  const host = given.get("host") ?? environment.SMP_HOST;
  if (host) options.host = host;
  for (
    const [option, variable, name] of [
      ["port", "SMP_PORT", "port"],
      ["ws-port", "SMP_WS_PORT", "webSocketPort"],
    ] as const
  ) {
    const text = given.get(option) ?? environment[variable];
    if (!text) continue;
    const read = readPort(text);
    const source = given.has(option) ? `--${option}` : variable;
    if ("allowed" in read) return `${source} ${text} is not ${read.allowed}`;
    options[name] = read.value;
  }
  const { SMP_STORE_LOG } = environment;
  if (parsed["store-log"] === true) options.storeLog = true;
  else if (SMP_STORE_LOG) {
    const read = readSwitch(SMP_STORE_LOG);
    if ("allowed" in read) return `SMP_STORE_LOG ${SMP_STORE_LOG} is not ${read.allowed}`;
    options.storeLog = read.value;
  }
  return options;
}

function error(message: string): CliCommand {
  return { type: "error", message };
}
