/**
 * The SMP agent as an executable; `--help` lists what it does (docs/agent-command-line.md).
 *
 * ```sh
 * deno run --allow-net --allow-read=data --allow-write=data agent/main.ts --db data/agent.db --server ADDRESS
 * ```
 *
 * @module
 */
import config from "../deno.json" with { type: "json" };
import { UsageError } from "../cli/options.ts";
import { portAdvice } from "../cli/port_advice.ts";
import { onStopSignal, stopCode } from "../cli/stop_signals.ts";
import { runCommand } from "./cli/commands.ts";
import { Interrupted } from "./cli/command.ts";
import { processSurroundings, tell } from "./cli/terminal.ts";

/** Does what the command line says; gives the exit code. */
async function main(): Promise<number> {
  const interrupted = new AbortController();
  let interruptedCode = 1;
  using _signals = onStopSignal((signal) => {
    interruptedCode = stopCode(signal);
    interrupted.abort();
  });
  const version = `SMP agent ${config.version} (SMP agent protocol 0.3.2)`;
  try {
    await runCommand(Deno.args, processSurroundings(interrupted.signal), version);
    return 0;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    tell(
      error instanceof UsageError
        ? `${message}; --help lists what there is`
        : `${message}${portAdvice(error, "--port")}`,
    );
    return error instanceof UsageError ? 2 : error instanceof Interrupted ? interruptedCode : 1;
  }
}

// At once: something may still wait for its input.
if (import.meta.main) Deno.exit(await main());
