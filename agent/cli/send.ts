import { type OptionKinds, UsageError } from "../../cli/options.ts";
import { largestBody } from "../../protocol/mod.ts";
import { readArguments, serverHelp, serverOptions } from "./arguments.ts";
import type { Command, Surroundings } from "./command.ts";
import { withNamed } from "./named_file.ts";
import { oneLine, printable } from "./print.ts";
import { readAtMost } from "./terminal.ts";
import { isUnmade, Session } from "./session.ts";

const kinds = {
  ...serverOptions,
  "file": "value",
  "no-wait": "flag",
  "json": "flag",
} as const satisfies OptionKinds;

/** Bytes that are read of something that is to be sent: no message has more. */
const longestInput = largestBody;

/** `smp-agent send`: sends one message. */
export const send: Command = {
  summary: "send a message, and wait until the server has it",
  usage: "NAME [TEXT | --file FILE] [--no-wait] [options]",
  help: `\
  TEXT                    what is sent; without it and --file the standard input, to its end
  --file FILE             send the content of FILE
  --no-wait               only store it: what runs next on the database sends it (smp-agent send,
                          smp-agent receive, smp-agent start)
  --timeout SECONDS       fail when the server has not got it so long after it was read; it stays stored,
                          and is still sent
  --json                  print a JSON object: sent, or stored with --no-wait
${serverHelp}

A message has 1 MiB at most, about 2980 bytes where the other side has no sessions; one of more than about
400 KB needs the other side to receive meanwhile. A connection that is not there yet is waited for.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["NAME", "TEXT"], least: 1 });
    const [name, text] = positional as [string, string?];
    if (text !== undefined && options.file !== undefined) {
      throw new UsageError("TEXT and --file exclude each other");
    }
    const body = await readBody(text, options.file, surroundings);
    let stored: number | null = null;
    await Session.use(options, surroundings, {
      needs: { mayMake: false, needsServer: (connections) => connections.some(isUnmade) },
      left: () =>
        stored === null ? "nothing was stored" : `message ${stored} is stored, and what runs next sends it`,
      async use(session) {
        await prepare(session, name, options["no-wait"], surroundings);
        const id = stored = await session.agent.send(name, body);
        if (!options["no-wait"]) await session.untilSent(name, id);
        const type = options["no-wait"] ? "stored" : "sent";
        if (options.json) await surroundings.print(oneLine({ type, connection: name, id }));
      },
    });
  },
};

async function readBody(
  text: string | undefined,
  file: string | undefined,
  { readInput }: Surroundings,
): Promise<Uint8Array<ArrayBuffer>> {
  if (text !== undefined) return new TextEncoder().encode(text);
  if (file === undefined) return await readInput(longestInput);
  return await withNamed("read", file, async () => {
    using opened = await Deno.open(file);
    return await readAtMost(opened, { most: longestInput, name: "it" });
  });
}

/** The side that has invited can send when the other one has joined. */
async function prepare(
  session: Session,
  name: string,
  isAtOnce: boolean,
  { tell }: Surroundings,
): Promise<void> {
  const { canSend, connected, failed, session: info } = session.connection(name);
  if (failed) throw new Error(`"${name}" cannot send: joining has failed`);
  if (isAtOnce && !canSend) throw new Error(`"${name}" cannot send before it is connected`);
  if (isAtOnce) return;
  if (connected) {
    // What was received there, and its part of the upgrade, comes from the other side.
    if (info !== null) await session.subscribe(name);
    if (info?.closed) throw new Error(`"${name}" cannot send: the other side has deleted the connection`);
    if (info?.active === false) tell(`waiting for "${printable(name)}": the other side must run now`);
    return;
  }
  await session.subscribe(name);
  // A joiner's messages need not wait.
  if (canSend) return;
  tell(`waiting for "${printable(name)}": the other side must join, and run now`);
  await session.untilConnected(name);
}
