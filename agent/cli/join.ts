import { type OptionKinds, UsageError } from "../../cli/options.ts";
import { ParseError, parseQueueInfo, type QueueInfo } from "../../protocol/mod.ts";
import { checkName, readArguments, serverHelp, serverOptions } from "./arguments.ts";
import type { Command } from "./command.ts";
import { oneLine } from "./print.ts";
import { Session } from "./session.ts";

const kinds = {
  ...serverOptions,
  "no-wait": "flag",
  "no-reply": "flag",
  "json": "flag",
} as const satisfies OptionKinds;

/** An invitation has about 500 characters. */
const longestInput = 10_000;

/** `smp-agent join`: joins a connection by an invitation. */
export const join: Command = {
  summary: "join a connection by an invitation, and wait until it is there",
  usage: "NAME INVITATION|- [--no-wait] [--no-reply] [options]",
  help: `\
  -                       read the invitation from a line of the standard input
  --no-wait               only store it: what runs next on the database joins (smp-agent receive,
                          smp-agent send, smp-agent start)
  --no-reply              make a connection to send on, and not to receive from
  --timeout SECONDS       give up waiting; what runs next on the database goes on
  --json                  print a JSON object: connected, or stored with --no-wait
${serverHelp}

The other side must run too, for instance with smp-agent invite --wait or smp-agent receive.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["NAME", "INVITATION"] });
    const [name, given] = [checkName(positional[0]!), positional[1]!];
    const reply = !options["no-reply"];
    const { print, tell, readInput } = surroundings;
    const invitation = readInvitation(
      given === "-" ? new TextDecoder().decode(await readInput(longestInput, true)) : given,
    );
    let isStored = false;
    await Session.use(options, surroundings, {
      needs: { mayMake: true, needsServer: () => reply },
      left: () => isStored ? `"${name}" is stored, and what runs next goes on with it` : "nothing was stored",
      async use(session) {
        await session.agent.join(invitation, { alias: name, reply });
        isStored = true;
        if (!options["no-wait"]) {
          tell("waiting for the other side");
          await session.untilConnected(name);
          await session.untilSecret(name, tell);
        }
        const type = options["no-wait"] ? "stored" : "connected";
        if (options.json) await print(oneLine({ type, connection: name }));
        else tell(type);
      },
    });
  },
};

function readInvitation(text: string): QueueInfo {
  try {
    return parseQueueInfo(text.trim());
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    const advice = "copy all of the line that begins with smp::";
    throw new UsageError(`this is not a whole invitation: ${advice} (${error.message})`);
  }
}
