/**
 * The SMP server as an executable; `--help` lists what it takes.
 *
 * ```sh
 * deno run --allow-net --allow-read=data --allow-write=data server/main.ts start -y --config-dir data --log-dir data
 * ```
 *
 * WebSockets also need `--allow-env=WS_NO_BUFFER_UTIL,WS_NO_UTF_8_VALIDATE`, which the library `ws` reads, and the
 * settings in the environment `--allow-env` for their names.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import config from "../deno.json" with { type: "json" };
import { adminHelpText, type Environment, environmentNames, helpText, parseCli } from "./config/cli.ts";
import { administer } from "./commands/administer.ts";
import { runClusterTask } from "./commands/cluster.ts";
import { deleteFiles } from "./commands/delete.ts";
import { init } from "./commands/init.ts";
import { start } from "./commands/start.ts";
import { askUser, Fatal, messageOf, type Terminal } from "./commands/terminal.ts";
import { exportServer, importServer } from "./commands/transfer.ts";
import { verify } from "./commands/verify.ts";
import { startWorkers } from "./workers/parent.ts";
import { runWorker } from "./workers/worker.ts";

const terminal: Terminal = {
  print: (line) => console.log(line),
  warn: (line) => console.error(line),
  ask: askUser,
};

async function main(): Promise<void> {
  const command = parseCli(Deno.args, environment());
  switch (command.type) {
    case "help":
      return console.log(helpText);
    case "admin help":
      if (!command.isAsked) throw new Fatal(adminHelpText.trimEnd(), 2);
      return console.log(adminHelpText);
    case "version":
      return console.log(`SMP server ${config.version} (SMP 0.3.2)`);
    case "error":
      throw new Fatal(`${command.message}; --help lists what there is`, 2);
    case "start":
      return await (command.options.workers === undefined ? start : startWorkers)(command.options, terminal);
    case "worker":
      return await runWorker();
    case "init":
      return await init(command.options, command.settings, terminal);
    case "delete":
      return await deleteFiles(command.options, terminal);
    case "verify":
      return await verify(command.options, terminal);
    case "export":
      return await exportServer(command.options, command.directory, terminal);
    case "administer":
      return await administer(command.options, command.task, terminal);
    case "cluster":
      return await runClusterTask(command.options, command.task, terminal);
    case "import":
      return await importServer(command.options, command.directory, terminal);
    default:
      return command satisfies never;
  }
}

/** Without the permission to read it a variable counts as not set. */
function environment(): Environment {
  const found: { -readonly [K in keyof Environment]: Environment[K] } = {};
  for (const variable of environmentNames) {
    if (Deno.permissions.querySync({ name: "env", variable }).state !== "granted") continue;
    const value = Deno.env.get(variable);
    if (value !== undefined) found[variable] = value;
  }
  return found;
}

if (import.meta.main) {
  try {
    await main();
    // At once: on its slow way out the runtime no longer listens to signals, so that a late SIGHUP would look like a crash.
    Deno.exit(0);
  } catch (error) {
    console.error(messageOf(error));
    Deno.exit(error instanceof Fatal ? error.exitCode : 1);
  }
}
