import { checkAddress } from "../../agent/cli/arguments.ts";
import { orProblem, readCommandLine, UsageError, type UsageProblem } from "../../cli/options.ts";

/** How the chat is started. */
export interface ChatOptions {
  readonly servers: readonly string[];
  readonly allowUnverified: boolean;
  readonly database: string;
  readonly passphraseFile: string | undefined;
}

/** What the command line asks for. */
export type ChatCommand =
  | { readonly type: "chat"; readonly options: ChatOptions }
  | { readonly type: "help" }
  | UsageProblem;

/** What `--help` prints. */
export const helpText = `A chat in the terminal (docs/terminal-chat.md)

  --server ADDRESS        SMP server for its queues, host[:port]#keyhash; may be given several times
  --db FILE               where connections and messages are kept (default data/chat.db)
  --passphrase-file FILE  encrypts private keys and messages in it with the first line of FILE
  --allow-unverified      takes servers without a key hash: anybody on the way there can pretend to be them
  --help                  print this
`;

const kinds = {
  "server": "list",
  "db": "value",
  "passphrase-file": "value",
  "allow-unverified": "flag",
  "help": "flag",
} as const;

/** Reads the command line. Never throws: what is wrong is a value. */
export function parseOptions(args: readonly string[]): ChatCommand {
  return orProblem(() => readOptions(args));
}

function readOptions(args: readonly string[]): ChatCommand {
  const { options: given, positional: [argument] } = readCommandLine(args, kinds);
  if (argument !== undefined) throw new UsageError(`unknown argument ${argument}`);
  if (given.help) return { type: "help" };
  const { server: servers, db: database = "data/chat.db", "passphrase-file": passphraseFile } = given;
  const allowUnverified = given["allow-unverified"];
  if (servers.length === 0) throw new UsageError("--server is missing: the address that a server prints");
  for (const server of servers) checkAddress(server, allowUnverified);
  return { type: "chat", options: { servers, allowUnverified, database, passphraseFile } };
}
