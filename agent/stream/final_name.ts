import type * as Files from "node:fs/promises";
import { builtin, fileModules } from "./builtin.ts";
import { StreamError } from "./error.ts";

/** Names that are tried for a file. */
const mostNames = 10_000;

/** What gives names. */
export type NameFiles = Pick<typeof Files, "link" | "open" | "rename" | "unlink">;

/**
 * Gives a file that is complete the first of its names, in the same folder, that nothing has, and never in place of
 * anything; `isOnly`: there is but the first one. Gives the name's number, from 1 on. Throws what the system says.
 */
export async function giveName(
  part: string,
  names: (attempt: number) => string,
  { isOnly = false, files = fileModules().files }: {
    readonly isOnly?: boolean;
    readonly files?: NameFiles;
  } = {},
): Promise<number> {
  for (let attempt = 1;; attempt++) {
    try {
      await take(part, names(attempt), files);
      return attempt;
    } catch (error) {
      if (codeOf(error) !== "EEXIST" || isOnly || attempt >= mostNames) throw error;
    }
  }
}

async function take(part: string, name: string, files: NameFiles): Promise<void> {
  try {
    await files.link(part, name);
  } catch (error) {
    if (codeOf(error) === "EEXIST") throw error;
    return await takeWithoutLinks(part, name, files);
  }
  await files.unlink(part);
}

/** On file systems without hard links `rename` replaces what this has made itself, and nothing else. */
async function takeWithoutLinks(part: string, name: string, files: NameFiles): Promise<void> {
  await (await files.open(name, "wx", 0o600)).close();
  try {
    await files.rename(part, name);
  } catch (error) {
    await files.unlink(name).catch(() => {});
    throw error;
  }
}

/** Whether there is something at a path. Throws {@linkcode StreamError} (`FAILED`) when it is no regular file. */
export async function isThere(path: string): Promise<boolean> {
  const files = builtin("node:fs/promises")!;
  const found = await files.lstat(path).catch(orNull);
  if (found === null) return false;
  const stat = found.isSymbolicLink() ? await files.stat(path).catch(orNull) : found;
  if (stat?.isFile()) return true;
  const kind = stat === null
    ? "a link to nothing"
    : stat.isDirectory()
    ? "a folder"
    : stat.isFIFO()
    ? "a named pipe"
    : stat.isSocket()
    ? "a socket"
    : "a device";
  throw new StreamError("FAILED", `Cannot receive the file: ${path} is ${kind}`);
}

function orNull(error: unknown): null {
  if (codeOf(error) === "ENOENT") return null;
  throw error;
}

/** What the system calls an error. */
export function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
