import { type OptionKinds, readWhole, UsageError } from "../../cli/options.ts";
import { encodeBase64 } from "../../protocol/mod.ts";
import { StreamError } from "../stream/error.ts";
import type { Agent } from "../agent.ts";
import type { ReceivedFile, StreamOffer } from "../stream/types.ts";
import { readArguments, serverHelp, serverOptions } from "./arguments.ts";
import { type Command, Interrupted, Late, type Surroundings } from "./command.ts";
import { numbered, safeName } from "./file_name.ts";
import { withNamed } from "./named_file.ts";
import { printable } from "./print.ts";
import { formatBytes } from "./progress.ts";
import { explained, isTakenBack, Transfer } from "./transfer.ts";

const kinds = {
  ...serverOptions,
  "to": "value",
  "count": "value",
  "follow": "flag",
  "json": "flag",
} as const satisfies OptionKinds;

/** Files of one name in a folder. */
const mostOfName = 10_000;

/** `smp-agent receive-file`: takes files. */
export const receiveFile: Command = {
  summary: "wait for a file, and store it under a name of its own",
  usage: "NAME [--to DIR] [--count N | --follow] [options]",
  help: `\
  --to DIR                the folder that it is put into (default: this one); made if it is not there
  --count N               end after N files (default 1)
  --follow                go on until Ctrl-C or --timeout
  --timeout SECONDS       end after so long, and fail if no file has come
  --json                  print JSON objects: receiving, progress and received
${serverHelp}

It takes what the other side has sent with smp-agent send-file, and prints the path that it has. The file is called as
its sender calls it, without folders and what terminals or file systems may obey, and with a number where there is
one of that name; nothing is ever overwritten. Until all has come and has the right SHA-256 it is .ID.part in the
same folder. What was ended by kill -9, --timeout or a full disk goes on from there when the command is given again,
with the same --to; Ctrl-C cancels the file and tells the other side.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["NAME"] });
    const name = positional[0]!;
    const { to: folder = ".", follow, count } = options;
    if (follow && count !== undefined) throw new UsageError("--count and --follow exclude each other");
    const most = follow ? Infinity : readWhole("count", count ?? "1", { least: 1, most: 1_000_000_000 });
    await withNamed("receive into", folder, () => Deno.mkdir(folder, { recursive: true }));
    let received = 0;
    try {
      await Transfer.use(options, surroundings, {
        name,
        left: () =>
          received === 0 ? "no file has come; what has begun goes on with the next call" : "files came",
        async use(transfer) {
          while (received < most) {
            const offer = await transfer.offer(({ size }) => size !== null);
            const hasBegun = offer.status === "accepted";
            try {
              await receive(transfer, offer, { folder, surroundings, isJson: options.json });
              received++;
            } catch (error) {
              // One that ends otherwise is not the end of those that come, nor is one that did not begin.
              if (!(error instanceof StreamError) || error.code === "CLOSED") throw error;
              if (!follow && (hasBegun || !isTakenBack(offer, error))) throw error;
              transfer.tell(`"${offer.name}" did not come: ${explained(error)}`);
            }
          }
        },
      });
    } catch (error) {
      const isEnd = error instanceof Interrupted ? follow : error instanceof Late && received > 0;
      if (!isEnd) throw error;
    }
  },
};

async function receive(
  transfer: Transfer,
  offer: StreamOffer,
  { folder, surroundings: { print }, isJson }: {
    readonly folder: string;
    readonly surroundings: Surroundings;
    readonly isJson: boolean;
  },
): Promise<void> {
  const { connection, id, name, size } = offer;
  const { agent } = transfer.session;
  const called = safeName(name);
  const isAccepted = offer.status === "accepted";
  const { begun, done, free } = await ofFile(async () => {
    const begun = isAccepted ? await sizeOf(`${folder}/.${id}.part`) : null;
    // All of it may have both names, when that was cut off.
    const done = isAccepted && (begun === null || begun === size)
      ? await hasCome(agent, offer, { folder, called })
      : null;
    return { begun, done, free: done === null ? await freeNumber(folder, called) : 1 };
  });
  const pathOf = (attempt: number) => `${folder}/${numbered(called, free + attempt - 1)}`;
  const path = done?.path ?? pathOf(1);
  const what = { connection, id, name, size, file: path };
  if (done === null) {
    await transfer.say(
      `${begun !== null ? "going on with" : "receiving"} "${name}" (${formatBytes(size ?? 0)}) as ${path}`,
      { type: "receiving", ...what },
    );
  }
  // Another receive-file may take the name meanwhile.
  const work = done === null
    ? ofFile(() => agent.receiveFile(offer, path, { otherPath: pathOf }))
    : Promise.resolve<ReceivedFile>(done);
  const { sha256, path: file = path } = await transfer.follow(offer, { shown: name, work });
  if (isJson) await transfer.say("", { type: "received", ...what, file, sha256: encodeBase64(sha256) });
  else await print(printable(file));
}

/** Does something with one file; what a system refuses, for a name for instance, is the end of no other one. */
async function ofFile<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof StreamError) throw cause;
    throw new StreamError("FAILED", "The file cannot be written", { cause });
  }
}

/** A file that got its name before a crash that kept the other side from being told; `null`: there is none. */
async function hasCome(
  agent: Agent,
  offer: StreamOffer,
  { folder, called }: { readonly folder: string; readonly called: string },
): Promise<ReceivedFile & { readonly path: string } | null> {
  for (let number = 1; number <= mostOfName; number++) {
    const path = `${folder}/${numbered(called, number)}`;
    if (!await exists(path)) return null;
    const { size, isFile } = await Deno.lstat(path);
    if (!isFile || size !== offer.size) continue;
    try {
      return { path, ...await agent.receiveFile(offer, path) };
    } catch (error) {
      // Another file, which stays as it is.
      if (!(error instanceof StreamError) || error.code !== "FAILED") throw error;
    }
  }
  return null;
}

/** The first number with which nothing in a folder has a name. */
async function freeNumber(folder: string, name: string): Promise<number> {
  for (let number = 1; number <= mostOfName; number++) {
    if (!await exists(`${folder}/${numbered(name, number)}`)) return number;
  }
  throw new Error(`${folder} has too many files that are called ${name}`);
}

async function exists(path: string): Promise<boolean> {
  return await sizeOf(path) !== null;
}

/** Bytes of what has a path; `null`: nothing has. */
async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await Deno.lstat(path)).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
