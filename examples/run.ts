/**
 * What the examples have in common: they say how they are used, and what goes wrong in one line.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { ParseError } from "@simplexmq/smp";

/**
 * Runs an example with its arguments, none of which is an option; ends with 2 when `start` gives `null` for them (with 0 for
 * `--help`), with 1 when it fails.
 */
export async function run(
  usage: string,
  start: (args: readonly string[]) => Promise<void> | null,
): Promise<void> {
  const isHelp = Deno.args.some((arg) => arg === "--help" || arg === "-h") || Deno.args[0] === "help";
  const hasOption = Deno.args.some((arg) => arg.startsWith("--"));
  try {
    const running = isHelp || hasOption ? null : start(Deno.args);
    if (running !== null) return await running;
    console.error(`usage: ${usage}`);
    if (!isHelp) Deno.exitCode = 2;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exitCode = error instanceof ParseError ? 2 : 1;
  }
}
