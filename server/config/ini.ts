/** A `key = value` line of an ini file. */
export interface IniEntry {
  /** Counted from 1. */
  readonly line: number;
  /** The name in the brackets above it; empty when there is none. */
  readonly section: string;
  readonly key: string;
  readonly value: string;
}

/** A line that is not what an ini file has. */
export interface IniProblem {
  readonly line: number;
  readonly text: string;
}

/**
 * Reads an ini file: sections in brackets, `key: value` and `key = value`, comments after `#` or `;` at the beginning
 * of a line. Keeps line numbers, which `@std/ini` does not, and the colons of the original, which it does not read.
 */
export function parseIni(text: string): {
  readonly entries: readonly IniEntry[];
  readonly problems: readonly IniProblem[];
} {
  const entries: IniEntry[] = [], problems: IniProblem[] = [];
  let section = "";
  for (const [i, raw] of text.replace(/^\uFEFF/, "").split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const header = /^\[([^\]]*)\]$/.exec(line);
    const separator = line.search(/[:=]/);
    if (header !== null) section = header[1]!.trim();
    else if (separator < 1) problems.push({ line: i + 1, text: line });
    else {
      const [key, value] = [line.slice(0, separator).trim(), line.slice(separator + 1).trim()];
      entries.push({ line: i + 1, section, key, value });
    }
  }
  return { entries, problems };
}
