import { UsageError } from "../../cli/options.ts";
import { portAdvice } from "../../cli/port_advice.ts";
import { Interrupted } from "./command.ts";

/** What is said of a command that has failed, and the exit code; `interruptedCode`: that of a signal. */
export function failureOf(error: unknown, interruptedCode: number): { text: string; code: number } {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof UsageError) return { text: `${message}; --help lists what there is`, code: 2 };
  return {
    text: `${message}${portAdvice(error, "--port")}`,
    code: error instanceof Interrupted ? interruptedCode : 1,
  };
}
