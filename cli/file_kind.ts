/** What tells the kinds of files, in what the system says of one. */
export interface FileKind {
  readonly mode: number | null;
  readonly isDirectory: boolean;
}

/** Why what is at a path cannot be used as a file. */
export function whyNotRegular({ mode, isDirectory }: FileKind): string {
  if (isDirectory) return "it is a directory";
  // sys/stat.h: S_IFMT, S_IFIFO, S_IFSOCK.
  const kind = (mode ?? 0) & 0o170000;
  const name = kind === 0o010000 ? "a named pipe" : kind === 0o140000 ? "a socket" : "a device";
  return `it is ${name}, not a file`;
}
