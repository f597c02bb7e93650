import { parseArgs } from "@std/cli/parse-args";
import { parseAddress, ParseError } from "../../protocol/mod.ts";

/** What the command line asks for. */
export type CliCommand =
  | { readonly type: "help" | "version" }
  | { readonly type: "start"; readonly options: CliOptions }
  | { readonly type: "error"; readonly message: string };

/** What was given. */
export interface CliOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly database: string;
  readonly servers: readonly string[];
  readonly allowUnverified: boolean;
  readonly tokenFile?: string;
  readonly passphraseFile?: string;
  /** Days; `undefined`: for ever. */
  readonly retention?: number;
}

/** What `--help` prints. */
export const helpText = `SMP agent

Usage: agent/main.ts --server ADDRESS [options]

  --server ADDRESS        SMP server for its queues, host[:port]#keyhash; may be given several times
  --allow-unverified      takes servers without a key hash: anybody on the way there can pretend to be them
  --host HOST             address to listen on (default 127.0.0.1: clients need no key to use an agent)
  --port N                TCP port, 0 for a free one (default 5224)
  --db FILE               where connections and messages are kept (default smp-agent.db)
  --passphrase-file FILE  encrypts private keys and messages in it with the first line of FILE
  --token-file FILE       clients must begin with TOKEN and the first line of FILE
  --keep-days N           remove messages after N days (default: never)
  --help                  print this
  --version               print the version
`;

const valueOptions = ["host", "port", "db", "passphrase-file", "token-file", "keep-days"] as const;

/** Reads the arguments of `agent/main.ts`. Never throws: what is wrong is a value. */
export function parseCli(args: string[]): CliCommand {
  const odd = args.find((arg) => /^--?_/.test(arg) || /^--(help|version|allow-unverified)=/.test(arg));
  if (odd !== undefined) return error(`unknown option ${odd}`);
  const unknown: string[] = [];
  const parsed = parseArgs(args, {
    boolean: ["help", "version", "allow-unverified"],
    string: [...valueOptions, "server", "_"],
    collect: [...valueOptions, "server"],
    unknown: (arg) => {
      unknown.push(arg);
      return false;
    },
  });
  if (unknown.length > 0) {
    return error(`unknown ${unknown[0]!.startsWith("-") ? "option" : "argument"} ${unknown[0]}`);
  }
  if (parsed.help) return { type: "help" };
  if (parsed.version) return { type: "version" };
  const given = new Map<string, string>();
  for (const option of valueOptions) {
    const values = parsed[option] as string[];
    if (values.length > 1) return error(`--${option} is given more than once`);
    if (values[0] === "") return error(`--${option} needs a value`);
    if (values[0] !== undefined) given.set(option, values[0]);
  }
  const servers = parsed.server as string[];
  if (servers.length === 0) return error("--server is missing");
  for (const server of servers) {
    try {
      if (parseAddress(server).keyHash === undefined && !parsed["allow-unverified"]) {
        return error(`--server ${server} has no key hash; add "#" and the hash, or pass --allow-unverified`);
      }
    } catch (problem) {
      if (problem instanceof ParseError) return error(`--server ${server}: ${problem.message}`);
      throw problem;
    }
  }
  const port = number(given.get("port") ?? "5224", 0, 65535);
  if (port === null) return error(`--port ${given.get("port")} is not a number from 0 to 65535`);
  const days = given.get("keep-days");
  const retention = days === undefined ? undefined : number(days, 1, 36_500);
  if (retention === null) return error(`--keep-days ${days} is not a number from 1 to 36500`);
  const [tokenFile, passphraseFile] = [given.get("token-file"), given.get("passphrase-file")];
  return {
    type: "start",
    options: {
      host: given.get("host") ?? "127.0.0.1",
      port,
      database: given.get("db") ?? "smp-agent.db",
      servers,
      allowUnverified: parsed["allow-unverified"] === true,
      ...(tokenFile !== undefined && { tokenFile }),
      ...(passphraseFile !== undefined && { passphraseFile }),
      ...(retention !== undefined && { retention }),
    },
  };
}

function number(text: string, least: number, most: number): number | null {
  const value = Number(text);
  return /^\d{1,9}$/.test(text) && value >= least && value <= most ? value : null;
}

function error(message: string): CliCommand {
  return { type: "error", message };
}
