import type { OptionKinds } from "../../cli/options.ts";
import { databaseHelp, databaseOptions, defaultDatabase, readArguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { openStore, withAdvice } from "./database.ts";
import { oneLine } from "./print.ts";

const kinds = { ...databaseOptions, "json": "flag" } as const satisfies OptionKinds;

/** `smp-agent code`: the safety code of a connection. */
export const code: Command = {
  summary: "print a connection's safety code, to be compared with the other side's",
  usage: "NAME [options]",
  help: `\
  --json                  print a JSON object: code
${databaseHelp}

60 digits in twelve groups. Compare them over the telephone, or side by side: when both sides have the same,
nobody is between them; smp-agent verify notes that.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["NAME"] });
    const name = positional[0]!;
    const path = options.db ?? defaultDatabase;
    const opening = { path, passphraseFile: options["passphrase-file"], mayMake: false };
    try {
      await using store = await openStore(opening, surroundings);
      const connection = (await store.connections()).find(({ record: { alias } }) => alias === name);
      if (connection === undefined) {
        throw new Error(`There is no connection "${name}"; "smp-agent list" prints those that there are`);
      }
      const { safetyCode = null, verified = false } = connection.session?.keys ?? {};
      if (safetyCode === null) throw new Error(`"${name}" has no session, and so no safety code`);
      const { print } = surroundings;
      await print(
        options.json ? oneLine({ type: "code", connection: name, code: safetyCode, verified }) : safetyCode,
      );
    } catch (error) {
      throw withAdvice(error, path);
    }
  },
};
