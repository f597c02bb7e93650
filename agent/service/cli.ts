import { orProblem, readCommandLine, readWhole, UsageError, type UsageProblem } from "../../cli/options.ts";
import { parseAddress, ParseError } from "../../protocol/mod.ts";

/** What the command line asks for. */
export type CliCommand =
  | { readonly type: "help" | "version" }
  | { readonly type: "start"; readonly options: CliOptions }
  | UsageProblem;

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

const kinds = {
  "server": "list",
  "allow-unverified": "flag",
  "host": "value",
  "port": "value",
  "db": "value",
  "passphrase-file": "value",
  "token-file": "value",
  "keep-days": "value",
  "help": "flag",
  "version": "flag",
} as const;

/** Reads the arguments of `agent/main.ts`. Never throws: what is wrong is a value. */
export function parseCli(args: readonly string[]): CliCommand {
  return orProblem(() => readCommand(args));
}

function readCommand(args: readonly string[]): CliCommand {
  const { options: given, positional: [argument] } = readCommandLine(args, kinds);
  if (argument !== undefined) throw new UsageError(`unknown argument ${argument}`);
  if (given.help) return { type: "help" };
  if (given.version) return { type: "version" };
  const { server: servers, port, "allow-unverified": allowUnverified, "keep-days": days } = given;
  const { "token-file": tokenFile, "passphrase-file": passphraseFile } = given;
  if (servers.length === 0) throw new UsageError("--server is missing: the address that a server prints");
  for (const server of servers) checkAddress(server, allowUnverified);
  return {
    type: "start",
    options: {
      host: given.host ?? "127.0.0.1",
      port: port === undefined ? 5224 : readWhole("port", port, { least: 0, most: 65_535 }),
      database: given.db ?? "smp-agent.db",
      servers,
      allowUnverified,
      ...(tokenFile !== undefined && { tokenFile }),
      ...(passphraseFile !== undefined && { passphraseFile }),
      ...(days !== undefined && { retention: readWhole("keep-days", days, { least: 1, most: 36_500 }) }),
    },
  };
}

/** Throws `UsageError` for a server that cannot be, or that could be anybody. */
export function checkAddress(server: string, allowUnverified: boolean): void {
  try {
    if (parseAddress(server).keyHash !== undefined || allowUnverified) return;
  } catch (error) {
    if (error instanceof ParseError) throw new UsageError(`--server ${server}: ${error.message}`);
    throw error;
  }
  throw new UsageError(
    `--server ${server} has no key hash; add "#" and the hash, or pass --allow-unverified`,
  );
}
