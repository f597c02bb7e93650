import { parseIni } from "./ini.ts";
import {
  defaultLimits,
  type LimitInfo,
  limitProblem,
  type Limits,
  limitTable,
  unitFactors,
} from "./limits.ts";
import type { LogFormat, LogLevel } from "../observe/logger.ts";
import type { Fsync } from "../store/append_log.ts";

/** All that an operator can set, as the ini, the environment and the command line say together. */
export interface ServerConfig {
  readonly host: string;
  /** What clients call the server; `null`: not known. */
  readonly publicHost: string | null;
  /** 0 takes a free one. */
  readonly port: number;
  /** 0 takes a free one; `null`: no WebSockets. */
  readonly webSocketPort: number | null;
  readonly trustForwardedFor: boolean;
  /** Path of the transport key. */
  readonly keyFile: string;
  /** Whether queues are kept in the store log. */
  readonly storeLog: boolean;
  readonly storeLogFile: string;
  readonly fsync: Fsync;
  /** Milliseconds. */
  readonly fsyncInterval: number;
  readonly messages: "memory" | "journal";
  readonly messagesFile: string;
  readonly restoreMessages: boolean;
  readonly metricsHost: string;
  /** 0 takes a free one; `null`: no metrics. */
  readonly metricsPort: number | null;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly limits: Limits;
}

/** What can be given on the command line or in the environment instead of in the ini. */
export interface GivenSettings {
  readonly host?: string;
  /** 0 takes a free port. */
  readonly port?: number;
  /** 0 takes a free port. */
  readonly webSocketPort?: number;
  readonly storeLog?: boolean;
}

/** The directories of a server's files. */
export interface Directories {
  readonly configDir: string;
  readonly logDir: string;
}

/** A configuration file that cannot be used; the message has a line for each thing that is wrong. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly code = "CONFIG";
}

/** A value that was read, or what is allowed instead. */
type Read<T> = { readonly value: T } | { readonly allowed: string };

/** One key of the ini. */
interface Setting {
  readonly section: string;
  readonly key: string;
  /** The default as it is written. */
  readonly default: string;
  readonly comment: string;
  /** What the value makes of the configuration, or what is allowed. */
  read(value: string): Read<Partial<ServerConfig>>;
}

/** The name of the ini in the configuration directory. */
export const iniName = "smp-server.ini";

/** The configuration of a server whose ini says nothing. */
export function defaultConfig({ configDir, logDir }: Directories): ServerConfig {
  return {
    host: "0.0.0.0",
    publicHost: null,
    port: 5223,
    webSocketPort: null,
    trustForwardedFor: false,
    keyFile: `${configDir}/server_key`,
    storeLog: false,
    storeLogFile: `${logDir}/smp-server-store.log`,
    fsync: "interval",
    fsyncInterval: 1000,
    messages: "memory",
    messagesFile: `${logDir}/smp-server-messages.log`,
    restoreMessages: true,
    metricsHost: "127.0.0.1",
    metricsPort: null,
    logLevel: "info",
    logFormat: "text",
    limits: defaultLimits,
  };
}

/**
 * Reads the text of an ini; `file` is its name in messages. Unknown keys are warnings.
 * Throws {@linkcode ConfigError} that names every line with a bad value and what is allowed.
 */
export function parseConfig(
  text: string,
  file: string,
  directories: Directories,
): { readonly config: ServerConfig; readonly warnings: readonly string[] } {
  const { entries, problems } = parseIni(text);
  const errors = problems.map(({ line }) => ({ line, what: "it is not [SECTION], key: value or a comment" }));
  const warnings: string[] = [];
  const seen = new Map<string, number>();
  let config = defaultConfig(directories);
  const table = new Map(settings(directories).map((setting) => [name(setting), setting]));
  for (const { line, section, key, value } of entries) {
    const setting = table.get(name({ section, key }));
    const earlier = seen.get(name({ section, key }));
    if (setting === undefined) {
      const where = section === "" ? "outside of any section" : `in [${section}]`;
      warnings.push(`${file}: line ${line}: there is no key ${key} ${where}; it is ignored`);
      continue;
    }
    if (earlier !== undefined) {
      warnings.push(`${file}: line ${line}: ${key} is also in line ${earlier}; the last one counts`);
    }
    seen.set(name({ section, key }), line);
    const read = setting.read(value);
    if ("allowed" in read) errors.push({ line, what: `${key} must be ${read.allowed}, not "${value}"` });
    else config = { ...config, ...read.value, limits: { ...config.limits, ...read.value.limits } };
  }
  const last = entries.at(-1);
  if (last !== undefined && last.line === text.split("\n").length) {
    warnings.push(`${file}: line ${last.line} has no end: if the file was cut off, ${last.key} may be too`);
  }
  if (errors.length > 0) {
    const lines = errors.toSorted((a, b) => a.line - b.line).map(({ line, what }) =>
      `${file}: line ${line}: ${what}`
    );
    throw new ConfigError(lines.join("\n"));
  }
  return { config, warnings };
}

