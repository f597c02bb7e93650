import { adminPlace } from "../admin/place.ts";
import type { CliOptions } from "../config/cli.ts";
import { defaultConfig, type ServerConfig } from "../config/config.ts";
import { ConfigError, parseConfig } from "../config/config_file.ts";
import { isLogLocked } from "../store/lock.ts";
import { directoryOf } from "../store/log_io.ts";
import { osReason } from "../../cli/os_error.ts";
import { exists, iniPath, readFile } from "./files.ts";
import { lockKeyFile } from "./key_file.ts";
import { Fatal, type Terminal } from "./terminal.ts";

export async function deleteFiles(options: CliOptions, terminal: Terminal): Promise<void> {
  const config = await configOrDefault(options, terminal);
  using _key = await lockKeyFile(config.keyFile, {
    taken: `Cannot delete the server: it is running with ${config.keyFile}; stop it first`,
  });
  const paths: string[] = [];
  const admin = adminPlace(options.configDir).path;
  for (const path of [config.storeLogFile, config.messagesFile, config.keyFile, iniPath(options), admin]) {
    paths.push(...await withLeftovers(path));
  }
  const ends = paths.filter((path) => path.endsWith(".lock")).map((path) => path.slice(0, -".lock".length));
  for (const path of [config.storeLogFile, config.messagesFile, ...ends]) {
    if (await isLogLocked(await realPath(path))) {
      throw new Fatal(`Cannot delete the server: it is running with ${path}; stop it first`);
    }
  }
  if (paths.length === 0) return terminal.print("there is nothing to delete");
  const what = `${paths.join(", ")}`;
  const answer = options.yes ||
    await terminal.ask(`Delete ${what}? The server's address and queues are lost for ever.`);
  if (answer === null) throw new Fatal(`Cannot ask whether to delete ${what}: pass -y to delete`);
  if (!answer) throw new Fatal("Nothing was deleted");
  for (const path of paths) {
    try {
      await Deno.remove(path, { recursive: path.endsWith(sockets) || path === `${admin}.new` });
    } catch (error) {
      throw new Fatal(`Cannot delete ${path}: ${osReason(error)}`);
    }
    terminal.print(`deleted ${path}`);
  }
}

async function configOrDefault(options: CliOptions, terminal: Terminal): Promise<ServerConfig> {
  const path = iniPath(options);
  const text = await readFile(path);
  try {
    return parseConfig(text ?? "", path, options).config;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    terminal.warn(`${error.message}\nThe files are taken to be where they are without an ini`);
    return defaultConfig(options);
  }
}

async function realPath(path: string): Promise<string> {
  return await exists(path) ? await Deno.realPath(path).catch(() => path) : path;
}

/** Ends the name of the folder of the workers' sockets, which a server that was killed leaves. */
const sockets = ".sockets";
/** What a server has beside a file, that of workers included (docs/files.md). */
const leftover =
  /^(\.g\d+-w\d+)?(\.handshakes|\.aliases|\.workers|\.conversion)?(\.new|\.compact|\.lock|\.broken-\d+)?$/;

async function withLeftovers(path: string): Promise<string[]> {
  const directory = directoryOf(path);
  const name = path.slice(path.lastIndexOf("/") + 1);
  const found: string[] = [];
  try {
    for await (const entry of Deno.readDir(directory)) {
      const rest = entry.name.startsWith(name) ? entry.name.slice(name.length) : null;
      if (rest !== null && (leftover.test(rest) || entry.isDirectory && rest === sockets)) {
        found.push(`${directory}/${entry.name}`);
      }
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      throw new Fatal(`Cannot read ${directory}: ${osReason(error)}`);
    }
  }
  return found.toSorted();
}
