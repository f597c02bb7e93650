import {
  type OptionKinds,
  type Options,
  readCommandLine,
  readWhole,
  shownArgument,
  UsageError,
} from "../../cli/options.ts";
import { serverProblem, serverText } from "../../cli/server_argument.ts";
import { ParseError, parseServer } from "../../protocol/mod.ts";
import { mostRoutes } from "../options.ts";
import { sessionExtension } from "../session/session.ts";

/** The options of every command that opens the database. */
export const databaseOptions = { "db": "value", "passphrase-file": "value" } as const satisfies OptionKinds;

/** The options of every command that uses servers. */
export const serverOptions = {
  ...databaseOptions,
  "server": "list",
  "allow-unverified": "flag",
  "no-sessions": "flag",
  "routes": "value",
  "timeout": "value",
} as const satisfies OptionKinds;

/** The help of {@linkcode databaseOptions}. */
export const databaseHelp = `\
  --db FILE               where connections and messages are kept (default smp-agent.db)
  --passphrase-file FILE  the first line of FILE is the database's passphrase; else it is asked for`;

/** The help of `--no-sessions` and `--routes`. */
export const sessionsHelp = `\
  --no-sessions           announce no sessions: new connections stay as in SMP 0.3, without forward secrecy
  --routes N              receive through N of the servers at once, 1 to 4 (default 1)`;

/** The help of {@linkcode serverOptions} but `--timeout`. */
export const serverHelp = `\
  --server ADDRESS        server for new queues, [password@]host[:port]#keyhash, or @FILE, which has it in its
                          first line; may be given several times (default: where the connections receive)
  --allow-unverified      take servers without a key hash: anybody on the way there can pretend to be them
${sessionsHelp}
${databaseHelp}`;

/** The database that is used unless another one is named. */
export const defaultDatabase = "smp-agent.db";

/** What was given to a command: its arguments in order, and its options. */
export interface Arguments<Kinds extends OptionKinds> {
  readonly positional: readonly string[];
  readonly options: Options<Kinds>;
}

/**
 * Reads the arguments of a command that takes from `least` to `most` beside its options, which `names` names.
 * Throws {@linkcode UsageError}.
 */
export function readArguments<const Kinds extends OptionKinds>(
  args: readonly string[],
  kinds: Kinds,
  { names, least, letters = {} }: {
    readonly names: readonly string[];
    /** How many of them must be given. @default all */
    readonly least?: number;
    readonly letters?: Readonly<Record<string, keyof Kinds & string>>;
  },
): Arguments<Kinds> {
  const { options, positional } = readCommandLine(args, kinds, letters);
  if (positional.length < (least ?? names.length)) {
    throw new UsageError(`${names[positional.length]} is missing`);
  }
  if (positional.length > names.length) {
    throw new UsageError(`unknown argument ${shownArgument(positional[names.length]!)}`);
  }
  return { options, positional };
}

/** The milliseconds of `--timeout`, which is in seconds; `undefined` when it is not given. Throws {@linkcode UsageError}. */
export function readTimeout(text: string | undefined): number | undefined {
  return text === undefined ? undefined : readWhole("timeout", text, { least: 1, most: 2_000_000 }) * 1000;
}

/** What an agent is told of sessions. Throws {@linkcode UsageError}. */
export function sessionsOf(
  { "no-sessions": isOff, routes }: { readonly "no-sessions": boolean; readonly routes: string | undefined },
): { readonly extensions: readonly string[]; readonly routes: number } {
  return {
    extensions: isOff ? [] : [sessionExtension],
    routes: readWhole("routes", routes ?? "1", { least: 1, most: mostRoutes }),
  };
}

/** The name of a new connection. Throws {@linkcode UsageError} for one that nobody could see or type. */
export function checkName(name: string): string {
  if (name !== "" && name.length <= 200 && !/\p{C}/u.test(name)) return name;
  throw new UsageError("a connection's NAME has 1 to 200 characters, and none that cannot be seen");
}

/** A server as an agent takes it. Throws `UsageError`, without its password, for one that cannot be, or that could be anybody. */
export function readServer(argument: string, allowUnverified: boolean): string {
  const server = serverText(argument);
  const wrong = (problem: string) => new UsageError(`--server ${serverProblem(argument, server, problem)}`);
  try {
    if (parseServer(server).server.keyHash !== undefined || allowUnverified) return server;
  } catch (error) {
    if (error instanceof ParseError) throw wrong(`: ${error.message}`);
    throw error;
  }
  throw wrong(' has no key hash; add "#" and the hash, or pass --allow-unverified');
}
