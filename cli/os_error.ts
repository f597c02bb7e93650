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

export function osReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, name, message } = error as Error & { readonly code?: unknown };
  if (name === "NotCapable") {
    const option = /--allow-[a-z]+/.exec(message)?.[0];
    return `Deno's ${option} does not name it`;
  }
  const reason = typeof code === "string" ? reasons.get(code) : undefined;
  return reason ?? message.replace(/ \(os error \d+\).*$/s, "");
}

export function isDiskFull(error: unknown): boolean {
  const { code } = error instanceof Error ? error as { readonly code?: unknown } : {};
  return code === "ENOSPC" || code === "EDQUOT";
}
