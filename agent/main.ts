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
import { runCommand } from "./cli/commands.ts";
import { Interrupted } from "./cli/command.ts";
import { processSurroundings, tell } from "./cli/terminal.ts";

/** Does what the command line says; gives the exit code. */
async function main(): Promise<number> {
  const interrupted = new AbortController();
  let interruptedCode = 1;
  const signals = [["SIGINT", 130], ["SIGTERM", 143]] as const;
  const listeners = signals.map(([signal, code]) => {
    const listener = () => {
      interruptedCode = code;
      forget();
      interrupted.abort();
    };
    Deno.addSignalListener(signal, listener);
    return () => Deno.removeSignalListener(signal, listener);
  });
  // The second signal ends the program at once.
  const forget = () => listeners.splice(0).forEach((remove) => remove());
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
  } finally {
    forget();
  }
}

// At once: something may still wait for its input.
if (import.meta.main) Deno.exit(await main());
