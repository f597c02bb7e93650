/**
 * The SMP server as an executable; `--help` lists what it takes.
 *
 * ```sh
 * deno run --allow-net --allow-read=data --allow-write=data server/main.ts start -y --config-dir data
 * ```
 *
 * WebSockets also need `--allow-env=WS_NO_BUFFER_UTIL,WS_NO_UTF_8_VALIDATE`, which the library `ws` reads.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import config from "../deno.json" with { type: "json" };
import { ParseError } from "../protocol/mod.ts";
import { helpText, parseCli, type StartOptions } from "./cli.ts";
import { formatIdentity, generateIdentity, parseIdentity, type ServerIdentity } from "./identity.ts";
import { SmpServer } from "./mod.ts";

/** A failure that is told in one line and ends the program. */
class Fatal extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

async function main(): Promise<void> {
  const command = parseCli(Deno.args);
  switch (command.type) {
    case "help":
      return console.log(helpText);
    case "version":
      return console.log(`SMP server ${config.version} (SMP 0.3.2)`);
    case "error":
      throw new Fatal(`${command.message}; --help lists what there is`, 2);
    case "start":
      return await start(command.options);
    default:
      return command satisfies never;
  }
}

async function start(options: StartOptions): Promise<void> {
  const { host, port, webSocketPort } = options;
  const identity = await loadIdentity(options);
  const log = (message: string, error: unknown) => console.error(`${message}: ${messageOf(error)}`);
  const stopped = stopSignal();
  let server;
  try {
    server = await SmpServer.start({
      identity,
      host,
      port,
      log,
      ...(webSocketPort === undefined ? {} : { webSocketPort }),
    });
  } catch (error) {
    throw new Fatal(messageOf(error));
  }
  const address = `${host === "0.0.0.0" ? "localhost" : host}:${server.port}#${server.keyHash}`;
  console.log(`transport key hash: ${server.keyHash}`);
  console.log("store log: off, queues and messages are kept in memory only");
  console.log(`listening on port ${server.port} (TCP)`);
  if (server.webSocketPort !== undefined) {
    console.log(`listening on port ${server.webSocketPort} (WebSockets)`);
  }
  console.log(`server address: ${address}`);
  console.log(`try it from another terminal: npx deno@2.9.6 task try "${address}"`);
  await stopped;
  await server.stop();
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

async function loadIdentity({ configDir, yes }: StartOptions): Promise<ServerIdentity> {
  const path = `${configDir}/server_key`;
  try {
    return await parseIdentity(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof ParseError) throw new Fatal(`${path}: ${error.message}`);
    if (!(error instanceof Deno.errors.NotFound)) throw new Fatal(`Cannot read ${path}: ${messageOf(error)}`);
  }
  if (!yes) {
    throw new Fatal(`There is no ${path} yet: pass -y to make it, or --config-dir to say where it is`);
  }
  const identity = await generateIdentity();
  try {
    await Deno.mkdir(configDir, { recursive: true });
    await writeWhole(path, await formatIdentity(identity));
  } catch (error) {
    throw new Fatal(`Cannot write ${path}: ${messageOf(error)}`);
  }
  return identity;
}

/** Writes a file that only its owner can read, so that it is never there in part. */
async function writeWhole(path: string, text: string): Promise<void> {
  const aside = `${path}.new`;
  using file = await Deno.open(aside, { write: true, create: true, truncate: true, mode: 0o600 });
  await file.write(new TextEncoder().encode(text));
  await file.sync();
  await Deno.rename(aside, path);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof Fatal)) throw error;
    console.error(error.message);
    Deno.exit(error.exitCode);
  }
}
