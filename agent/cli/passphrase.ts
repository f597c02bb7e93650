import { type OptionKinds, UsageError } from "../../cli/options.ts";
import { databaseHelp, databaseOptions, defaultDatabase, readArguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { openStore, withAdvice } from "./database.ts";
import { readNewPassphrase } from "./passphrase_input.ts";
import { oneLine } from "./print.ts";

const kinds = {
  ...databaseOptions,
  "new-passphrase-file": "value",
  "remove": "flag",
  "json": "flag",
} as const satisfies OptionKinds;

/** `smp-agent passphrase`: what encrypts the database. */
export const passphrase: Command = {
  summary: "set, change or remove the passphrase of the database",
  usage: "[--remove] [options]",
  help: `\
  --new-passphrase-file FILE
                          the first line of FILE is the new one; else it is asked for
  --remove                have private keys and messages in the clear from now on
  --json                  print a JSON object: changed, or removed
${databaseHelp}

No agent may use the database meanwhile. Backups and copies that were made before keep their passphrase.`,
  async run(args, surroundings) {
    const { options } = readArguments(args, kinds, { names: [] });
    const { db: path = defaultDatabase, "new-passphrase-file": file, remove } = options;
    if (remove && file !== undefined) {
      throw new UsageError("--remove and --new-passphrase-file exclude each other");
    }
    try {
      const opening = { path, passphraseFile: options["passphrase-file"], mayMake: false };
      await using store = await openStore(opening, surroundings);
      const input = { what: `new passphrase of ${path}`, option: "new-passphrase-file", file };
      await store.changePassphrase(remove ? null : await readNewPassphrase(input, surroundings));
    } catch (error) {
      throw withAdvice(error, path);
    }
    const type = remove ? "removed" : "changed";
    if (options.json) await surroundings.print(oneLine({ type, db: path }));
    else surroundings.tell(`the passphrase of ${path} is ${type}`);
  },
};