/**
 * The text of the ini that is written on the first start: every key with a comment and its default, commented out
 * unless it was given.
 */
export function defaultIni(directories: Directories, given: GivenSettings = {}): string {
  const { host, port, webSocketPort, storeLog } = given;
  const values = new Map<string, string | number | undefined>([
    ["[TRANSPORT] host", host],
    ["[TRANSPORT] port", port],
    ["[TRANSPORT] websockets", webSocketPort],
    ["[STORE_LOG] enable", storeLog === undefined ? undefined : storeLog ? "on" : "off"],
  ]);
  const lines = [
    "## SMP server. Every key is shown with its default; remove its # to change it.",
    "## SIGHUP makes a running server read [LIMITS] again; the rest takes a restart.",
  ];
  let section = "";
  for (const setting of settings(directories)) {
    if (setting.section !== section) lines.push("", `[${section = setting.section}]`);
    const value = values.get(name(setting));
    lines.push(`## ${setting.comment}`);
    lines.push(value === undefined ? `# ${setting.key}: ${setting.default}` : `${setting.key}: ${value}`);
  }
  return lines.join("\n") + "\n";
}

/** A port from 0 to 65535. */
export function readPort(value: string): Read<number> {
  const port = Number(value);
  return /^\d{1,5}$/.test(value) && port <= 65535 ? { value: port } : { allowed: "a number from 0 to 65535" };
}

/** `on` or `off`. */
export function readSwitch(value: string): Read<boolean> {
  const names = new Map([["on", true], ["off", false]]);
  const found = names.get(value.toLowerCase());
  return found === undefined ? { allowed: "on or off" } : { value: found };
}

