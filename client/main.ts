/**
 * A client of SMP servers for the command line and for scripts; `--help` lists what it does (docs/smp-tool.md).
 *
 * ```sh
 * deno run --allow-net client/main.ts ping ADDRESS
 * ```
 *
 * @module
 */
// deno-lint-ignore-file no-console
import config from "../deno.json" with { type: "json" };
import { shownArgument, UsageError } from "../cli/options.ts";
import { load } from "./cli/load_command.ts";
import { oneLine } from "./cli/print.ts";
import { ping } from "./cli/ping.ts";
import { queueCommand } from "./cli/queue.ts";

const helpText = `SMP client

Usage: smp COMMAND [arguments]

  ping ADDRESS [--count N]                  what a server can; time a connection and N answers
                                            (default 4)
  queue create ADDRESS --file FILE          make a queue; its credentials go into a new FILE
  queue key --file FILE                     make a sender's key, in a new FILE
  queue secure KEY --file FILE              let nobody but the owner of KEY send from now on
  queue send ADDRESS SENDER_ID [TEXT] [--key FILE]
                                            send TEXT, or the standard input; signed with --key
  queue receive --file FILE [--count N] [--timeout SECONDS]
                                            print messages as they come, and acknowledge them; ends
                                            after SECONDS, and fails if none has come
  queue suspend --file FILE                 take no more messages
  queue delete --file FILE                  delete the queue with its messages
  load ADDRESS [--pairs N] [--connections N] [--depth N] [--seconds N] [--rate N]
       [--open] [--window N] [--block-size N] [--rekey]
                                            put load on your own server, and measure; with what SMP
                                            0.3 has unless --open (no signatures on opened queues),
                                            --window N (that many messages unacknowledged),
                                            --block-size N (bytes, or "large") or --rekey (forward
                                            secrecy) asks for an extension

  --allow-unverified                        take an address without a key hash: anybody on the way
                                            there can pretend to be the server
  --help, --version

ADDRESS is host[:port]#keyhash, as servers print it; password@host[:port]#keyhash where a server wants
a password from those who make queues (create, load); or @FILE, whose first line is it. Output is one JSON object a line.
`;

function print(value: Readonly<Record<string, unknown>>): void {
  console.log(oneLine(value));
}

async function run(args: readonly string[], signal: AbortSignal): Promise<void> {
  const [command, ...rest] = args;
  if (args.includes("--help")) return console.log(helpText);
  if (command === "--version") return console.log(`SMP client ${config.version} (SMP 0.3)`);
  const surroundings = { print, readInput, signal };
  switch (command) {
    case "ping":
      return await ping(rest, surroundings);
    case "queue":
      return await queueCommand(rest, surroundings);
    case "load":
      return await load(rest, surroundings);
    default:
      throw new UsageError(
        command === undefined ? "a command is missing" : `there is no command ${shownArgument(command)}`,
      );
  }
}

async function readInput(signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const input = Deno.stdin.readable.pipeThrough(new TransformStream<Uint8Array<ArrayBuffer>>(), { signal });
  return new Uint8Array(await new Response(input).arrayBuffer());
}

if (import.meta.main) {
  const interrupted = new AbortController();
  let exitCode = 1;
  const signals = [["SIGINT", 130], ["SIGTERM", 143]] as const;
  const listeners = signals.map(([signal, code]) => {
    const listener = () => {
      exitCode = code;
      forget();
      interrupted.abort();
    };
    Deno.addSignalListener(signal, listener);
    return () => Deno.removeSignalListener(signal, listener);
  });
  // The second signal ends the program at once.
  const forget = () => listeners.splice(0).forEach((remove) => remove());
  try {
    await run(Deno.args, interrupted.signal);
  } catch (error) {
    const isUsage = error instanceof UsageError;
    const message = interrupted.signal.aborted
      ? "interrupted"
      : error instanceof Error
      ? error.message
      : error;
    console.error(`${message}${isUsage ? "; --help lists what there is" : ""}`);
    // Something may still wait for its input.
    Deno.exit(isUsage ? 2 : exitCode);
  } finally {
    forget();
  }
}
