import { runCommand } from "../../agent/cli/commands.ts";
import type { Outcome } from "./server_process.ts";

/** Runs a command of the agent that prints lines in this process. */
export function agentHere(...args: readonly string[]): Promise<Outcome> {
  return agentUntil(new AbortController().signal, args);
}

/** The same until a signal; `printed` is told of each line. */
export async function agentUntil(
  signal: AbortSignal,
  args: readonly string[],
  printed: (line: string) => void = () => {},
): Promise<Outcome> {
  let [stdout, stderr] = ["", ""];
  const none = () => Promise.resolve(null);
  try {
    await runCommand(args, {
      write: () => Promise.reject(new Error("it prints lines only")),
      print(line) {
        stdout += `${line}\n`;
        printed(line);
        return Promise.resolve();
      },
      tell: (line) => void (stderr += `${line}\n`),
      isTerminal: false,
      isInputTerminal: false,
      terminal: null,
      readSome: none,
      readInput: () => Promise.resolve(new Uint8Array()),
      ask: none,
      askSecret: none,
      signal,
    }, "");
    return { code: 0, stdout, stderr };
  } catch (error) {
    return { code: 1, stdout, stderr: `${stderr}${error instanceof Error ? error.message : error}\n` };
  }
}
