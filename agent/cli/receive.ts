import { counted } from "../../cli/counted.ts";
import { type OptionKinds, readWhole, UsageError } from "../../cli/options.ts";
import type { AgentEvent, ReceivedMessage } from "../events.ts";
import { formatIntegrity } from "../protocol/integrity.ts";
import { readArguments, serverHelp, serverOptions } from "./arguments.ts";
import { type Command, Interrupted, Late, type Surroundings } from "./command.ts";
import { oneLine, printable, printableBody, readable } from "./print.ts";
import { ended, isUnmade, Session } from "./session.ts";

const kinds = {
  ...serverOptions,
  "all": "flag",
  "count": "value",
  "follow": "flag",
  "raw": "flag",
  "json": "flag",
} as const satisfies OptionKinds;

interface ReceiveOptions {
  /** `null`: of all connections. */
  readonly name: string | null;
  /** `Infinity`: until the command is ended. */
  readonly count: number;
  readonly format: "text" | "raw" | "json";
}

/** `smp-agent receive`: prints messages. */
export const receive: Command = {
  summary: "wait for messages, and print them",
  usage: "NAME|--all [--count N | --follow] [options]",
  help: `\
  --all                   the messages of all connections, each with its name before it
  --count N               end after N messages (default 1)
  --follow                go on until Ctrl-C or --timeout
  --timeout SECONDS       end after so long, and fail if no message has come
  --raw                   print the bytes of messages, and nothing in between; not on a terminal
  --json                  print JSON objects: message, with text, or base64 where it is none
${serverHelp}

A message is one line: line breaks in it are printed as \\n, other control characters as \\x1b and the like. It
is acknowledged when it is printed: if the program is killed in between, it comes again.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["NAME"], least: 0 });
    const { name, count, format } = readOptions(options, positional[0], surroundings);
    let received = 0;
    try {
      await Session.use(options, surroundings, {
        needs: { mayMake: false, needsServer: (connections) => connections.some(isUnmade) },
        left: () => received === 0 ? "no message has come" : `${counted(received, "message")} came`,
        async use(session) {
          if (name === null) await session.agent.subscribeAll();
          else await session.subscribe(session.connection(name).connection);
          const heard = new Set<string>();
          await session.read(async (event) => {
            if (!("connection" in event) || name !== null && event.connection !== name) return null;
            if (event.type === "end" && name !== null) throw new Error(ended(name));
            if (event.eventId === undefined) return null;
            if (event.type !== "message") {
              await session.agent.take(event.eventId);
              return null;
            }
            await session.give(event.eventId, () => write(event, { name, format, surroundings }));
            heard.add(event.connection);
            return ++received === count ? event : null;
          });
          for (const each of heard) await session.untilReceipted(each);
        },
      });
    } catch (error) {
      // Whoever follows ends it so.
      const isEnd = error instanceof Interrupted ? count === Infinity : error instanceof Late && received > 0;
      if (!isEnd) throw error;
    }
  },
};

function readOptions(
  given:
    & { readonly all: boolean; readonly count: string | undefined }
    & Record<"follow" | "raw" | "json", boolean>,
  name: string | undefined,
  { isTerminal }: Surroundings,
): ReceiveOptions {
  const { all, count, follow, raw, json } = given;
  if (all && name !== undefined) throw new UsageError("NAME and --all exclude each other");
  if (!all && name === undefined) throw new UsageError("NAME is missing, or --all");
  if (follow && count !== undefined) throw new UsageError("--count and --follow exclude each other");
  if (raw && json) throw new UsageError("--raw and --json exclude each other");
  if (raw && isTerminal) throw new UsageError("--raw prints nothing on a terminal, which could obey it");
  return {
    name: name ?? null,
    count: follow ? Infinity : readWhole("count", count ?? "1", { least: 1, most: 1_000_000_000 }),
    format: raw ? "raw" : json ? "json" : "text",
  };
}

async function write(
  { connection, message }: Extract<AgentEvent, { readonly type: "message" }>,
  { name, format, surroundings: { write, print, tell } }: Pick<ReceiveOptions, "name" | "format"> & {
    readonly surroundings: Surroundings;
  },
): Promise<void> {
  const { body, integrity } = message;
  if (format === "json") return await print(oneLine(jsonOf(connection, message)));
  if (integrity.type !== "OK") {
    tell(
      `warning: ${printable(connection)}: the next message is not whole or in order: ${
        formatIntegrity(integrity)
      }`,
    );
  }
  if (format === "raw") return await write(body);
  await print(`${name === null ? `${printable(connection)}: ` : ""}${printableBody(body)}`);
}

function jsonOf(connection: string, { id, body, integrity, sender, server }: ReceivedMessage) {
  return {
    type: "message",
    connection,
    id,
    ...readable(body),
    sentAt: sender.at.toISOString(),
    serverAt: server.at.toISOString(),
    integrity: formatIntegrity(integrity),
  };
}
