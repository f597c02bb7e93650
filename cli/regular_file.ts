import { whyNotRegular } from "./file_kind.ts";

/**
 * Opens a regular file, or a link to one. Throws what the system says, and `Error` for anything else that is there: a named
 * pipe would be waited for without end.
 */
export async function openRegular(
  path: string,
  options: Deno.OpenOptions = { read: true },
): Promise<Deno.FsFile> {
  await checkRegular(path);
  return await Deno.open(path, options);
}

/** As {@linkcode openRegular}, for all of a text. */
export async function readRegular(path: string): Promise<string> {
  await checkRegular(path);
  return await Deno.readTextFile(path);
}

/** What is not there is for who opens it. */
async function checkRegular(path: string): Promise<void> {
  const found = await Deno.stat(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  });
  if (found?.isFile === false) throw new Error(whyNotRegular(found));
}
