/** Names for files that others have chosen: a name is never a path. */

/** Bytes of a name; file systems take 255, and there may be a number behind it. */
const longest = 200;

/** What a file is called whose sender gives no name that can be used. */
const nameless = "file";

/** Names that Windows keeps for devices. */
const devices = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d\u00b9\u00b2\u00b3])\s*(\.|$)/i;

/**
 * The name of a file in one folder for what its sender calls it: what is behind the last `/` or `\`, without what no one
 * can see or a file system may refuse, not hidden, and at most 200 bytes long.
 */
export function safeName(given: string): string {
  const [last = ""] = given.normalize("NFC").split(/[/\\]/).slice(-1);
  const clean = last.toWellFormed()
    // deno-lint-ignore no-control-regex
    .replaceAll(/[\p{C}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}\u2800\x00-\x1f]/gu, "")
    .replaceAll(/[<>:"|?*\ufffd]/g, "_")
    .replace(/^[\s.~-]+/, "")
    .replace(/[\s.]+$/, "");
  const name = shortened(clean);
  if (name === "") return nameless;
  return devices.test(name) ? `_${name}` : name;
}

/** The same with a number that tells it from others: `cat (2).png`. */
export function numbered(name: string, number: number): string {
  if (number === 1) return name;
  const [base, extension] = parts(name);
  return `${base} (${number})${extension}`;
}

/** A name in two: `archive.tar.gz` is `archive` and `.tar.gz`. */
function parts(name: string): readonly [base: string, extension: string] {
  const extension = /(?:\.tar)?\.[^.\s]{1,16}$/.exec(name)?.[0] ?? "";
  return extension.length < name.length
    ? [name.slice(0, name.length - extension.length), extension]
    : [name, ""];
}

function shortened(name: string): string {
  const [base, extension] = parts(name);
  const characters = [...base];
  while (bytesOf(characters.join("")) + bytesOf(extension) > longest) characters.pop();
  return `${characters.join("").trimEnd()}${extension}`;
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}
