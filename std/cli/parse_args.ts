import { parseArgs as untyped } from "deno-std/cli/parse_args.js";

/** The options of `parseArgs` that this project uses. */
export interface ParseOptions {
  readonly boolean?: readonly string[];
  readonly string?: readonly string[];
  readonly collect?: readonly string[];
  readonly alias?: Readonly<Record<string, string>>;
  readonly default?: Readonly<Record<string, unknown>>;
  readonly unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** Parses command-line arguments; see `@std/cli/parse-args`. */
export const parseArgs: (
  args: string[],
  options?: ParseOptions,
) => Record<string, unknown> & { _: (string | number)[] } = untyped;
