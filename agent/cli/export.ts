import type { OptionKinds } from "../../cli/options.ts";
import { counted } from "../../cli/counted.ts";
import { writeBackup } from "../backup.ts";
import { SqliteStore, StoreError } from "../store/sqlite.ts";
import { databaseHelp, databaseOptions, defaultDatabase, readArguments } from "./arguments.ts";
import { type Command, Interrupted, type Surroundings } from "./command.ts";
import { checkExists, firstLine, withAdvice } from "./database.ts";
import { fileError, withNamed } from "./named_file.ts";
import { readNewPassphrase } from "./passphrase_input.ts";
import { oneLine } from "./print.ts";

const kinds = {
  ...databaseOptions,
  "backup-passphrase-file": "value",
  "json": "flag",
} as const satisfies OptionKinds;

/** `smp-agent export`: a backup. */
export const exportCommand: Command = {
  summary: "write everything to one encrypted file, also while an agent runs",
  usage: "FILE [options]",
  help: `\
  --backup-passphrase-file FILE
                          the first line of FILE encrypts the backup; else it is asked for
  --json                  print a JSON object: exported
${databaseHelp}

FILE is a new one, for its owner alone. It has the state of one moment, with all keys and messages. Two agents
that are made of it must never run at the same time: they would take each other's messages.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["FILE"] });
    const [file, path] = [positional[0]!, options.db ?? defaultDatabase];
    await checkExists(path);
    await checkNew(file);
    try {
      const source = await openForReading(path, options["passphrase-file"], surroundings);
      const passphrase = await readNewPassphrase({
        what: "passphrase of the backup",
        option: "backup-passphrase-file",
        file: options["backup-passphrase-file"],
      }, surroundings);
      const bytes = await writeNew(file, writeBackup(source, { passphrase }), surroundings.signal);
      if (options.json) await surroundings.print(oneLine({ type: "exported", file, bytes }));
      else surroundings.tell(`exported to ${file}, ${counted(bytes, "byte")}`);
    } catch (error) {
      throw withAdvice(error, path);
    }
  },
};

async function openForReading(path: string, file: string | undefined, { askSecret }: Surroundings) {
  const passphrase = file === undefined ? undefined : await firstLine(file);
  try {
    return await SqliteStore.openForReading(path, passphrase === undefined ? {} : { passphrase });
  } catch (error) {
    const isAsked = error instanceof StoreError && error.code === "PASSPHRASE" && passphrase === undefined;
    const given = isAsked ? await askSecret(`passphrase of ${path}: `) : null;
    if (given === null) throw error;
    return await SqliteStore.openForReading(path, { passphrase: given });
  }
}

async function checkNew(file: string): Promise<void> {
  let isThere = true;
  try {
    await Deno.lstat(file);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw fileError("write", file, error);
    isThere = false;
  }
  if (isThere) throw new Error(`Cannot write ${file}: it is there already, and never written over`);
}

/** Writes a new file, which is there when it is whole and on the disk; gives its length. */
async function writeNew(
  file: string,
  content: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): Promise<number> {
  const unfinished = `${file}.new`;
  let length = 0;
  using opened = await openNew(unfinished);
  try {
    for await (const part of content) {
      if (signal.aborted) throw new Interrupted("interrupted; nothing was exported");
      await withNamed("write", file, async () => {
        for (let at = 0; at < part.length;) at += await opened.write(part.subarray(at));
      });
      length += part.length;
    }
    await withNamed("write", file, () => opened.sync());
    await checkNew(file);
    await Deno.rename(unfinished, file);
  } catch (error) {
    await Deno.remove(unfinished).catch(() => {});
    throw error;
  }
  await syncFolder(file);
  return length;
}

async function openNew(file: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(file, { write: true, createNew: true, mode: 0o600 });
  } catch (cause) {
    if (!(cause instanceof Deno.errors.AlreadyExists)) throw fileError("write", file, cause);
    const what = "it is there, of an export that goes on or has not ended; remove it in the second case";
    throw new Error(`Cannot write ${file}: ${what}`, { cause });
  }
}

/** Has the file's name on the disk too, where folders can be opened. */
async function syncFolder(file: string): Promise<void> {
  const folder = file.slice(0, file.lastIndexOf("/") + 1) || ".";
  try {
    using opened = await Deno.open(folder);
    await opened.sync();
  } catch {
    // Not on Windows.
  }
}
