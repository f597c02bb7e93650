import {
  type OptionKinds,
  readCommandLine,
  readWhole,
  shownArgument,
  UsageError,
} from "../../cli/options.ts";
import { serverProblem, serverText } from "../../cli/server_argument.ts";
import { ParseError, parseServer, type ServerWithPassword } from "../../protocol/mod.ts";

/** What was given to a command: its arguments in order, and its options. */
export interface Arguments<Option extends string, Flag extends string = never> {
  readonly positional: readonly string[];
  readonly options: Readonly<Partial<Record<Option, string>>>;
  readonly flags: ReadonlySet<Flag>;
  readonly allowUnverified: boolean;
}

/**
 * Reads the arguments of a command that takes `options` with values, `flags` without, and at least `least` of the other
 * arguments that `names` names. Throws {@linkcode UsageError}.
 */
export function readArguments<Option extends string, Flag extends string = never>(
  args: readonly string[],
  { options, flags = [], names, least = names.length }: {
    readonly options: readonly Option[];
    readonly flags?: readonly Flag[];
    readonly names: readonly string[];
    /** How many of them must be given. @default all */
    readonly least?: number;
  },
): Arguments<Option, Flag> {
  const kinds: OptionKinds = {
    ...Object.fromEntries(options.map((option) => [option, "value"] as const)),
    ...Object.fromEntries(flags.map((flag) => [flag, "flag"] as const)),
    "allow-unverified": "flag",
  };
  const { options: given, positional } = readCommandLine(args, kinds);
  if (positional.length < least) throw new UsageError(`${names[positional.length]} is missing`);
  if (positional.length > names.length) {
    throw new UsageError(`unknown argument ${shownArgument(positional[names.length]!)}`);
  }
  const values = given as Readonly<Partial<Record<Option, string>>>;
  return {
    positional,
    options: values,
    flags: new Set(flags.filter((flag) => given[flag] === true)),
    allowUnverified: given["allow-unverified"] === true,
  };
}

/** The whole number of an option from `least` to `most`; `fallback` when it is not given. Throws {@linkcode UsageError}. */
export function readNumber<Option extends string>(
  { options }: Pick<Arguments<Option>, "options">,
  option: Option,
  { fallback, least, most }: { readonly fallback: number; readonly least: number; readonly most: number },
): number {
  const text = options[option];
  return text === undefined ? fallback : readWhole(option, text, { least, most });
}

/** The value of an option that must be given. Throws {@linkcode UsageError}. */
export function required<Option extends string>({ options }: Arguments<Option>, option: Option): string {
  const value = options[option];
  if (value === undefined) throw new UsageError(`--${option} is missing`);
  return value;
}

/**
 * A server as it was given, or the one in the first line of `@FILE`, with its hash unless `allowUnverified`. Throws
 * {@linkcode UsageError}, without the password.
 */
export function readServer(argument: string, allowUnverified: boolean): ServerWithPassword {
  const text = serverText(argument);
  const wrong = (problem: string) => new UsageError(serverProblem(argument, text, problem));
  try {
    const given = parseServer(text);
    if (given.server.keyHash !== undefined || allowUnverified) return given;
  } catch (error) {
    if (error instanceof ParseError) throw wrong(`: ${error.message}`);
    throw error;
  }
  throw wrong(' has no key hash; add "#" and the hash, or pass --allow-unverified');
}
