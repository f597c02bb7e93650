import { type OptionKinds, UsageError } from "../../cli/options.ts";
import { readArguments, serverHelp, serverOptions } from "./arguments.ts";
import type { Command } from "./command.ts";
import { oneLine } from "./print.ts";
import { Session } from "./session.ts";

const kinds = { ...serverOptions, "not": "flag", "json": "flag" } as const satisfies OptionKinds;

/** `smp-agent verify`: notes that the safety code of a connection was compared. */
export const verify: Command = {
  summary: "note that a connection's safety code is the same on both sides",
  usage: "NAME [CODE | --not] [options]",
  help: `\
  CODE                    the code that was compared: fails when the session has another one by now
  --not                   take that back
  --json                  print a JSON object: verified
${serverHelp}

smp-agent code prints the code, and smp-agent list whether it was verified.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["NAME", "CODE"], least: 1 });
    const [name, code] = positional as [string, string?];
    if (options.not && code !== undefined) throw new UsageError("CODE and --not exclude each other");
    const verified = !options.not;
    await Session.use(options, surroundings, {
      needs: { mayMake: false, needsServer: () => false },
      left: () => "nothing was noted",
      async use(session) {
        session.connection(name);
        await session.agent.verify(name, code ?? verified);
      },
    });
    const { print, tell } = surroundings;
    if (options.json) await print(oneLine({ type: "verified", connection: name, verified }));
    else tell(verified ? "verified" : "not verified any more");
  },
};
