import type { OptionKinds } from "../../cli/options.ts";
import { readArguments, serverHelp, serverOptions } from "./arguments.ts";
import type { Command } from "./command.ts";
import { oneLine } from "./print.ts";
import { Session } from "./session.ts";

const kinds = { ...serverOptions, "not": "flag", "json": "flag" } as const satisfies OptionKinds;

/** `smp-agent verify`: notes that the safety code of a connection was compared. */
export const verify: Command = {
  summary: "note that a connection's safety code is the same on both sides",
  usage: "NAME [--not] [options]",
  help: `\
  --not                   take that back
  --json                  print a JSON object: verified
${serverHelp}

smp-agent code prints the code, and smp-agent list whether it was verified.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["NAME"] });
    const name = positional[0]!;
    const verified = !options.not;
    await Session.use(options, surroundings, {
      needs: { mayMake: false, needsServer: () => false },
      left: () => "nothing was noted",
      async use(session) {
        session.connection(name);
        await session.agent.verify(name, verified);
      },
    });
    const { print, tell } = surroundings;
    if (options.json) await print(oneLine({ type: "verified", connection: name, verified }));
    else tell(verified ? "verified" : "not verified any more");
  },
};
