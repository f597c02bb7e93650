import { whyNotRegular } from "../../cli/file_kind.ts";
import { ioError, StoreError } from "./error.ts";
import { handshakesPath } from "./handshake_log.ts";
import { lockPath } from "./lock.ts";
import { directoryOf } from "./log_io.ts";

export interface StorePaths {
  readonly storeLog: string;
  readonly messagesFile: string;
}

/** Follows links: logs are replaced as a whole, which would put a file in the place of a link. */
export async function findPlaces(
  { storeLog, messagesFile }: StorePaths,
  others: readonly string[] = [],
): Promise<StorePaths> {
  const found = { storeLog: await followLink(storeLog), messagesFile: await followLink(messagesFile) };
  const taken = new Map<string, string>();
  for (const path of others) taken.set(await identityOf(await followLink(path)), path);
  for (const [path, files] of [[found.storeLog, storeLogFiles], [found.messagesFile, logFiles]] as const) {
    for (const file of files(path)) {
      const identity = await identityOf(file);
      const other = taken.get(identity);
      if (other !== undefined) {
        throw new StoreError(
          "PATH",
          `Cannot use ${path}: ${other} is or needs the same file; give it a name of its own`,
        );
      }
      taken.set(identity, path);
    }
  }
  return found;
}

function logFiles(path: string): string[] {
  return [path, `${path}.new`, `${path}.compact`, lockPath(path)];
}

function storeLogFiles(path: string): string[] {
  const forms = [workersPath(path), conversionPath(path)].flatMap((file) => [file, `${file}.new`]);
  return [...logFiles(path), ...logFiles(handshakesPath(path)), ...forms];
}

/** Says that the content is in the files of workers, and in which (docs/files.md). */
export function workersPath(storeLog: string): string {
  return `${storeLog}.workers`;
}

/** Is there while files are written anew for another number of workers. */
export function conversionPath(storeLog: string): string {
  return `${storeLog}.conversion`;
}

export async function followLink(path: string): Promise<string> {
  try {
    const { isSymlink } = await Deno.lstat(path);
    const found = await Deno.stat(path).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    });
    if (found === null) return await followLink(await targetOf(path));
    // A directory is told by what is done with it.
    if (!found.isFile && !found.isDirectory) {
      throw new StoreError("PATH", `Cannot use ${path}: ${whyNotRegular(found)}`);
    }
    return isSymlink ? await Deno.realPath(path) : path;
  } catch (error) {
    if (error instanceof StoreError) throw error;
    if (error instanceof Deno.errors.NotFound) return path;
    throw ioError("read", path, error);
  }
}

async function targetOf(link: string): Promise<string> {
  const target = await Deno.readLink(link);
  return target.startsWith("/") ? target : `${directoryOf(link)}/${target}`;
}

/** The same for all paths of a file, whether it is there or not. */
async function identityOf(path: string): Promise<string> {
  const directory = directoryOf(path);
  const name = path.slice(path.lastIndexOf("/") + 1);
  const found = await Deno.stat(directory).catch(() => null);
  return found?.ino ? `${found.dev}:${found.ino}/${name}` : path;
}
