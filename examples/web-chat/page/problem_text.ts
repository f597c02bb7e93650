import { AgentError, StreamError } from "@simplexmq/smp/agent";
import { endText } from "../../files.ts";
import { errorText } from "./conversation.ts";

/** What is said of an error with which something ends that a person wants. */
export function describe(error: unknown): string {
  if (error instanceof StreamError) {
    if (error.code === "CHANGED") return "it cannot be read.";
    if (error.code === "TOO_MANY") return "too many files are on their way.";
    return `${endText(error, "sending")}.`;
  }
  if (!(error instanceof AgentError)) return String(error);
  switch (error.code) {
    case "CONN DUPLICATE":
      return "There is a conversation with this name: choose another one.";
    case "CMD SIZE":
    case "CMD LARGE":
      return `${error.message.replace(/^Cannot send: t/, "T")}.`;
    default:
      return errorText(error);
  }
}
