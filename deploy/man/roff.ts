/** A part of a manual page: text in the form of `--help`. */
export interface Part {
  readonly title: string;
  readonly text: string;
}

/** A manual page, in the language of man(7). */
export interface ManualPage {
  readonly name: string;
  readonly section: 1 | 8;
  readonly summary: string;
  readonly version: string;
  readonly parts: readonly Part[];
}

/** Makes a manual page. */
export function roffOf({ name, section, summary, version, parts }: ManualPage): string {
  return [
    `.TH ${name.toUpperCase()} ${section} "" "SimpleXMQ for Deno ${version}"`,
    ".SH NAME",
    `${escaped(name)} \\- ${escaped(summary)}`,
    ...parts.flatMap(({ title, text }) => [`.SH "${title.toUpperCase()}"`, ...body(text)]),
    "",
  ].join("\n");
}

/** Paragraphs, usages and lists, which have empty lines between them. */
function body(text: string): string[] {
  return text.replace(/^\n+|\s+$/g, "").split(/\n\s*\n/).flatMap((block) => {
    const lines = block.split("\n");
    if (/^ {2}\S/.test(lines[0]!)) return list(lines);
    const usage = /^Usage: (.*)$/.exec(lines[0]!);
    if (usage !== null) return [".PP", `.B "${escaped(usage[1]!)}"`, ...lines.slice(1).flatMap(body)];
    return [".PP", ...lines.map((line) => escaped(line.trim()))];
  });
}

/** Entries of a term and what it means, in columns; what is further in goes on with the one before. */
function list(lines: readonly string[]): string[] {
  const roff: string[] = [];
  const column = lines.map((line) => /^ {2}\S.*?( {2,})\S/.exec(line)).find((found) => found !== null)?.[0]
    .length;
  for (const line of lines) {
    const entry = /^ {2}(\S.*?)(?: {2,}(\S.*))?$/.exec(line);
    if (entry === null) {
      roff.push(/^ {3,8}\S/.test(line) ? `.B "${escaped(line.trim())}"` : escaped(line.trim()));
      continue;
    }
    let [, term, meaning] = entry as unknown as [string, string, string | undefined];
    // A term that reaches up to the meaning.
    if (meaning === undefined && column !== undefined && line.length > column && line[column - 2] === " ") {
      [term, meaning] = [line.slice(2, column - 2), line.slice(column - 1)];
    }
    roff.push(".TP", `.B "${escaped(term.trim())}"`);
    if (meaning !== undefined) roff.push(escaped(meaning));
  }
  return roff;
}

/** Text as it is, whatever it has or begins with. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll('"', "\\(dq")
    .replaceAll(
      /[^\0-\x7e]/gu,
      (char) => `\\[u${char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}]`,
    )
    .replace(/^(?=[.'])/, "\\&");
}
