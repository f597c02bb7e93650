import { readFileSync } from "node:fs";
import { UsageError } from "./options.ts";

/**
 * What was given for a server: a text, or `@FILE`, whose first line is it, so that a password in it is not seen by whoever
 * lists processes. Throws {@linkcode UsageError}.
 */
export function serverText(argument: string): string {
  if (!argument.startsWith("@")) return argument;
  const path = argument.slice(1);
  let text;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/ \(os error .*$/s, "") : String(error);
    throw new UsageError(`cannot read the server in ${path}: ${reason}`);
  }
  const [line = ""] = text.split(/\r?\n/, 1);
  if (line.trim() === "") throw new UsageError(`${path} has no server in its first line`);
  return line.trim();
}

/** A text for a server as it may be printed: without its password. */
export function shownServer(text: string): string {
  return text.slice(text.lastIndexOf("@") + 1);
}
