/**
 * Command lines of the examples that take options.
 *
 * @module
 */
import { parseArgs } from "node:util";

/** A command line that cannot be used; the message says what is wrong. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The options of a program, by their names without `--`. */
export interface OptionNames<Value extends string, Flag extends string> {
  /** Those with a value. */
  readonly values: readonly Value[];
  readonly flags: readonly Flag[];
}

/** What was given. */
export interface GivenOptions<Value extends string, Flag extends string> {
  /** The values of an option, in their order. */
  all(option: Value): readonly string[];
  /** The value of an option that may be given once. Throws {@linkcode UsageError}. */
  one(option: Value): string | undefined;
  has(flag: Flag): boolean;
}

/** Reads a command line of options alone; `-h`, and `help` before all others, are `--help` where there is one. Throws {@linkcode UsageError}. */
export function readOptions<const Value extends string, const Flag extends string>(
  line: readonly string[],
  { values, flags }: OptionNames<Value, Flag>,
): GivenOptions<Value, Flag> {
  const isHelp = (arg: string, at: number) => arg === "-h" || arg === "help" && at === 0;
  const hasHelp = flags.some((flag) => flag === "help");
  const args = line.map((arg, at) => hasHelp && isHelp(arg, at) ? "--help" : arg);
  const options = Object.fromEntries([
    ...values.map((name) => [name, { type: "string" }] as const),
    ...flags.map((name) => [name, { type: "boolean" }] as const),
  ]);
  // Strict mode's messages have several lines: the tokens are checked here.
  const { tokens } = parseArgs({ args, options, strict: false, tokens: true });
  const given = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === "positional") throw new UsageError(`unknown argument ${shownArgument(token.value)}`);
    if (token.kind !== "option") continue;
    const { name, value, index } = token;
    const kind = options[name]?.type;
    if (kind === undefined) throw new UsageError(`unknown option ${shownArgument(args[index]!)}`);
    if (kind === "boolean" && value !== undefined) throw new UsageError(`--${name} takes no value`);
    const lacks = value === undefined || value === "" || (!token.inlineValue && /^-./.test(value));
    if (kind === "string" && lacks) throw new UsageError(`--${name} needs a value`);
    given.set(name, [...given.get(name) ?? [], value ?? ""]);
  }
  return {
    all: (option) => given.get(option) ?? [],
    one(option) {
      const [value, another] = given.get(option) ?? [];
      if (another !== undefined) throw new UsageError(`--${option} is given more than once`);
      return value;
    },
    has: (flag) => given.has(flag),
  };
}

/** An argument as it may be printed that nobody expects there: it may be a server with its password. */
export function shownArgument(argument: string): string {
  return argument.replace(/^(--[\w-]+=)?.*@/s, "$1…@");
}
