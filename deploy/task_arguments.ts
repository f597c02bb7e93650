// deno-lint-ignore-file no-console
import {
  type CommandLine,
  isHelpAsked,
  type OptionKinds,
  readCommandLine,
  UsageError,
} from "../cli/options.ts";

/**
 * The command line of a task that takes `most` arguments beside its options. Prints `help` and ends the program where that
 * is asked for, and ends it with 2 for what it does not know.
 */
export function readTaskArguments<const Kinds extends OptionKinds>(
  kinds: Kinds,
  { help, most }: { readonly help: string; readonly most: number },
): CommandLine<Kinds> {
  if (isHelpAsked(Deno.args)) {
    console.log(help);
    Deno.exit(0);
  }
  try {
    const line = readCommandLine(Deno.args, kinds);
    const unknown = line.positional[most];
    if (unknown !== undefined) throw new UsageError(`unknown argument ${unknown}`);
    return line;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}; --help lists what there is`);
    Deno.exit(2);
  }
}
