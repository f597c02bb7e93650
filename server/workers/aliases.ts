import { StoreError } from "../store/error.ts";
import { readLines } from "../store/read_lines.ts";

const header = "smp-aliases 1";

/** The lines of a file of aliases: how many there are is said at the end, so that none is missed. */
export const aliasLines = {
  first: header,
  alias: (senderId: string, recipientId: string): string => `ALIAS ${senderId} ${recipientId}`,
  last: (count: number): string => `END ${count}`,
} as const;

/**
 * The queues of other workers whose sender IDs lead to this one: recipient IDs by sender IDs, base64. Those of queues
 * that were deleted since the file was written are among them.
 * Throws `StoreError` (`CORRUPT`) when the file is not there or not whole; the next start of the server makes it anew.
 */
export async function loadAliases(path: string): Promise<Map<string, string>> {
  const aliases = new Map<string, string>();
  let number = 0, isWhole = false;
  const corrupt = (line: number) =>
    new StoreError("CORRUPT", `Cannot read ${path}: line ${line} is damaged; start the server again`);
  for await (const lines of readLines(path)) {
    for (const { text, end } of lines) {
      number++;
      const [word, first = "", second = "", ...more] = text.split(" ");
      if (isWhole || end !== "LF") throw corrupt(number);
      if (number === 1) {
        if (text !== header) throw corrupt(number);
      } else if (word === "ALIAS" && first !== "" && second !== "" && more.length === 0) {
        aliases.set(first, second);
      } else if (text === aliasLines.last(aliases.size)) isWhole = true;
      else throw corrupt(number);
    }
  }
  if (!isWhole) throw corrupt(number + 1);
  return aliases;
}
