import { readFirstLineSync } from "./first_line.ts";
import { shownArgument, UsageError } from "./options.ts";
import { osReason } from "./os_error.ts";

/**
 * What was given for a server: a text, or `@FILE`, whose first line is it, so that a password in it is not seen by whoever
 * lists processes. Throws {@linkcode UsageError}.
 */
export function serverText(argument: string): string {
  if (!argument.startsWith("@")) return argument;
  const path = argument.slice(1);
  let line;
  try {
    line = readFirstLineSync(path);
  } catch (error) {
    // Not what the system says, with the path, which is the rest of a password that begins with "@".
    throw new UsageError(`cannot read the server in ${shownArgument(path)}: ${osReason(error)}`);
  }
  if (line.trim() === "") throw new UsageError(`${path} has no server in its first line`);
  return line.trim();
}

/** What is wrong with a server that was given as `argument`, which is `text`; without its password. */
export function serverProblem(argument: string, text: string, problem: string): string {
  if (!argument.startsWith("@")) return `${shownServer(text) || '""'}${problem}`;
  // All of it may be a password whose server is missing.
  return text.includes("@")
    ? `${argument}${problem}`
    : `${argument}: its first line is no server with a key hash`;
}

/** A text for a server as it may be printed: without its password. */
export function shownServer(text: string): string {
  return text.slice(text.lastIndexOf("@") + 1);
}
