import { type ServerExtension, serverExtensions } from "../../protocol/mod.ts";
import { defaultConfig, type Directories, type ServerConfig } from "./config.ts";
import { type Limits, limitTable } from "./limits.ts";
import {
  oneOf,
  type Read,
  readCreate,
  readHost,
  readHostName,
  readHostNames,
  readLimit,
  readMilliseconds,
  readPartitions,
  readPassword,
  readPort,
  readSwitch,
  readText,
  writeLimit,
} from "./values.ts";

export interface Setting {
  readonly section: string;
  readonly key: string;
  readonly default: string | null;
  readonly example: string | null;
  readonly comment: string;
  /** What is wrong with it is told without it. */
  readonly isSecret: boolean;
  read(value: string): Read<Partial<ServerConfig>>;
  of(config: Partial<ServerConfig>): unknown;
}

interface Description<T> {
  readonly key: string;
  readonly comment: string;
  readonly read: (text: string) => Read<T>;
  readonly example?: string;
  readonly isSecret?: boolean;
}

export function settings(directories: Directories): readonly Setting[] {
  const { configDir, logDir } = directories;
  const defaults = defaultConfig({ configDir, logDir });
  const section = (
    name: string,
    describe: (
      setting: <K extends keyof ServerConfig>(field: K, description: Description<ServerConfig[K]>) => Setting,
    ) => readonly Setting[],
  ) =>
    describe((field, description) => makeSetting(name, { ...description, field, default: defaults[field] }));
  return [
    ...section("STORE_LOG", (setting) => [
      setting("storeLog", {
        key: "enable",
        comment: "keep queues over restarts",
        read: readSwitch,
        example: "on", // smp.md Server files
      }),
      setting("storeLogFile", { key: "file", comment: "where queues are kept", read: readText }),
      setting("fsync", {
        key: "fsync",
        comment: "when writes are synced to the disk: off, interval, or always (before every answer)",
        read: oneOf("off", "interval", "always"),
      }),
      setting("fsyncInterval", {
        key: "fsync_interval_ms",
        comment: "milliseconds, with fsync: interval",
        read: readMilliseconds,
      }),
      setting("messages", {
        key: "messages",
        comment: "memory: messages are saved when the server stops; journal: as soon as they are accepted",
        read: oneOf("memory", "journal"),
      }),
      setting("messagesFile", { key: "messages_file", comment: "where messages are kept", read: readText }),
      setting("restoreMessages", {
        key: "restore_messages",
        comment: "with messages: memory, save messages at the end and restore them at the start",
        read: readSwitch,
      }),
    ]),
    ...section("TRANSPORT", (setting) => [
      setting("keyFile", { key: "key_file", comment: "the transport key, PEM", read: readText }),
      setting("host", {
        key: "host",
        comment: "address to listen on; :: is all of IPv6 and IPv4",
        read: readHost,
      }),
      setting("publicHost", {
        key: "public_host",
        comment: "name that clients reach the server by, for the address that is printed",
        read: readHostName,
        example: "smp.example.org",
      }),
      setting("port", { key: "port", comment: "TCP port, 0 for a free one", read: readPort }),
      setting("webSocketPort", {
        key: "websockets",
        comment: "port for WebSockets, 0 for a free one",
        read: readPort,
        example: "80",
      }),
      setting("tlsCert", {
        key: "tls_cert",
        comment:
          "certificates for WebSockets over TLS, PEM, the server's own first; read again when they change",
        read: readText,
        example: "/etc/opt/simplex/tls/fullchain.pem",
      }),
      setting("tlsKey", {
        key: "tls_key",
        comment: "the key of the certificate, PEM",
        read: readText,
        example: "/etc/opt/simplex/tls/privkey.pem",
      }),
      setting("tlsPort", {
        key: "tls_port",
        comment: "port for WebSockets over TLS, with tls_cert and tls_key; 0 for a free one",
        read: readPort,
      }),
      setting("trustForwardedFor", {
        key: "trust_forwarded_for",
        comment: "on behind a reverse proxy on this machine: limits count by its X-Forwarded-For",
        read: readSwitch,
      }),
    ]),
    ...section("ACCESS", (setting) => [
      setting("create", {
        key: "create",
        comment: "who may create queues: anyone, or a list of password, IP addresses and networks",
        read: readCreate,
        example: "127.0.0.1, 2001:db8::/32",
        // Where the password was written, it must not get into a log.
        isSecret: true,
      }),
      setting("createPassword", {
        key: "password",
        comment:
          "the password, of printable ASCII characters without spaces; openssl rand -base64 24 makes a good one",
        read: readPassword,
        example: "long-and-random",
        isSecret: true,
      }),
    ]),
    ...extensionSettings(),
    ...limitSettings(),
    ...section("METRICS", (setting) => [
      setting("metricsPort", {
        key: "port",
        comment: "port for metrics and the status page, 0 for a free one",
        read: readPort,
        example: "9223",
      }),
      setting("metricsHost", { key: "host", comment: "address for them", read: readHost }),
      setting("metricsHosts", {
        key: "hosts",
        comment: "names by which they may be asked for, besides host, localhost and IP addresses",
        read: readHostNames,
        example: "smp, smp.monitoring.svc",
      }),
    ]),
    ...section("LOG", (setting) => [
      setting("logLevel", {
        key: "level",
        comment: "error, warn, info or debug",
        read: oneOf("error", "warn", "info", "debug"),
      }),
      setting("logFormat", {
        key: "log",
        comment: "text or json, one line a record",
        read: oneOf("text", "json"),
      }),
    ]),
    ...section("CLUSTER", (setting) => [
      setting("clusterServers", {
        key: "servers",
        comment: "NATS servers of the cluster that this server is a node of",
        read: readText,
        example: "nats://127.0.0.1:4222",
      }),
      setting("clusterNode", {
        key: "node",
        comment: "name of this node, which no other one has",
        read: readText,
        example: "a",
      }),
      setting("clusterName", {
        key: "name",
        comment: "name of the cluster, for its streams",
        read: readText,
      }),
      setting("clusterPartitions", {
        key: "partitions",
        comment: "parts of all queues, a power of two from 1 to 256, the same for all nodes and for ever",
        read: readPartitions,
      }),
      setting("clusterUser", { key: "user", comment: "user at NATS", read: readText, example: "smp" }),
      setting("clusterPassword", {
        key: "password",
        comment: "its password",
        read: readText,
        example: "secret",
        isSecret: true,
      }),
      setting("clusterNkeyFile", {
        key: "nkey_file",
        comment: "file with the nkey seed of a user, instead of user and password",
        read: readText,
        example: "/etc/opt/simplex/nats.nk",
      }),
      setting("clusterCaFile", {
        key: "ca_file",
        comment: "certificates that are trusted, PEM; makes nats:// encrypted",
        read: readText,
        example: "/etc/opt/simplex/nats-ca.pem",
      }),
      setting("clusterInsecure", {
        key: "insecure",
        comment: "on: connect to NATS on other machines without encryption",
        read: readSwitch,
      }),
    ]),
  ];
}

