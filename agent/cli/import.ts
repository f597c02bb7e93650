import { counted } from "../../cli/counted.ts";
import type { OptionKinds } from "../../cli/options.ts";
import { type BackupCounts, BackupError, readBackup } from "../backup.ts";
import type { SqliteStore } from "../store/sqlite.ts";
import { databaseHelp, databaseOptions, defaultDatabase, readArguments } from "./arguments.ts";
import { type Command, Interrupted, type Surroundings } from "./command.ts";
import { exists, openStore, withAdvice } from "./database.ts";
import { withNamed } from "./named_file.ts";
import { readPassphrase } from "./passphrase_input.ts";
import { oneLine } from "./print.ts";

const kinds = {
  ...databaseOptions,
  "backup-passphrase-file": "value",
  "json": "flag",
} as const satisfies OptionKinds;

/** `smp-agent import`: a database of a backup. */
export const importCommand: Command = {
  summary: "make a database of a file of export",
  usage: "FILE [options]",
  help: `\
  --backup-passphrase-file FILE
                          the first line of FILE is the backup's passphrase; else it is asked for
  --json                  print a JSON object: imported
${databaseHelp}

The database is a new one, or has no connections; with --passphrase-file a new one is encrypted. Stop the
agent that the backup is of before this one is used: two of them would take each other's messages.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["FILE"] });
    const [file, path] = [positional[0]!, options.db ?? defaultDatabase];
    // Before anything is asked or made.
    (await withNamed("read", file, () => Deno.open(file))).close();
    const passphrase = await readPassphrase({
      what: `passphrase of ${file}`,
      option: "backup-passphrase-file",
      file: options["backup-passphrase-file"],
    }, surroundings);
    const isNew = !await exists(path);
    const opening = { path, passphraseFile: options["passphrase-file"], mayMake: true };
    try {
      await using store = await openStore(opening, surroundings);
      // Never one that somebody else has made meanwhile.
      const isOwn = isNew && (await store.connections()).length === 0;
      try {
        const { connections, messages } = await read(store, { file, path, passphrase }, surroundings);
        if (options.json) await surroundings.print(oneLine({ type: "imported", connections, messages }));
        else {
          surroundings.tell(
            `imported ${counted(connections, "connection")}, ${counted(messages, "message")}`,
          );
        }
        surroundings.tell("never run the agent that the backup is of again: use one of the two alone");
      } catch (error) {
        if (isOwn) await store.remove();
        throw error;
      }
    } catch (error) {
      throw withAdvice(error, path);
    }
  },
};

async function read(
  store: SqliteStore,
  { file, path, passphrase }: {
    readonly file: string;
    readonly path: string;
    readonly passphrase: string;
  },
  { signal }: Surroundings,
): Promise<BackupCounts> {
  // It is not read where the database has connections.
  using opened = await Deno.open(file);
  try {
    return await readBackup(store, untilAborted(opened.readable, signal), { passphrase });
  } catch (error) {
    if (!(error instanceof BackupError) || error.code !== "NOT_EMPTY") throw error;
    throw new Error(`Cannot import into ${path}: it has connections; name a new file with --db`);
  }
}

async function* untilAborted(
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for await (const part of stream) {
    if (signal.aborted) throw new Interrupted("interrupted; nothing was imported");
    yield part;
  }
}