/** Every key of the ini, in the order in which they are written. */
function settings(directories: Directories): readonly Setting[] {
  const defaults = defaultConfig(directories);
  const setting = <T>(
    [section, key]: readonly [string, string],
    [value, comment]: readonly [string, string],
    read: (value: string) => Read<T>,
    use: (value: T) => Partial<ServerConfig>,
  ): Setting => ({
    section,
    key,
    default: value,
    comment,
    read(text) {
      const result = read(text);
      return "allowed" in result ? result : { value: use(result.value) };
    },
  });
  const log = "STORE_LOG", transport = "TRANSPORT", metrics = "METRICS";
  return [
    setting(
      [log, "enable"],
      ["on", "keep queues over restarts (default off)"],
      readSwitch,
      (storeLog) => ({ storeLog }),
    ),
    setting([log, "file"], [defaults.storeLogFile, "where queues are kept"], readText, (storeLogFile) => ({
      storeLogFile,
    })),
    setting(
      [log, "fsync"],
      ["interval", "when writes are synced to the disk: off, interval, or always (before every answer)"],
      oneOf("off", "interval", "always"),
      (fsync) => ({ fsync }),
    ),
    setting(
      [log, "fsync_interval_ms"],
      ["1000", "milliseconds, with fsync: interval"],
      readMilliseconds,
      (fsyncInterval) => ({ fsyncInterval }),
    ),
    setting(
      [log, "messages"],
      ["memory", "memory: messages are saved when the server stops; journal: as soon as they are accepted"],
      oneOf("memory", "journal"),
      (messages) => ({ messages }),
    ),
    setting(
      [log, "messages_file"],
      [defaults.messagesFile, "where messages are kept"],
      readText,
      (messagesFile) => ({ messagesFile }),
    ),
    setting(
      [log, "restore_messages"],
      ["on", "with messages: memory, save messages at the end and restore them at the start"],
      readSwitch,
      (restoreMessages) => ({ restoreMessages }),
    ),
    setting([transport, "key_file"], [defaults.keyFile, "the transport key, PEM"], readText, (keyFile) => ({
      keyFile,
    })),
    setting([transport, "host"], [defaults.host, "address to listen on"], readText, (host) => ({ host })),
    setting(
      [transport, "public_host"],
      ["localhost", "name that clients reach the server by, for the address that is printed"],
      readHostName,
      (publicHost) => ({ publicHost }),
    ),
    setting([transport, "port"], ["5223", "TCP port, 0 for a free one"], readPort, (port) => ({ port })),
    setting(
      [transport, "websockets"],
      ["80", "port for WebSockets, 0 for a free one (default: no WebSockets)"],
      readPort,
      (webSocketPort) => ({ webSocketPort }),
    ),
    setting(
      [transport, "trust_forwarded_for"],
      ["off", "on behind a reverse proxy on this machine: limits count by its X-Forwarded-For"],
      readSwitch,
      (trustForwardedFor) => ({ trustForwardedFor }),
    ),
    ...Object.entries(limitTable).map(([limit, info]) =>
      setting(
        ["LIMITS", info.key],
        [writeLimit(info), info.zeroIsNone ? `${info.comment}; 0: no limit` : info.comment],
        (text) => readLimit(info, text),
        (value) => ({ limits: { [limit]: value } as unknown as Limits }),
      )
    ),
    setting(
      [metrics, "port"],
      ["9223", "port for metrics and the status page, 0 for a free one (default: none)"],
      readPort,
      (metricsPort) => ({ metricsPort }),
    ),
    setting([metrics, "host"], [defaults.metricsHost, "address for them"], readText, (metricsHost) => ({
      metricsHost,
    })),
    setting(
      ["LOG", "level"],
      ["info", "error, warn, info or debug"],
      oneOf("error", "warn", "info", "debug"),
      (logLevel) => ({ logLevel }),
    ),
    setting(
      ["LOG", "log"],
      ["text", "text or json, one line a record"],
      oneOf("text", "json"),
      (logFormat) => ({
        logFormat,
      }),
    ),
  ];
}

function name({ section, key }: { readonly section: string; readonly key: string }): string {
  return `[${section.toUpperCase()}] ${key.toLowerCase()}`;
}

function readText(value: string): Read<string> {
  return value === "" ? { allowed: "a text that is not empty" } : { value };
}

/** What an address can have (transport.md Address). */
function readHostName(value: string): Read<string> {
  return /^[^\s#:]+$/.test(value) ? { value } : { allowed: "a host name or an IPv4 address" };
}

function readMilliseconds(value: string): Read<number> {
  const most = 3_600_000;
  const milliseconds = Number(value);
  const isRight = /^\d+$/.test(value) && milliseconds >= 1 && milliseconds <= most;
  return isRight ? { value: milliseconds } : { allowed: `a whole number from 1 to ${most}` };
}

function oneOf<const T extends string>(...values: readonly T[]): (value: string) => Read<T> {
  return (text) => {
    const found = values.find((value) => value === text.toLowerCase());
    return found === undefined ? { allowed: values.join(" or ") } : { value: found };
  };
}

function readLimit(info: LimitInfo, text: string): Read<number> {
  if (info.unit === "on/off") {
    const read = readSwitch(text);
    return "allowed" in read ? read : { value: read.value ? 1 : 0 };
  }
  const factor = unitFactors[info.unit];
  const value = /^\d{1,15}$/.test(text) ? Number(text) * factor : NaN;
  if (limitProblem(info, value) === null) return { value };
  const least = info.zeroIsNone ? 0 : 1;
  const most = info.unit === "seconds" ? ` to ${Math.floor((2 ** 31 - 1) / factor)}` : "";
  const unit = info.unit === "count" ? "" : ` (${info.unit})`;
  return { allowed: `a whole number from ${least}${most}${unit}` };
}

function writeLimit(info: LimitInfo): string {
  if (info.unit === "on/off") return info.default === 1 ? "on" : "off";
  return `${info.default / unitFactors[info.unit]}`;
}
