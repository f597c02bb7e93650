import { isHelpAsked, shownArgument, UsageError } from "../../cli/options.ts";
import { logLevel, reload, status, stop, top } from "./administer.ts";
import { code } from "./code.ts";
import type { Command, Surroundings } from "./command.ts";
import { remove } from "./delete.ts";
import { exportCommand } from "./export.ts";
import { importCommand } from "./import.ts";
import { invite } from "./invite.ts";
import { join } from "./join.ts";
import { leave } from "./leave.ts";
import { list } from "./list.ts";
import { passphrase } from "./passphrase.ts";
import { receive } from "./receive.ts";
import { receiveFile } from "./receive_file.ts";
import { rotate } from "./rotate.ts";
import { routes } from "./routes.ts";
import { send } from "./send.ts";
import { sendFile } from "./send_file.ts";
import { start } from "./start.ts";
import { stream } from "./stream.ts";
import { verify } from "./verify.ts";

/** The commands by their names, in the order in which they are listed. */
export const commands: ReadonlyMap<string, Command> = new Map([
  ["start", start],
  ["status", status],
  ["top", top],
  ["reload", reload],
  ["log-level", logLevel],
  ["stop", stop],
  ["invite", invite],
  ["join", join],
  ["send", send],
  ["receive", receive],
  ["send-file", sendFile],
  ["receive-file", receiveFile],
  ["stream", stream],
  ["list", list],
  ["code", code],
  ["verify", verify],
  ["rotate", rotate],
  ["routes", routes],
  ["leave", leave],
  ["delete", remove],
  ["export", exportCommand],
  ["import", importCommand],
  ["passphrase", passphrase],
]);

/** What `--help` prints. */
export function overview(): string {
  const lines = [...commands].map(([name, { summary }]) => `  ${name.padEnd(13)} ${summary}`);
  return `SMP agent: end-to-end encrypted connections between two sides

Usage: smp-agent COMMAND [arguments]

${lines.join("\n")}

smp-agent COMMAND --help lists the arguments of a command. What a command prints on the standard output is data,
with --json one JSON object a line; everything else is on the standard error. It ends with 0 when it is done,
1 when that could not be, 2 when its arguments make no sense, and 130 after Ctrl-C.

Without a command it does what start does:

${help("start", start)}`;
}

/** What `--help` of a command prints. */
export function help(name: string, { usage, help }: Command): string {
  return `Usage: smp-agent ${name} ${usage}\n\n${help}\n  -h, --help              print this`;
}

/** Does what the command line says. Throws what commands throw. */
export async function runCommand(
  args: readonly string[],
  surroundings: Surroundings,
  version: string,
): Promise<void> {
  const { print } = surroundings;
  const [first] = args;
  if (first === undefined || first.startsWith("-")) {
    if (isHelpAsked(args)) {
      return await print(`${overview()}\n  --version               print the version`);
    }
    if (args.includes("--version")) return await print(version);
    return await start.run(args, surroundings);
  }
  if (first === "help" && args.length === 1) return await print(overview());
  const [name, rest] = first === "help" ? [args[1]!, ["--help"]] : [first, args.slice(1)];
  const command = commands.get(name);
  if (command === undefined) throw new UsageError(`there is no command ${shownArgument(name)}`);
  if (isHelpAsked(rest)) return await print(help(name, command));
  await command.run(rest, surroundings);
}
