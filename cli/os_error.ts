const reasons: ReadonlyMap<string, string> = new Map([
  ["EACCES", "permission denied"],
  ["EDQUOT", "no space is left for this user"],
  ["EEXIST", "there is something of that name already"],
  ["EIO", "the disk has failed"],
  ["EISDIR", "it is a directory"],
  ["ELOOP", "its links lead in a circle"],
  ["EMFILE", "too many files are open"],
  ["ENAMETOOLONG", "its name is too long"],
  ["ENFILE", "too many files are open"],
  ["ENOENT", "there is no such file or directory"],
  ["ENOSPC", "no space is left on the disk"],
  ["ENOTDIR", "a part of its path is not a directory"],
  ["ENOTEMPTY", "it is not empty"],
  ["EPERM", "permission denied"],
  ["EROFS", "the file system is read-only"],
]);

/** Deno gives these no code, and Node calls a quota by its number, which is that of Linux or of BSD. */
const uncoded: readonly (readonly [RegExp, string])[] = [
  [/^Dis[ck] quota exceeded|^Unknown system error -(122|69)\b/, "EDQUOT"],
  [/^Too many open files in system/, "ENFILE"],
];

export function osReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { name, message } = error;
  if (name === "NotCapable") {
    const option = /--allow-[a-z]+/.exec(message)?.[0];
    return `Deno's ${option} does not name it`;
  }
  return reasons.get(codeOf(error)) ?? message.replace(/ \(os error \d+\).*$/s, "");
}

export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && ["ENOSPC", "EDQUOT"].includes(codeOf(error));
}

function codeOf(error: Error): string {
  const known = uncoded.find(([text]) => text.test(error.message));
  return known?.[1] ?? ("code" in error ? String(error.code) : "");
}
