import { counted } from "../../cli/counted.ts";
import type { CliOptions } from "../config/cli.ts";
import { defaultConfig, iniName, type ServerConfig } from "../config/config.ts";
import { ConfigError, parseConfig } from "../config/config_file.ts";
import { StoreError } from "../store/error.ts";
import { handshakesPath } from "../store/handshake_log.ts";
import { directoryOf } from "../store/log_io.ts";
import { conversionPath, workersPath } from "../store/places.ts";
import { osReason } from "../../cli/os_error.ts";
import { copyFiles, lockForCopy } from "../workers/transfer.ts";
import { addressOf, exists, identityOf, iniPath, readConfig, readFile } from "./files.ts";
import { lockKeyFile } from "./key_file.ts";
import { reserveFile, writeNewFile } from "./new_file.ts";
import { Fatal, messageOf, type Terminal } from "./terminal.ts";

/** The files of an exported server. */
export function exported(directory: string) {
  const { keyFile, storeLogFile, messagesFile } = defaultConfig({ configDir: directory, logDir: directory });
  return { keyFile, storeLogFile, messagesFile, ini: `${directory}/${iniName}` };
}

export async function exportServer(
  options: CliOptions,
  directory: string,
  { print }: Terminal,
): Promise<void> {
  const { config } = await readConfig(options);
  using key = await lockKeyFile(config.keyFile, {
    taken: `Cannot export the server: it is running with ${config.keyFile}; stop it first`,
  });
  if (key === null) throw new Fatal(`There is no ${config.keyFile} to export`);
  await identityOf(config.keyFile, key.text);
  await makeEmpty(directory);
  const to = exported(directory);
  const counts = await copyLogs(config, to);
  const ini = await readFile(iniPath(options));
  if (ini !== null) await writeNewFile(to.ini, ini);
  // Last: a directory with a key is complete.
  await writeNewFile(to.keyFile, key.text);
  print(
    `exported the key, ${counted(counts.queues, "queue")} and ${
      counted(counts.messages, "message")
    } to ${directory}`,
  );
  print("keep it secret: whoever has the key can pretend to be the server");
}

export async function importServer(
  options: CliOptions,
  directory: string,
  terminal: Terminal,
): Promise<void> {
  const from = exported(directory);
  using key = await lockKeyFile(from.keyFile, {
    taken: `Cannot import: a server is running with ${from.keyFile}; stop it first`,
  });
  if (key === null) throw new Fatal(`There is no ${from.keyFile}: ${directory} is not an exported server`);
  const identity = await identityOf(from.keyFile, key.text);
  const ini = await readFile(from.ini);
  const config = configOf(ini ?? "", from.ini, options, terminal);
  const handshakes = handshakesPath(config.storeLogFile);
  const targets = [config.keyFile, iniPath(options), config.storeLogFile, config.messagesFile, handshakes];
  targets.push(workersPath(config.storeLogFile), conversionPath(config.storeLogFile));
  await refuseAny(targets);
  // Until it has ended nobody else makes a server there.
  await using newKey = await reserveFile(config.keyFile);
  const logs = [config.storeLogFile, config.messagesFile];
  for (const path of logs) await makeDirectory(directoryOf(path));
  await using _locks = await lockTarget(config);
  // Another import may have been there before.
  await refuseAny(targets);
  const made = [...logs, handshakes];
  try {
    const counts = await copyLogs(from, config);
    if (ini !== null) {
      await writeNewFile(iniPath(options), ini);
      made.push(iniPath(options));
    }
    // Last: a server with a key is complete.
    await newKey.write(key.text);
    terminal.print(
      `imported the key, ${counted(counts.queues, "queue")} and ${counted(counts.messages, "message")}`,
    );
  } catch (error) {
    for (const path of made) {
      for (const file of [path, `${path}.new`]) await Deno.remove(file).catch(() => {});
    }
    throw error instanceof Fatal ? error : new Fatal(messageOf(error));
  }
  terminal.print(`transport key hash: ${identity.keyHash}`);
  terminal.print(`server address: ${addressOf(config, config.port, identity.keyHash)}`);
}

async function refuseAny(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    if (await exists(path)) {
      throw new Fatal(`Cannot import: ${path} is there already, delete that server first`);
    }
  }
}

async function lockTarget({ storeLogFile: storeLog, messagesFile }: Logs): Promise<AsyncDisposable> {
  try {
    return await lockForCopy([{ storeLog, messagesFile }]);
  } catch (error) {
    throw new Fatal(messageOf(error));
  }
}

function configOf(text: string, file: string, options: CliOptions, { warn }: Terminal): ServerConfig {
  try {
    const { config, warnings } = parseConfig(text, file, options);
    for (const warning of warnings) warn(warning);
    const usual = defaultConfig(options);
    for (const name of ["keyFile", "storeLogFile", "messagesFile"] as const) {
      if (config[name] !== usual[name]) warn(`${file} says where a file is, which is kept: ${config[name]}`);
    }
    return config;
  } catch (error) {
    if (error instanceof ConfigError) throw new Fatal(error.message);
    throw error;
  }
}

interface Logs {
  readonly storeLogFile: string;
  readonly messagesFile: string;
}

async function copyLogs(from: Logs, to: Logs): Promise<{ queues: number; messages: number }> {
  const paths = ({ storeLogFile: storeLog, messagesFile }: Logs) => ({ storeLog, messagesFile });
  try {
    return await copyFiles(paths(from), paths(to));
  } catch (error) {
    if (error instanceof StoreError) throw new Fatal(error.message);
    throw error;
  }
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Fatal(`Cannot make the directory ${path}: ${osReason(error)}`);
  }
}

export async function makeEmpty(directory: string): Promise<void> {
  try {
    await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
    for await (const _entry of Deno.readDir(directory)) {
      throw new Error("it is not empty");
    }
  } catch (error) {
    throw new Fatal(`Cannot export to ${directory}: ${osReason(error)}`);
  }
}
