import type { OptionKinds } from "../../cli/options.ts";
import { formatQueueInfo } from "../../protocol/mod.ts";
import { checkName, readArguments, serverHelp, serverOptions } from "./arguments.ts";
import type { Command } from "./command.ts";
import { oneLine } from "./print.ts";
import { Session } from "./session.ts";

const kinds = {
  ...serverOptions,
  "again": "flag",
  "wait": "flag",
  "json": "flag",
} as const satisfies OptionKinds;

/** `smp-agent invite`: makes a connection. */
export const invite: Command = {
  summary: "make a connection, and print the invitation to it",
  usage: "NAME [--wait] [--again] [options]",
  help: `\
  --wait                  wait until the other side has joined; else what runs next on the database
                          goes on with it (smp-agent receive, smp-agent send, smp-agent start)
  --again                 print the invitation of a connection that nobody has joined once more
  --timeout SECONDS       give up waiting; the connection stays
  --json                  print JSON objects: invitation, and connected with --wait
${serverHelp}

Whoever has the invitation first is the other side: give it over a channel that nobody can change.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["NAME"] });
    const name = checkName(positional[0]!);
    const { print, tell } = surroundings;
    let isMade = false;
    await Session.use(options, surroundings, {
      needs: { mayMake: !options.again, needsServer: () => !options.again },
      left: () => isMade ? `"${name}" stays, and can still be joined` : "nothing was made",
      async use(session) {
        const invitation = formatQueueInfo(
          options.again ? session.invitation(name) : (await session.agent.create(name)).invitation,
        );
        isMade = true;
        await print(
          options.json ? oneLine({ type: "invitation", connection: name, invitation }) : invitation,
        );
        if (!options.wait) return;
        if (options.again) await session.subscribe(name);
        tell(`waiting for somebody to join "${name}"`);
        await session.untilConnected(name);
        await session.untilSecret(name, tell);
        if (options.json) await print(oneLine({ type: "connected", connection: name }));
        else tell("connected");
      },
    });
  },
};
