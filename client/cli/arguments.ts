import { parseArgs } from "@std/cli/parse-args";
import { parseAddress, ParseError, type ServerAddress } from "../../protocol/mod.ts";

/** A command line that cannot be used; the message says what is wrong. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What was given to a command: its arguments in order, and its options. */
export interface Arguments<Option extends string> {
  readonly positional: readonly string[];
  readonly options: Readonly<Partial<Record<Option, string>>>;
  readonly allowUnverified: boolean;
}

/**
 * Reads the arguments of a command that takes `options` with values and from `least` to `most` other arguments.
 * Throws {@linkcode UsageError}.
 */
export function readArguments<Option extends string>(
  args: readonly string[],
  { options, least, most }: {
    readonly options: readonly Option[];
    readonly least: number;
    readonly most: number;
  },
): Arguments<Option> {
  const odd = args.find((arg) => /^--?_/.test(arg) || /^--allow-unverified=/.test(arg));
  if (odd !== undefined) throw new UsageError(`unknown option ${odd}`);
  const parsed = parseArgs([...args], {
    boolean: ["allow-unverified"],
    string: [...options, "_"],
    collect: options,
    unknown: (arg, key) => {
      if (key !== undefined) throw new UsageError(`unknown option ${arg}`);
      return true;
    },
  });
  const given: Partial<Record<Option, string>> = {};
  for (const option of options) {
    const values = parsed[option] as string[];
    if (values.length > 1) throw new UsageError(`--${option} is given more than once`);
    if (values[0] === "") throw new UsageError(`--${option} needs a value`);
    if (values[0] !== undefined) given[option] = values[0];
  }
  const positional = parsed._.map(String);
  if (positional.length < least) throw new UsageError("an argument is missing");
  if (positional.length > most) throw new UsageError(`unknown argument ${positional[most]}`);
  return { positional, options: given, allowUnverified: parsed["allow-unverified"] === true };
}

/** The whole number of an option from `least` to `most`; `fallback` when it is not given. Throws {@linkcode UsageError}. */
export function readNumber<Option extends string>(
  { options }: Arguments<Option>,
  option: Option,
  { fallback, least, most }: { readonly fallback: number; readonly least: number; readonly most: number },
): number {
  const text = options[option];
  if (text === undefined) return fallback;
  const value = Number(text);
  if (/^\d{1,9}$/.test(text) && value >= least && value <= most) return value;
  throw new UsageError(`--${option} ${text} is not a number from ${least} to ${most}`);
}

/** The value of an option that must be given. Throws {@linkcode UsageError}. */
export function required<Option extends string>({ options }: Arguments<Option>, option: Option): string {
  const value = options[option];
  if (value === undefined) throw new UsageError(`--${option} is missing`);
  return value;
}

/** A server's address as it was given, with its hash unless `allowUnverified`. Throws {@linkcode UsageError}. */
export function readAddress(text: string, allowUnverified: boolean): ServerAddress {
  try {
    const address = parseAddress(text);
    if (address.keyHash !== undefined || allowUnverified) return address;
  } catch (error) {
    if (error instanceof ParseError) throw new UsageError(`${text}: ${error.message}`);
    throw error;
  }
  throw new UsageError(`${text} has no key hash; add "#" and the hash, or pass --allow-unverified`);
}
