/** How the changes of a Debian package are written (deb-changelog(5)). */
export interface ChangelogOptions {
  readonly name: string;
  readonly maintainer: string;
  /** Of a version whose heading has no date, as one has that is not released. */
  readonly date: Date;
}

/** The changes of a CHANGELOG.md, whose headings are `## VERSION (YYYY-MM-DD)` and whose changes are in a list. */
export function debianChangelog(markdown: string, { name, maintainer, date }: ChangelogOptions): string {
  const entries = markdown.split(/^## /m).slice(1).map((text) => {
    const [, version, when] = /^(\S+)(?: \((.*)\))?/.exec(text)!;
    const isReleased = /^\d{4}-\d\d-\d\d$/.test(when ?? "");
    const changes = text.split(/^- /m).slice(1).map((change) => wrapped(plain(change)));
    const at = (isReleased ? new Date(when!) : date).toUTCString().replace("GMT", "+0000");
    return [
      `${name} (${version}) ${isReleased ? "unstable" : "UNRELEASED"}; urgency=medium`,
      "",
      ...changes,
      "",
      ` -- ${maintainer}  ${at}`,
    ].join("\n");
  });
  return `${entries.join("\n\n")}\n`;
}

function plain(markdown: string): string {
  return markdown.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll("`", "");
}

/** Lines of up to 78 characters, as one change. */
function wrapped(text: string): string {
  const lines = [""];
  for (const word of text.split(/\s+/).filter((word) => word !== "")) {
    const line = lines.at(-1)!;
    if (line !== "" && line.length + 1 + word.length > 74) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines.map((line, i) => `${i === 0 ? "  * " : "    "}${line}`).join("\n");
}
