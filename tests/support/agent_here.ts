import { runCommand } from "../../agent/cli/commands.ts";
import { printable } from "../../agent/cli/print.ts";
import { UsageError } from "../../cli/options.ts";
import type { Outcome } from "./server_process.ts";

/** Runs a command of the agent that prints lines in this process, which takes a tenth of the time; see `agent/main.ts`. */
export function agentHere(...args: readonly string[]): Promise<Outcome> {
  return agentUntil(new AbortController().signal, args);
}

/** The same until a signal; `printed` is told of each line, and `input` is what the standard input has. */
export async function agentUntil(
  signal: AbortSignal,
  args: readonly string[],
  { printed = () => {}, input = new Uint8Array() }: {
    readonly printed?: (line: string) => void;
    readonly input?: Uint8Array<ArrayBuffer>;
  } = {},
): Promise<Outcome> {
  let [stdout, stderr] = ["", ""];
  const none = () => Promise.resolve(null);
  const tell = (line: string) => void (stderr += `${printable(line)}\n`);
  try {
    await runCommand(args, {
      write: () => Promise.reject(new Error("it prints lines only")),
      print(line) {
        stdout += `${line}\n`;
        printed(line);
        return Promise.resolve();
      },
      tell,
      isTerminal: false,
      isInputTerminal: false,
      terminal: null,
      readSome: none,
      readInput: () => Promise.resolve(input),
      ask: none,
      askSecret: none,
      signal,
    }, "");
    return { code: 0, stdout, stderr };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const isUsage = error instanceof UsageError;
    tell(isUsage ? `${message}; --help lists what there is` : message);
    return { code: isUsage ? 2 : 1, stdout, stderr };
  }
}
