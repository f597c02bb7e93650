/** What this library's servers can do beyond 0.3 (extensions.md Server extensions), each unless it is switched off, in the order in which they are listed. */
export const serverExtensions = ["open1", "window1", "blocks1", "rekey1"] as const;

/** One of {@linkcode serverExtensions}. */
export type ServerExtension = typeof serverExtensions[number];

/**
 * extensions.md pass1, which a server lists when it takes new queues from those who know its password: no operator
 * switches it, so that it is none of {@linkcode serverExtensions}.
 */
export const passwordExtension = "pass1";

/** All that this library's servers may list. */
export type ListedExtension = ServerExtension | typeof passwordExtension;

/** The most names that a list of extensions may have. */
const mostNames = 16;

/** The longest name, in characters. */
const longestName = 32;

/** Characters of the longest list, `ext=` included. */
export const longestExtensions: number = 4 + mostNames * (longestName + 1) - 1;

/**
 * Writes a list of extensions (extensions.md): `ext=<name>,<name>`; empty for none. Throws `RangeError` for what
 * {@linkcode parseExtensions} would not take.
 */
export function formatExtensions(names: readonly string[]): string {
  if (names.length === 0) return "";
  const text = `ext=${names.join(",")}`;
  if (parseExtensions(text).length === names.length) return text;
  throw new RangeError(`Cannot announce extensions: ${JSON.stringify(text)} is not a list of names`);
}

/**
 * Parses a list of extensions: lower-case words with a version digit, unknown ones too. Anything but a list of at most
 * 16 different names of at most 32 characters announces nothing.
 */
export function parseExtensions(text: string): readonly string[] {
  if (text.length > longestExtensions || !text.startsWith("ext=")) return [];
  const names = text.slice(4).split(",");
  const isList = names.length <= mostNames && new Set(names).size === names.length &&
    names.every((name) => name.length <= longestName && /^[a-z]+\d+$/.test(name));
  return isList ? names : [];
}
