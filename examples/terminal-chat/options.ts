import { ParseError, parseServer } from "@simplexmq/smp/protocol";
import { readOptions, UsageError } from "../command_line.ts";

/** How the chat is started. */
export interface ChatOptions {
  /** Addresses, with passwords where servers want them, and `@FILE`s that have one in their first line. */
  readonly servers: readonly string[];
  readonly allowUnverified: boolean;
  readonly database: string;
  readonly passphraseFile: string | undefined;
  /** Folder for files that are received. */
  readonly files: string;
  /** Whether sessions are announced to other agents. */
  readonly sessions: boolean;
  /** Servers that messages come through at a time. */
  readonly routes: number;
}

/** What the command line asks for. */
export type ChatCommand =
  | { readonly type: "chat"; readonly options: ChatOptions }
  | { readonly type: "help" }
  | { readonly type: "error"; readonly message: string };

/** What `--help` prints. */
export const helpText = `A chat in the terminal (docs/terminal-chat.md)

  --server ADDRESS        SMP server for its queues, [password@]host[:port]#keyhash, or @FILE, which has it in
                          its first line; may be given several times
  --db FILE               where connections and messages are kept (default data/chat.db)
  --files DIR             folder for files that are received (default: files, beside the database)
  --passphrase-file FILE  encrypts private keys and messages in it with the first line of FILE
  --allow-unverified      takes servers without a key hash: anybody on the way there can pretend to be them
  --no-sessions           announce no sessions: new connections stay as in SMP 0.3, without forward secrecy
  --routes N              receive through N of the servers at once, 1 to 4 (default 1)
  --help                  print this
`;

/** Reads the command line. Never throws: what is wrong is a value. */
export function parseOptions(args: readonly string[]): ChatCommand {
  try {
    return read(args);
  } catch (error) {
    if (error instanceof UsageError) return { type: "error", message: error.message };
    throw error;
  }
}

function read(args: readonly string[]): ChatCommand {
  const given = readOptions(args, {
    values: ["server", "db", "files", "passphrase-file", "routes"],
    flags: ["allow-unverified", "no-sessions", "help"],
  });
  if (given.has("help")) return { type: "help" };
  const servers = given.all("server");
  const allowUnverified = given.has("allow-unverified");
  if (servers.length === 0) throw new UsageError("--server is missing: the address that a server prints");
  for (const server of servers) if (!server.startsWith("@")) checkServer(server, allowUnverified);
  const database = given.one("db") ?? "data/chat.db";
  const files = given.one("files") ?? database.replace(/[^/]*$/, "files");
  const passphraseFile = given.one("passphrase-file");
  const routes = given.one("routes") ?? "1";
  if (!/^[1-4]$/.test(routes)) throw new UsageError(`--routes ${routes} is not a number from 1 to 4`);
  const sessions = !given.has("no-sessions");
  return {
    type: "chat",
    options: { servers, allowUnverified, database, files, passphraseFile, sessions, routes: Number(routes) },
  };
}

/** Throws {@linkcode UsageError}, without the password. */
export function checkServer(server: string, allowUnverified: boolean): void {
  const shown = server.slice(server.lastIndexOf("@") + 1);
  try {
    if (parseServer(server).server.keyHash !== undefined || allowUnverified) return;
  } catch (error) {
    if (error instanceof ParseError) throw new UsageError(`--server ${shown}: ${error.message}`);
    throw error;
  }
  throw new UsageError(
    `--server ${shown} has no key hash; add "#" and the hash, or pass --allow-unverified`,
  );
}
