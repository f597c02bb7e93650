import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { OptionKinds } from "../../cli/options.ts";
import type { OutgoingStream } from "../stream/types.ts";
import { readArguments, serverHelp, serverOptions } from "./arguments.ts";
import type { Command } from "./command.ts";
import { withNamed } from "./named_file.ts";
import { formatBytes } from "./progress.ts";
import { Transfer } from "./transfer.ts";

const kinds = { ...serverOptions, "no-wait": "flag", "json": "flag" } as const satisfies OptionKinds;

/** `smp-agent send-file`: sends a file. */
export const sendFile: Command = {
  summary: "send a file, and wait until the other side has it",
  usage: "NAME PATH [--no-wait] [options]",
  help: `\
  PATH                    the file; the other side is told its name without folders, its size and its SHA-256
  --no-wait               only offer it: what runs next on the database sends it
                          (smp-agent send-file, smp-agent start)
  --timeout SECONDS       fail when the other side has not got it by then; it stays offered, and is still sent
  --json                  print JSON objects: offered, progress and sent
${serverHelp}

The other side takes it with smp-agent receive-file. What was ended by kill -9 or --timeout goes on where it was when
the same file is sent again; Ctrl-C cancels it and tells the other side. A file that has changed since it was
offered is offered anew.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["NAME", "PATH"] });
    const [name, path] = positional as [string, string];
    // Before the other side is waited for.
    const { isFile } = await withNamed("read", path, () => Deno.stat(path));
    if (!isFile) throw new Error(`Cannot send ${path}: it is not a file`);
    let isOffered = false;
    await Transfer.use(options, surroundings, {
      name,
      left: () => isOffered ? `"${path}" is offered, and what runs next sends it` : "nothing was offered",
      async use(transfer) {
        const stream = await offered(transfer, name, path);
        isOffered = true;
        const { id, size } = stream;
        const what = { connection: name, id, name: stream.name, size };
        const isAccepted = stream.status === "accepted";
        const said = `"${stream.name}" (${formatBytes(size ?? 0)})`;
        await transfer.say(
          isAccepted ? `going on with ${said}` : `${said} is offered: the other side must take it`,
          { type: "offered", ...what },
        );
        if (options["no-wait"]) return;
        await transfer.follow(stream, { shown: stream.name, work: stream.ended });
        await transfer.say("sent", { type: "sent", ...what });
      },
    });
  },
};

/** The offer of a file: one that was made before, where it is still the same file, else a new one. */
async function offered(transfer: Transfer, name: string, path: string): Promise<OutgoingStream> {
  const { agent, store } = transfer.session;
  const connection = (await store.connections()).find(({ record: { alias } }) => alias === name);
  const absolute = resolve(path), { size, mtimeMs } = await stat(absolute);
  for (const { id, direction, file } of connection?.session?.keys.streams ?? []) {
    if (direction !== "sending" || file?.path !== absolute) continue;
    const stream = agent.streams(name).find((one) => one.direction === "sending" && one.id === id);
    if (stream === undefined || stream.direction !== "sending") continue;
    if (file.size === size && file.modifiedAt === mtimeMs) return stream;
    transfer.tell(`"${stream.name}" has changed since it was offered, and is offered anew`);
    await stream.cancel("The file has changed");
  }
  return await agent.sendFile(name, path, { onReading: transfer.showReading });
}
