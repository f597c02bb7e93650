import { counted } from "../../cli/counted.ts";
import { type OptionKinds, readWhole } from "../../cli/options.ts";
import { mostRoutes } from "../options.ts";
import { readArguments, serverHelp, serverOptions } from "./arguments.ts";
import type { Command } from "./command.ts";
import { oneLine } from "./print.ts";
import { Session } from "./session.ts";

const kinds = { ...serverOptions, "no-wait": "flag", "json": "flag" } as const satisfies OptionKinds;

/** `smp-agent routes`: sets through how many servers at once a connection receives. */
export const routes: Command = {
  summary: "receive what comes of a connection through several servers at once",
  usage: "NAME N [--no-wait] [options]",
  help: `\
  --no-wait               only store it: what runs next on the database makes or ends queues
  --timeout SECONDS       give up waiting; what runs next on the database goes on
  --json                  print a JSON object: routes, or stored with --no-wait
${serverHelp}

N is 1 to 4, or default: as many as --routes says. There are fewer where there are not as many servers. Needs a
session. The other side must run too.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["NAME", "N"] });
    const [name, given] = positional as [string, string];
    const wanted = given === "default" ? null : readWhole("N", given, { least: 1, most: mostRoutes });
    const { print, tell } = surroundings;
    let isStored = false;
    await Session.use(options, surroundings, {
      needs: { mayMake: false, needsServer: () => true },
      left: () => isStored ? `what runs next goes on with "${name}"` : "nothing was stored",
      async use(session) {
        session.connection(name);
        await session.agent.setRoutes(name, wanted);
        isStored = true;
        if (!options["no-wait"]) {
          await session.subscribe(name);
          const most = wanted ?? readWhole("routes", options.routes ?? "1", { least: 1, most: mostRoutes });
          await session.untilRoutes(name, Math.min(most, session.agent.servers.length));
        }
        const type = options["no-wait"] ? "stored" : "routes";
        const servers = (await session.inboundOf(name)).map(({ server }) => server);
        if (options.json) await print(oneLine({ type, connection: name, servers }));
        else if (type === "stored") tell(type);
        else tell(`comes through ${counted(servers.length, "server")}: ${servers.join(", ")}`);
      },
    });
  },
};
