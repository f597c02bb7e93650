/**
 * A client of SMP servers for the command line and for scripts; `--help` lists what it does (docs/smp-tool.md).
 *
 * ```sh
 * deno run --allow-net client/main.ts ping ADDRESS
 * ```
 *
 * @module
 */
// deno-lint-ignore-file no-console
import config from "../deno.json" with { type: "json" };
import { isHelpAsked, shownArgument, UsageError } from "../cli/options.ts";
import { writeOutput } from "../cli/output.ts";
import { onStopSignal, stopCode } from "../cli/stop_signals.ts";
import { helpText } from "./cli/help.ts";
import { load } from "./cli/load_command.ts";
import { oneLine } from "./cli/print.ts";
import { ping } from "./cli/ping.ts";
import { queueCommand } from "./cli/queue.ts";

function print(value: Readonly<Record<string, unknown>>): Promise<void> {
  return writeOutput(new TextEncoder().encode(`${oneLine(value)}\n`));
}

async function run(args: readonly string[], signal: AbortSignal): Promise<void> {
  const [command, ...rest] = args;
  if (isHelpAsked(args) || command === "help") return console.log(helpText);
  if (command === "--version") return console.log(`SMP client ${config.version} (SMP 0.3)`);
  const surroundings = { print, readInput, signal };
  switch (command) {
    case "ping":
      return await ping(rest, surroundings);
    case "queue":
      return await queueCommand(rest, surroundings);
    case "load":
      return await load(rest, surroundings);
    default:
      if (command === undefined) throw new UsageError("a command is missing");
      throw new UsageError(
        `${command.startsWith("-") ? "unknown option" : "there is no command"} ${shownArgument(command)}`,
      );
  }
}

async function readInput(signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const input = Deno.stdin.readable.pipeThrough(new TransformStream<Uint8Array<ArrayBuffer>>(), { signal });
  return new Uint8Array(await new Response(input).arrayBuffer());
}

if (import.meta.main) {
  const interrupted = new AbortController();
  let exitCode = 1;
  using _signals = onStopSignal((signal) => {
    exitCode = stopCode(signal);
    interrupted.abort();
  });
  try {
    await run(Deno.args, interrupted.signal);
  } catch (error) {
    const isUsage = error instanceof UsageError;
    const message = interrupted.signal.aborted
      ? "interrupted"
      : error instanceof Error
      ? error.message
      : error;
    console.error(`${message}${isUsage ? "; --help lists what there is" : ""}`);
    // Something may still wait for its input.
    Deno.exit(isUsage ? 2 : exitCode);
  }
}
