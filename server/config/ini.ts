export interface IniEntry {
  readonly line: number;
  readonly section: string;
  readonly key: string;
  readonly value: string;
}

export interface IniProblem {
  readonly line: number;
  readonly text: string;
}

/** Unlike `@std/ini` keeps line numbers, and reads the colons of the original's files. */
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
