import { parseArgs } from "@std/cli/parse-args";

/** What the command line asks for. */
export type CliCommand =
  | { readonly type: "help" }
  | { readonly type: "version" }
  | { readonly type: "start"; readonly options: StartOptions }
  | { readonly type: "error"; readonly message: string };

/** The options of `start`. */
export interface StartOptions {
  /** Make the server's files when they are not there. */
  readonly yes: boolean;
  readonly configDir: string;
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** 0 takes a free port. */
  readonly webSocketPort?: number;
}

/** What `--help` prints. */
export const helpText = `SMP server

Usage: server/main.ts [start] [options]

  start             start the server (the default)

  -y, --yes         make the server's key when there is none yet
  --config-dir DIR  where server_key is (default /etc/opt/simplex)
  --host HOST       address to listen on (default 0.0.0.0)
  --port N          TCP port, 0 for a free one (default 5223)
  --ws-port N       WebSocket port, 0 for a free one (default: no WebSockets)
  --help            print this
  --version         print the version
`;

const valueOptions = ["config-dir", "host", "port", "ws-port"];

/** Reads the arguments of `server/main.ts`. Never throws: what is wrong is a value. */
export function parseCli(args: string[]): CliCommand {
  // What the library would take in its own way: names that it uses itself, and values of options that have none.
  const odd = args.find((arg) => /^--?_/.test(arg) || /^(--(yes|help|version)=|-y.)/.test(arg));
  if (odd !== undefined) return error(`unknown option ${odd}`);
  const unknown: string[] = [];
  const parsed = parseArgs(args, {
    boolean: ["yes", "help", "version"],
    string: [...valueOptions, "_"],
    collect: valueOptions,
    alias: { y: "yes" },
    unknown: (arg, key) => {
      if (key !== undefined) unknown.push(arg);
      return key === undefined;
    },
  });
  if (unknown.length > 0) return error(`unknown option ${unknown[0]}`);
  if (parsed.help) return { type: "help" };
  if (parsed.version) return { type: "version" };
  const words = parsed._.map(String);
  if (words.length > 1 || (words[0] ?? "start") !== "start") {
    return error(`unknown command ${words.join(" ")}`);
  }
  const values: Record<string, string | undefined> = {};
  for (const name of valueOptions) {
    const given = parsed[name] as string[];
    if (given.length > 1) return error(`--${name} is given more than once`);
    if (given[0] === "") return error(`--${name} needs a value`);
    values[name] = given[0];
  }
  const port = portOf("port", values.port ?? "5223");
  const webSocketPort = values["ws-port"] === undefined ? undefined : portOf("ws-port", values["ws-port"]);
  if (typeof port === "string") return error(port);
  if (typeof webSocketPort === "string") return error(webSocketPort);
  const options: StartOptions = {
    yes: parsed.yes === true,
    configDir: values["config-dir"] ?? "/etc/opt/simplex",
    host: values.host ?? "0.0.0.0",
    port,
    ...(webSocketPort === undefined ? {} : { webSocketPort }),
  };
  return { type: "start", options };
}

function portOf(name: string, text: string): number | string {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65535) return port;
  return `--${name} ${text} is not a number from 0 to 65535`;
}

function error(message: string): CliCommand {
  return { type: "error", message };
}
