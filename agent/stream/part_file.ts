import type { StreamPart } from "../store/store.ts";
import { builtin } from "./builtin.ts";

/** The part of the API of Deno that says what a program may do without asking. */
interface DenoPermissions {
  readonly Deno?: {
    readonly permissions: { querySync(what: { name: "write"; path: string }): { readonly state: string } };
  };
}

/** What tells a temporary file from any other that has its path later. */
export async function partAt(path: string, handle: StatHandle): Promise<StreamPart> {
  const { dev, ino } = await handle.stat({ bigint: true });
  return { path, file: `${dev}:${ino}` };
}

/** What says which file it is. */
export interface StatHandle {
  stat(options: { readonly bigint: true }): Promise<{ readonly dev: bigint; readonly ino: bigint }>;
}

/** Whether a temporary file still is where it was: not another one, nor a link to it. */
export async function isPart({ path, file }: StreamPart): Promise<boolean> {
  const stat = await builtin("node:fs/promises")?.lstat(path, { bigint: true }).catch(() => null);
  return stat?.isFile() === true && `${stat.dev}:${stat.ino}` === file;
}

/** Removes a temporary file, if it still is where it was: never another one, nor what a link leads to. */
export async function removePart(part: StreamPart): Promise<void> {
  const { path } = part;
  const files = builtin("node:fs/promises");
  // An agent that was started without the right to write there asks nobody for it.
  const { Deno: deno } = globalThis as DenoPermissions;
  if (deno !== undefined && deno.permissions.querySync({ name: "write", path }).state !== "granted") return;
  try {
    if (await isPart(part)) await files?.unlink(path);
  } catch {
    // It is gone, its folder was moved, or nobody may look.
  }
}
