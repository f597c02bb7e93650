/**
 * What the command lines of all executables have in common.
 *
 * @module
 */
import { parseArgs } from "node:util";

/** A command line that cannot be used; the message says what is wrong. Executables end with 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A {@linkcode UsageError} as a value. */
export interface UsageProblem {
  readonly type: "error";
  readonly message: string;
}

/** What `read` gives, or the {@linkcode UsageError} that it throws. */
export function orProblem<T>(read: () => T): T | UsageProblem {
  try {
    return read();
  } catch (error) {
    if (error instanceof UsageError) return { type: "error", message: error.message };
    throw error;
  }
}

/** A `flag` takes no value, a `value` is given at most once, a `list` any number of times. */
export type OptionKind = "flag" | "value" | "list";

/** The options that a program has, by their names without `--`. */
export type OptionKinds = Readonly<Record<string, OptionKind>>;

type Given<Kind extends OptionKind> = Kind extends "flag" ? boolean
  : Kind extends "list" ? readonly string[]
  : string | undefined;

/** What was given of `Kinds`. */
export type Options<Kinds extends OptionKinds> = { readonly [Name in keyof Kinds]: Given<Kinds[Name]> };

/** A command line that was read. */
export interface CommandLine<Kinds extends OptionKinds> {
  readonly options: Options<Kinds>;
  readonly positional: readonly string[];
}

/**
 * Reads a command line that may have the options `kinds`, and letters for some of them.
 * Throws {@linkcode UsageError} for unknown options, missing and superfluous values, and what is given twice.
 */
export function readCommandLine<const Kinds extends OptionKinds>(
  args: readonly string[],
  kinds: Kinds,
  letters: Readonly<Record<string, keyof Kinds & string>> = {},
): CommandLine<Kinds> {
  const names = Object.keys(kinds);
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(names.map((name) => {
      const letter = Object.keys(letters).find((letter) => letters[letter] === name);
      const type = kinds[name] === "flag" ? "boolean" : "string";
      return [name, { type, ...(letter !== undefined && { short: letter }) }];
    })),
    // Strict mode's messages have several lines and differ between runtimes: the tokens are checked here.
    strict: false,
    tokens: true,
  });
  const given = new Map<string, string[]>();
  const positional: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positional.push(token.value);
    if (token.kind !== "option") continue;
    const { name, value, inlineValue } = token;
    if (!Object.hasOwn(kinds, name)) {
      throw new UsageError(`unknown option ${shownArgument(args[token.index]!)}`);
    }
    if (kinds[name] === "flag") {
      if (value !== undefined) throw new UsageError(`--${name} takes no value`);
    } else if (value === undefined || value === "" || (!inlineValue && /^-./.test(value))) {
      throw new UsageError(`--${name} needs a value`);
    }
    const values = given.get(name);
    if (values !== undefined && kinds[name] === "value") {
      throw new UsageError(`--${name} is given more than once`);
    }
    given.set(name, [...(values ?? []), value ?? ""]);
  }
  const options = Object.fromEntries(names.map((name) => {
    const values = given.get(name) ?? [];
    return [name, kinds[name] === "flag" ? given.has(name) : kinds[name] === "list" ? values : values[0]];
  }));
  return { options: options as Options<Kinds>, positional };
}

/** An argument as it may be printed that nobody expects there: it may be a server with its password. */
export function shownArgument(text: string): string {
  return text === "" ? '""' : text.replace(/^(--[\w-]+=)?.*@/s, "$1…@");
}

/** Whether a command line asks for help, whatever else it has. */
export function isHelpAsked(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return args.slice(0, end < 0 ? args.length : end).some((arg) => arg === "--help" || arg === "-h");
}

/** The whole number that was given for an option, or for an argument: `N`. Throws {@linkcode UsageError}. */
export function readWhole(
  option: string,
  text: string,
  { least, most }: { readonly least: number; readonly most: number },
): number {
  const value = Number(text);
  if (/^\d{1,10}$/.test(text) && value >= least && value <= most) return value;
  const given = option === option.toUpperCase() ? option : `--${option}`;
  throw new UsageError(`${given} ${text} is not a number from ${least} to ${most}`);
}
