import type { OptionKinds } from "../../cli/options.ts";
import { shownServer } from "../../cli/server_argument.ts";
import { counted } from "../../cli/counted.ts";
import { formatAddress } from "../../protocol/mod.ts";
import { readArguments, readServer, serverHelp, serverOptions } from "./arguments.ts";
import type { Command } from "./command.ts";
import { oneLine } from "./print.ts";
import { Session } from "./session.ts";

const kinds = { ...serverOptions, "json": "flag" } as const satisfies OptionKinds;

/** `smp-agent leave`: moves everything away from a server. */
export const leave: Command = {
  summary: "move all that comes through a server to the others",
  usage: "SERVER [options]",
  help: `\
  --timeout SECONDS       give up waiting; what runs next on the database goes on
  --json                  print JSON objects: leaving, at each change
${serverHelp}

SERVER is its address, as --server has it. It ends when no queue of a session is left there; for that the other
sides must run too. Queues of connections without a session stay.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["SERVER"] });
    const server = shownServer(readServer(positional[0]!, true));
    const { print, tell } = surroundings;
    let isBegun = false;
    await Session.use(options, surroundings, {
      needs: { mayMake: false, needsServer: () => true },
      left: () => isBegun ? "what runs next goes on" : "nothing was done",
      async use(session) {
        const isKnown = session.agent.servers.some((known) => formatAddress(known) === server);
        await session.agent.subscribeAll();
        for await (const { left, staying } of session.agent.leave(server)) {
          if (!isBegun && !isKnown && left + staying === 0) {
            tell(`nothing comes through ${server}`);
          } else if (!options.json) {
            tell(
              `${counted(left, "queue")} left${staying === 0 ? "" : `, ${staying} without a session stay`}`,
            );
          }
          isBegun = true;
          if (options.json) await print(oneLine({ type: "leaving", server, left, staying }));
        }
      },
    });
  },
};
