import { parseArgs } from "@std/cli/parse-args";
import { parseAddress, ParseError } from "../../protocol/mod.ts";

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
  | { readonly type: "error"; readonly message: string };

/** What `--help` prints. */
export const helpText = `A chat in the terminal (docs/terminal-chat.md)

  --server ADDRESS        SMP server for its queues, host[:port]#keyhash; may be given several times
  --db FILE               where connections and messages are kept (default data/chat.db)
  --passphrase-file FILE  encrypts private keys and messages in it with the first line of FILE
  --allow-unverified      takes servers without a key hash: anybody on the way there can pretend to be them
  --help                  print this
`;

/** Reads the command line. Never throws: what is wrong is a value. */
export function parseOptions(args: string[]): ChatCommand {
  const unknown: string[] = [];
  const names = ["db", "passphrase-file", "server"];
  const parsed = parseArgs(args, {
    boolean: ["help", "allow-unverified"],
    string: names,
    collect: names,
    unknown: (arg) => {
      unknown.push(arg);
      return false;
    },
  });
  if (unknown.length > 0) return wrong(`unknown option ${unknown[0]}`);
  if (parsed.help) return { type: "help" };
  const [databases, passphraseFiles, servers] = names.map((name) => parsed[name] as string[]) as [
    string[],
    string[],
    string[],
  ];
  for (const [i, values] of [databases, passphraseFiles].entries()) {
    if (values.length > 1) return wrong(`--${names[i]} is given more than once`);
    if (values[0] === "") return wrong(`--${names[i]} needs a value`);
  }
  const allowUnverified = parsed["allow-unverified"] === true;
  if (servers.length === 0) return wrong("--server is missing: the address that a server prints");
  for (const server of servers) {
    const problem = serverProblem(server, allowUnverified);
    if (problem !== null) return wrong(`--server ${server}: ${problem}`);
  }
  const database = databases[0] ?? "data/chat.db";
  return {
    type: "chat",
    options: { servers, allowUnverified, database, passphraseFile: passphraseFiles[0] },
  };
}

function serverProblem(server: string, allowUnverified: boolean): string | null {
  try {
    const hasHash = parseAddress(server).keyHash !== undefined;
    return hasHash || allowUnverified
      ? null
      : 'it has no key hash; add "#" and the hash, or pass --allow-unverified';
  } catch (error) {
    if (error instanceof ParseError) return error.message;
    throw error;
  }
}

function wrong(message: string): ChatCommand {
  return { type: "error", message };
}