export function nameOf({ section, key }: { readonly section: string; readonly key: string }): string {
  return `[${section.toUpperCase()}] ${key.toLowerCase()}`;
}

/** A running server takes it when it reads the ini again. */
function isReloaded(setting: Setting): boolean {
  return setting.section === "LIMITS" || setting.section === "ACCESS" || nameOf(setting) === "[LOG] level";
}

/** Those that differ and take a restart. */
export function changedKeys(
  directories: Directories,
  { from, to }: { readonly from: ServerConfig; readonly to: ServerConfig },
): readonly string[] {
  return settings(directories)
    .filter((setting) => !isReloaded(setting) && writeValue(setting.of(from)) !== writeValue(setting.of(to)))
    .map(nameOf);
}

export function writeValue(value: unknown): string | null {
  if (value === null || (Array.isArray(value) && value.length === 0)) return null;
  return typeof value === "boolean" ? (value ? "on" : "off") : String(value);
}

function makeSetting<K extends keyof ServerConfig>(
  section: string,
  { key, comment, read, field, example, isSecret = false, default: usual }: Description<ServerConfig[K]> & {
    readonly field: K;
    readonly default: ServerConfig[K];
  },
): Setting {
  return {
    section,
    key,
    comment,
    default: writeValue(usual),
    example: example ?? null,
    isSecret,
    read(text) {
      const result = read(text);
      return "allowed" in result ? result : { value: { [field]: result.value } };
    },
    of: (config) => config[field],
  };
}

const extensionComments: Readonly<Record<ServerExtension, string>> = {
  open1: "clients authorize once for each queue of a connection, and not with every command",
  window1: "recipients take several messages of a queue before they acknowledge them",
  blocks1: "clients are told that they can use larger blocks; off: they still can",
  rekey1: "sessions stay secret when the server's key becomes known later",
};

function extensionSettings(): readonly Setting[] {
  return serverExtensions.map((name) => ({
    section: "EXTENSIONS",
    key: name,
    default: "on",
    example: null,
    comment: extensionComments[name],
    isSecret: false,
    read(text) {
      const result = readSwitch(text);
      if ("allowed" in result) return result;
      return { value: { extensions: { [name]: result.value } as Record<ServerExtension, boolean> } };
    },
    of: ({ extensions }) => extensions?.[name],
  }));
}

function limitSettings(): readonly Setting[] {
  return Object.entries(limitTable).map(([limit, info]) => ({
    section: "LIMITS",
    key: info.key,
    default: writeLimit(info),
    example: null,
    comment: info.zeroIsNone ? `${info.comment}; 0: no limit` : info.comment,
    isSecret: false,
    read(text) {
      const result = readLimit(info, text);
      return "allowed" in result
        ? result
        : { value: { limits: { [limit]: result.value } as unknown as Limits } };
    },
    of: ({ limits }) => limits?.[limit as keyof Limits],
  }));
}
