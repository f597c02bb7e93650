import { formatAddress, ParseError } from "../../protocol/mod.ts";
import type { CliOptions } from "../config/cli.ts";
import { type Directories, iniName, type ServerConfig } from "../config/config.ts";
import { ConfigError, parseConfig, type ParsedConfig } from "../config/config_file.ts";
import { parseIdentity, type ServerIdentity } from "../config/identity.ts";
import { osReason } from "../../cli/os_error.ts";
import { readRegular } from "../../cli/regular_file.ts";
import { Fatal } from "./terminal.ts";

/** What clients encrypt in the handshake takes 102 bytes with OAEP (transport.md Handshake). */
const leastBits = (102 + 66) * 8;
const strongBits = 2048;

export function iniPath({ configDir }: Directories): string {
  return `${configDir}/${iniName}`;
}

export async function readFile(path: string): Promise<string | null> {
  try {
    return await readRegular(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw new Fatal(`Cannot read ${path}: ${osReason(error)}`);
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw new Fatal(`Cannot read ${path}: ${osReason(error)}`);
  }
}

export async function readConfig(options: CliOptions): Promise<ParsedConfig> {
  return configOf(options, await readFile(iniPath(options)));
}

/** What the text of the ini says, `null` when there is none. Throws `Fatal`. */
export function configOf(options: CliOptions, text: string | null): ParsedConfig {
  const path = iniPath(options);
  try {
    const { config, warnings, missedStoreLog } = parseConfig(text ?? "", path, options);
    const empty = text?.trim() === "" ? [`${path} is empty: everything is at its default`] : [];
    const { host, port, webSocketPort, storeLog, clusterServers, clusterNode } = options;
    return {
      config: {
        ...config,
        ...(host !== undefined && { host }),
        ...(port !== undefined && { port }),
        ...(webSocketPort !== undefined && { webSocketPort }),
        ...(storeLog !== undefined && { storeLog }),
        ...(clusterServers !== undefined && { clusterServers }),
        ...(clusterNode !== undefined && { clusterNode }),
      },
      warnings: [...empty, ...warnings],
      missedStoreLog,
    };
  } catch (error) {
    if (error instanceof ConfigError) throw new Fatal(error.message);
    throw error;
  }
}

export async function readIdentity(keyFile: string): Promise<ServerIdentity | null> {
  const text = await readFile(keyFile);
  return text === null ? null : await identityOf(keyFile, text);
}

export async function identityOf(keyFile: string, text: string): Promise<ServerIdentity> {
  let identity;
  try {
    identity = await parseIdentity(text);
  } catch (error) {
    if (error instanceof ParseError) throw new Fatal(`${keyFile}: ${error.message}`);
    throw error;
  }
  const { bits } = identity.keyPair.publicKey;
  if (bits >= leastBits) return identity;
  throw new Fatal(`${keyFile}: Cannot use private key: ${bits} bits are too few for the handshake`);
}

export async function weaknesses(
  directories: Directories,
  { keyFile, createPassword, clusterPassword }: ServerConfig,
  { keyPair: { publicKey: { bits } } }: ServerIdentity,
): Promise<string[]> {
  const ini = iniPath(directories);
  const found: string[] = [];
  if (bits < strongBits) {
    found.push(
      `${keyFile} has ${bits} bits: keys below ${strongBits} can be broken; a new server has a better one`,
    );
  }
  if (await isOpenTo(0o077, keyFile)) {
    found.push(`${keyFile} can be read by other users: chmod 600 ${keyFile}`);
  }
  const hasPassword = createPassword !== null || clusterPassword !== null;
  if (await isOpenTo(0o022, ini)) found.push(`${ini} can be changed by other users: chmod 600 ${ini}`);
  else if (hasPassword && await isOpenTo(0o044, ini)) {
    found.push(`${ini} has a password and can be read by other users: chmod 600 ${ini}`);
  }
  return found;
}

async function isOpenTo(bits: number, path: string): Promise<boolean> {
  return await exists(path) && (((await Deno.stat(path)).mode ?? 0) & bits) !== 0;
}

export function addressOf({ host, publicHost }: ServerConfig, port: number, keyHash: string): string {
  const own = host === "0.0.0.0" || host === "::" ? "localhost" : host;
  return formatAddress({ host: publicHost ?? own, port, keyHash });
}
