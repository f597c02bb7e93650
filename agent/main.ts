/**
 * The SMP agent as an executable; `--help` lists what it takes.
 *
 * ```sh
 * deno run --allow-net --allow-read=data --allow-write=data agent/main.ts --db data/agent.db --server ADDRESS
 * ```
 *
 * @module
 */
// deno-lint-ignore-file no-console
import config from "../deno.json" with { type: "json" };
import { preferOpenSsl } from "../protocol/mod.ts";
import { Agent } from "./agent.ts";
import { type CliOptions, helpText, parseCli } from "./service/cli.ts";
import { tellUnreachable } from "./service/reach.ts";
import { AgentService } from "./service/service.ts";
import { SqliteStore } from "./store/sqlite.ts";

async function main(): Promise<number> {
  const command = parseCli(Deno.args);
  switch (command.type) {
    case "help":
      console.log(helpText);
      return 0;
    case "version":
      console.log(`SMP agent ${config.version} (SMP agent protocol 0.3.2)`);
      return 0;
    case "error":
      console.error(`${command.message}; --help lists what there is`);
      return 2;
    case "start":
      await serve(command.options);
      console.log("stopped");
      return 0;
    default:
      return command satisfies never;
  }
}

/** Serves until a signal comes and everything is closed. */
async function serve(
  { host, port, database, servers, allowUnverified, ...options }: CliOptions,
): Promise<void> {
  preferOpenSsl();
  const token = options.tokenFile === undefined ? null : await firstLine(options.tokenFile);
  const passphrase = options.passphraseFile && await firstLine(options.passphraseFile);
  const stopped = stopSignal();
  await using cleanup = new AsyncDisposableStack();
  const folder = database.slice(0, Math.max(0, database.lastIndexOf("/")));
  // When it cannot be made, opening the database says why.
  if (folder !== "") await Deno.mkdir(folder, { recursive: true, mode: 0o700 }).catch(() => {});
  const store = cleanup.use(await SqliteStore.open(database, passphrase ? { passphrase } : {}));
  const { retention } = options;
  const agent = cleanup.use(
    await Agent.start({
      servers,
      store,
      client: { allowUnverified },
      acknowledge: "manual",
      ...(retention !== undefined && { retention: retention * 86_400_000 }),
    }),
  );
  const service = cleanup.use(AgentService.start({ agent, host, port, token }));
  if (!/^(127\.|::1$|localhost$)/.test(host)) {
    console.error(
      `warning: whoever reaches ${host}:${service.port} can read and send everything, in plain text`,
    );
  }
  console.log(`database: ${database}`);
  for (const server of servers) console.log(`server: ${server}`);
  console.log(`address: ${host.includes(":") ? `[${host}]` : host}:${service.port}`);
  console.log(`listening on port ${service.port}`);
  const probing = new AbortController();
  const tell = (line: string) => console.error(`warning: ${line}`);
  const probed = tellUnreachable(servers, { allowUnverified, signal: probing.signal, tell });
  await stopped;
  console.log("stopping");
  probing.abort();
  await probed;
}

async function firstLine(path: string): Promise<string> {
  const [line = ""] = (await Deno.readTextFile(path)).split(/\r?\n/, 1);
  if (line === "") throw new Error(`${path} has nothing in its first line`);
  return line;
}

/** Resolves at SIGINT or SIGTERM; a second one ends the program at once. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    const signals = ["SIGINT", "SIGTERM"] as const;
    const stop = () => {
      for (const signal of signals) Deno.removeSignalListener(signal, stop);
      resolve();
    };
    for (const signal of signals) Deno.addSignalListener(signal, stop);
  });
}

if (import.meta.main) {
  try {
    Deno.exitCode = await main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    Deno.exitCode = 1;
  }
}
