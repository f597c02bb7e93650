import type { OptionKinds } from "../../cli/options.ts";
import { readArguments, serverHelp, serverOptions } from "./arguments.ts";
import type { Command } from "./command.ts";
import { oneLine } from "./print.ts";
import { Session } from "./session.ts";

const kinds = { ...serverOptions, "no-wait": "flag", "json": "flag" } as const satisfies OptionKinds;

/** `smp-agent rotate`: moves a connection to new queues. */
export const rotate: Command = {
  summary: "move what comes of a connection to new queues, on other servers where there are some",
  usage: "NAME [--no-wait] [options]",
  help: `\
  --no-wait               only store it: what runs next on the database moves it
  --timeout SECONDS       give up waiting; what runs next on the database goes on
  --json                  print a JSON object: moved, or stored with --no-wait
${serverHelp}

Needs a session. The other side must run too. Messages wait meanwhile, and none is lost.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["NAME"] });
    const name = positional[0]!;
    const { print, tell } = surroundings;
    let isStored = false;
    await Session.use(options, surroundings, {
      needs: { mayMake: false, needsServer: () => true },
      left: () => isStored ? `what runs next goes on with "${name}"` : "nothing was stored",
      async use(session) {
        session.connection(name);
        const before = await session.inboundOf(name);
        await session.agent.rotate(name);
        isStored = true;
        if (!options["no-wait"]) {
          await session.subscribe(name);
          await session.untilGone(before);
        }
        const type = options["no-wait"] ? "stored" : "moved";
        const servers = (await session.inboundOf(name)).map(({ server }) => server);
        if (options.json) await print(oneLine({ type, connection: name, servers }));
        else tell(type === "moved" ? `moved to ${servers.join(", ")}` : type);
      },
    });
  },
};
