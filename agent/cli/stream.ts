import { type OptionKinds, UsageError } from "../../cli/options.ts";
import { readArguments, serverHelp, serverOptions } from "./arguments.ts";
import type { StreamOffer } from "../stream/types.ts";
import type { Command, Surroundings } from "./command.ts";
import { explained, isTakenBack, Transfer } from "./transfer.ts";

const kinds = { ...serverOptions, "send": "flag", "receive": "flag" } as const satisfies OptionKinds;

/** Bytes that are read at a time. */
const readLength = 65_536;

/** `smp-agent stream`: a pipe between two sides. */
export const stream: Command = {
  summary: "a pipe to the other side: sends the standard input, or writes what comes",
  usage: "NAME [--send | --receive] [options]",
  help: `\
  --send                  send the standard input, to its end
  --receive               write what the other side sends to the standard output
  --timeout SECONDS       fail when that is not done by then
${serverHelp}

Without --send and --receive it sends when the standard output is a terminal and the standard input is none
(tar c . | smp-agent stream NAME), and receives in the contrary case (smp-agent stream NAME | tar x). Where both are
terminals, or none is, as in scripts, one of them must be given. It says on the standard error what it does.

Both sides must run at the same time; it goes on over lost connections and restarts of servers. A pipe cannot be
read twice: when either program is killed, the other one fails. Ctrl-C cancels, and tells the other side.`,
  async run(args, surroundings) {
    const { options, positional } = readArguments(args, kinds, { names: ["NAME"] });
    const name = positional[0]!;
    const isSending = readDirection(options, surroundings);
    await Transfer.use({ ...options, json: false }, surroundings, {
      name,
      left: () => "it is cancelled by the next call",
      use: (transfer) =>
        isSending ? send(transfer, name, surroundings) : receive(transfer, name, surroundings),
    });
  },
};

function readDirection(
  { send, receive }: { readonly send: boolean; readonly receive: boolean },
  { isTerminal, isInputTerminal }: Surroundings,
): boolean {
  if (send && receive) throw new UsageError("--send and --receive exclude each other");
  if (send && isInputTerminal) throw new UsageError("--send needs a standard input that is no terminal");
  if (receive && isTerminal) {
    throw new UsageError("--receive writes nothing to a terminal, which could obey it");
  }
  if (send || receive) return send;
  if (isTerminal !== isInputTerminal) return isTerminal;
  throw new UsageError(
    isTerminal
      ? "neither the standard input nor the standard output is a pipe or a file"
      : "--send or --receive is missing: neither the standard input nor the standard output is a terminal",
  );
}

async function send(transfer: Transfer, name: string, { readSome, signal }: Surroundings): Promise<void> {
  const stream = await transfer.session.agent.offerStream(name);
  transfer.tell(
    `sending the standard input to "${name}", when it is taken there with smp-agent stream --receive`,
  );
  const pump = async () => {
    const writer = (await stream.accepted).getWriter();
    writer.closed.catch(() => {});
    const buffer = new Uint8Array(readLength);
    for (let count; (count = await readSome(buffer)) !== null;) await writer.write(buffer.slice(0, count));
    await writer.close();
    await stream.ended;
  };
  // What cannot be read is told to the other side too, by what ends the stream here.
  let failure: unknown = null;
  const pumped = pump().catch(async (error) => {
    failure = error;
    if (!signal.aborted) await stream.cancel("What was sent cannot be read");
    throw error;
  });
  const ended = stream.ended.catch((error) => {
    throw failure ?? error;
  });
  await transfer.follow(stream, { shown: "", work: Promise.race([pumped, ended]) });
  transfer.tell("sent");
}

async function receive(transfer: Transfer, name: string, { write }: Surroundings): Promise<void> {
  for (const stream of transfer.session.agent.streams(name)) {
    const isLeft = stream.direction === "receiving" && stream.size === null && stream.status === "accepted";
    if (!isLeft) continue;
    transfer.tell("what another program has begun to receive, and that was killed, is cancelled");
    await stream.cancel("The program that received it was killed");
  }
  transfer.tell(`receiving what "${name}" sends with smp-agent stream`);
  for (let hasCome = false; !hasCome;) {
    const offer = await transfer.offer(({ size }) => size === null);
    hasCome = await receiveOffer(transfer, offer, write);
  }
  transfer.tell("received");
}

/** Gives whether it has come: `false` when it was taken back before any of it was there. */
async function receiveOffer(
  transfer: Transfer,
  offer: StreamOffer,
  write: Surroundings["write"],
): Promise<boolean> {
  const pump = async () => {
    const reader = offer.accept().getReader();
    for (let part; !(part = await reader.read()).done;) await write(part.value);
  };
  const pumped = pump().catch(async (error) => {
    await offer.cancel("What came cannot be written");
    throw error;
  });
  try {
    await transfer.follow(offer, { shown: "", work: pumped });
    return true;
  } catch (error) {
    if (!isTakenBack(offer, error)) throw error;
    transfer.tell(`one that was offered did not come: ${explained(error)}`);
    return false;
  }
}
