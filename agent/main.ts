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
import { onStopSignal, stopCode } from "../cli/stop_signals.ts";
import { runCommand } from "./cli/commands.ts";
import { failureOf } from "./cli/failure.ts";
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
    const { text, code } = failureOf(error, interruptedCode);
    tell(text);
    return code;
  }
}

// At once: something may still wait for its input.
if (import.meta.main) Deno.exit(await main());
