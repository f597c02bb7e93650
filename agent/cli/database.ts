import { readFirstLine } from "../../cli/first_line.ts";
import { SqliteStore, StoreError } from "../store/sqlite.ts";
import type { Surroundings } from "./command.ts";
import { withNamed } from "./named_file.ts";

/** Which database is opened. */
export interface Opening {
  readonly path: string;
  readonly passphraseFile: string | undefined;
  /** Whether a new one may be made. */
  readonly mayMake: boolean;
}

/** Opens the database of an agent. Throws an `Error` that says what to do. */
export async function openStore(opening: Opening, { askSecret }: Surroundings): Promise<SqliteStore> {
  const { path, passphraseFile, mayMake } = opening;
  const passphrase = passphraseFile === undefined ? undefined : await firstLine(passphraseFile);
  if (mayMake) await makeFolder(path);
  else await checkExists(path);
  try {
    return await SqliteStore.open(path, passphrase === undefined ? {} : { passphrase });
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const isAsked = error.code === "PASSPHRASE" && passphrase === undefined;
    const given = isAsked ? await askSecret(`passphrase of ${path}: `) : null;
    if (given === null) throw withAdvice(error, path);
    return await SqliteStore.open(path, { passphrase: given });
  }
}

/** An error of a store, with what can be done about it. */
export function withAdvice(error: unknown, path: string): unknown {
  if (!(error instanceof StoreError)) return error;
  const advice = adviceFor(error, path);
  return advice === null ? error : new Error(`${error.message}; ${advice}`, { cause: error });
}

/** The first line of a file. Throws when there is none, or no end of it. */
export async function firstLine(path: string): Promise<string> {
  const line = await withNamed("read", path, () => readFirstLine(path));
  if (line === "") throw new Error(`${path} has nothing in its first line`);
  return line;
}

function adviceFor({ code, message }: StoreError, path: string): string | null {
  if (code === "IN_USE") {
    return 'it may be "smp-agent start", whose port takes commands meanwhile, or another command; stop it first';
  }
  if (code === "PASSPHRASE" && /needs/.test(message)) return "give it with --passphrase-file";
  if (/malformed|not a database/.test(message)) {
    return `keep a copy of it, then remove ${path} with its ${path}-wal and ${path}-shm, and restore an export`;
  }
  return null;
}

/** Makes the folder of a file that may be made; when that cannot be, opening the file says why. */
async function makeFolder(path: string): Promise<void> {
  const folder = path.slice(0, Math.max(0, path.lastIndexOf("/")));
  if (folder !== "") await Deno.mkdir(folder, { recursive: true, mode: 0o700 }).catch(() => {});
}

/** Throws an `Error` when there is no database. */
export async function checkExists(path: string): Promise<void> {
  if (!await exists(path)) {
    throw new Error(`There is no ${path}: "smp-agent invite" and "smp-agent join" make one`);
  }
}

/** Whether there is a file of that name; also when that cannot be known. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}
