import config from "../../deno.json" with { type: "json" };
import { Administration } from "../../cli/admin/administration.ts";
import { portAdvice } from "../../cli/port_advice.ts";
import { PlaceTaken, reasonOf } from "../../cli/admin/listen.ts";
import { adminPlace } from "../admin/place.ts";
import type { ServerStatus } from "../admin/status.ts";
import type { CliOptions } from "../config/cli.ts";
import type { ServerConfig } from "../config/config.ts";
import { newQueueAccessOf } from "../config/new_queue_access.ts";
import type { ServerIdentity } from "../config/identity.ts";
import { type AdjustableLogger, createLogger, type Logger } from "../../cli/logger.ts";
import { Metrics } from "../observe/metrics.ts";
import { SmpServer } from "../server.ts";
import { preferOpenSsl, serverExtensions } from "../../protocol/mod.ts";
import { Monitor, type MonitorSource } from "../observe/monitor.ts";
import { DurableStores } from "../store/durable.ts";
import { prepareFiles, type WorkerFiles } from "../workers/files.ts";
import { CertificateFiles } from "./certificate_files.ts";
import { createFiles, refuseQueues } from "./create_files.ts";
import { addressOf, configOf, identityOf, iniPath, readFile, weaknesses } from "./files.ts";
import { type KeyFile, lockKeyFile } from "./key_file.ts";
import { operate } from "./operate.ts";
import { Signals } from "./signals.ts";
import { Fatal, messageOf, type Terminal } from "./terminal.ts";
import { survive } from "./uncaught.ts";

export const stopDeadline = 10_000;

export async function start(options: CliOptions, terminal: Terminal): Promise<void> {
  await untilStopped(terminal, (signals) => run(options, terminal, signals));
}

/** Runs a server until it has stopped, and says so. */
export async function untilStopped(
  terminal: Terminal,
  run: (signals: Signals) => Promise<void>,
): Promise<void> {
  const signals = new Signals();
  const { stop } = signals;
  stop.addEventListener("abort", () => terminal.print("stopping"));
  try {
    await run(signals);
  } catch (error) {
    if (error !== stop.reason) throw error;
  }
  terminal.print("stopped");
}

async function run(options: CliOptions, terminal: Terminal, signals: Signals): Promise<void> {
  const { stop } = signals;
  const engine = preferOpenSsl();
  await using prepared = await prepare(options, terminal, signals);
  const { settings, identity, logger, admin, certificates } = prepared;
  if (settings.clusterServers !== null || settings.clusterNode !== null) {
    // What is for NATS is loaded only where there is a cluster.
    const { startNode } = await import("../cluster/start.ts");
    return await startNode(options, { prepared, terminal, signals, engine });
  }
  const metrics = new Metrics();
  using _survival = survive({ metrics, logger });
  const stores = settings.storeLog ? await openStores(settings, options, { metrics, logger, stop }) : null;
  try {
    for (const notice of stores?.notices ?? []) logger.info(notice);
    stop.throwIfAborted();
    await using server = await startServer(settings, { identity, metrics, stores, logger, certificates });
    certificates?.follow((certificate) => server.setCertificate(certificate));
    const source: MonitorSource = {
      metrics: server.metrics,
      gauges: () => server.gauges(),
      notReady: () => stores?.healthy === false ? "the logs cannot be written" : server.notReady(),
      version: config.version,
      startedAt: Date.now(),
      certificateEnd: () => certificates?.end ?? null,
    };
    await using monitor = startMonitor(settings, source);
    stop.throwIfAborted();
    announce(settings, { server, monitor, engine, hint: options.hint }, terminal);
    operate({
      options,
      settings,
      logger,
      admin,
      signals,
      server,
      listening: server,
      source,
      engine,
      certificates,
    });
    await aborted(stop);
    await server.stop({ deadline: stopDeadline });
  } finally {
    await stores?.close();
  }
}

/** What every way of starting needs first. */
export interface Prepared extends AsyncDisposable {
  readonly settings: ServerConfig;
  readonly identity: ServerIdentity;
  /** Its text, as it is in the file. */
  readonly key: string;
  readonly logger: AdjustableLogger;
  /** Where the operator reaches the server; `null`: nowhere, which the log says. */
  readonly admin: Administration<ServerStatus> | null;
  /** For WebSockets over TLS; `null`: there are none. */
  readonly certificates: CertificateFiles | null;
}

/** Reads the settings, and the key, which no other server can use until this is disposed. */
export async function prepare(options: CliOptions, terminal: Terminal, signals: Signals): Promise<Prepared> {
  const { settings, warnings, key } = await readSettings(options, terminal, signals);
  const { keyFile } = settings;
  try {
    const identity = await identityOf(keyFile, key.text);
    signals.stop.throwIfAborted();
    const { logLevel: level, logFormat: format } = settings;
    const logger = createLogger({ level, format, write: (line) => terminal.warn(line) });
    for (const warning of warnings) logger.warn(warning);
    if (warnings.length > 0 && !settings.storeLog) {
      logger.warn("the store log is off: queues and messages are kept in memory only");
    }
    for (const warning of await weaknesses(options, settings, identity)) logger.warn(warning);
    if (key.warning !== null) logger.warn(key.warning);
    const certificates = await CertificateFiles.open(settings, logger);
    const admin = await listenAdmin(options, { logger, signals });
    return {
      settings,
      identity,
      key: key.text,
      logger,
      admin,
      certificates,
      async [Symbol.asyncDispose]() {
        certificates?.[Symbol.dispose]();
        key[Symbol.dispose]();
        // Whoever has asked for the end of the server can start the next one now.
        await admin?.[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    key[Symbol.dispose]();
    throw error;
  }
}

/** The settings, and the key that belongs to them. */
async function readSettings(options: CliOptions, terminal: Terminal, signals: Signals): Promise<{
  readonly settings: ServerConfig;
  readonly warnings: readonly string[];
  readonly key: KeyFile;
}> {
  for (;;) {
    const text = await readFile(iniPath(options));
    const { config: settings, warnings, missedStoreLog } = configOf(options, text);
    if (missedStoreLog !== null && !settings.storeLog) {
      throw new Fatal(`Cannot start without a store log: ${missedStoreLog}`);
    }
    const key = await lockKey(settings.keyFile);
    if (key === null) {
      return { settings, warnings, key: await createFirst(options, settings, { terminal, signals }) };
    }
    let isSame = false;
    try {
      // Else an import has come between, whose last file is the key.
      isSame = await readFile(iniPath(options)) === text;
      if (isSame) return { settings, warnings, key };
    } finally {
      if (!isSame) key[Symbol.dispose]();
    }
  }
}

/** A server that cannot be administered still serves. */
async function listenAdmin(
  { configDir }: CliOptions,
  { logger, signals }: { readonly logger: Logger; readonly signals: Signals },
): Promise<Administration<ServerStatus> | null> {
  try {
    return await Administration.listen(adminPlace(configDir), { stop: () => signals.end() });
  } catch (error) {
    if (error instanceof PlaceTaken) throw new Fatal(`Cannot start: ${error.message}`);
    const isMeant = error instanceof Deno.errors.NotCapable;
    logger[isMeant ? "info" : "warn"](`status, reload, stop and log-level do not work: ${reasonOf(error)}`);
    return null;
  }
}

export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
}

async function createFirst(
  options: CliOptions,
  settings: ServerConfig,
  { terminal, signals }: { readonly terminal: Terminal; readonly signals: Signals },
): Promise<KeyFile> {
  signals.stop.throwIfAborted();
  await refuseQueues(settings);
  const { keyFile } = settings;
  const question = `There is no ${keyFile} yet. Create the server's key and smp-server.ini?`;
  const ask = async () => {
    using _pause = signals.pause();
    return await terminal.ask(question);
  };
  const answer = options.yes || await ask();
  if (answer === null) {
    throw new Fatal(`There is no ${keyFile} yet: pass -y to make it, or --config-dir to say where it is`);
  }
  if (!answer) throw new Fatal("Nothing was created");
  await createFiles(options, keyFile);
  const made = await lockKey(keyFile);
  if (made === null) throw new Fatal(`Cannot read ${keyFile}: it was removed`);
  return made;
}

function lockKey(keyFile: string): Promise<KeyFile | null> {
  return lockKeyFile(keyFile, {
    taken:
      `Cannot use ${keyFile}: another server uses it; stop that one, or give this one its own --config-dir`,
  });
}

/** Makes the logs those of so many workers. Throws `Fatal`. */
export async function prepareLogs(
  settings: ServerConfig,
  options: CliOptions,
  { workers, stop }: { readonly workers: number; readonly stop: AbortSignal },
): Promise<WorkerFiles> {
  try {
    return await prepareFiles({
      storeLog: settings.storeLogFile,
      messagesFile: settings.messagesFile,
      others: [settings.keyFile, iniPath(options)],
      workers,
      repair: options.repair,
      signal: stop,
    });
  } catch (error) {
    throw error === stop.reason ? error : new Fatal(messageOf(error));
  }
}

async function openStores(
  settings: ServerConfig,
  options: CliOptions,
  { metrics, logger, stop }: {
    readonly metrics: Metrics;
    readonly logger: Logger;
    readonly stop: AbortSignal;
  },
): Promise<DurableStores> {
  // Those of workers become those of one process.
  using files = await prepareLogs(settings, options, { workers: 1, stop });
  for (const notice of files.notices) logger.info(notice);
  try {
    return await DurableStores.open({
      storeLog: settings.storeLogFile,
      messagesFile: settings.messagesFile,
      others: [settings.keyFile, iniPath(options)],
      messages: settings.messages,
      restoreMessages: settings.restoreMessages,
      fsync: settings.fsync,
      fsyncInterval: settings.fsyncInterval,
      repair: options.repair,
      metrics,
      log: logger.error,
      signal: stop,
    });
  } catch (error) {
    throw error === stop.reason ? error : new Fatal(messageOf(error));
  }
}

async function startServer(
  settings: ServerConfig,
  { identity, metrics, stores, logger, certificates }: {
    readonly certificates: CertificateFiles | null;
    readonly identity: ServerIdentity;
    readonly metrics: Metrics;
    readonly stores: DurableStores | null;
    readonly logger: Logger;
  },
): Promise<SmpServer> {
  const { host, publicHost, port, webSocketPort, tlsPort, limits, trustForwardedFor, extensions } = settings;
  try {
    return await SmpServer.start({
      identity,
      host,
      port,
      limits,
      metrics,
      trustForwardedFor,
      extensions: serverExtensions.filter((name) => extensions[name]),
      create: newQueueAccessOf(settings),
      log: logger.error,
      publicHost,
      ...(webSocketPort !== null && { webSocketPort }),
      ...(certificates !== null && { tls: { port: tlsPort, ...certificates.current } }),
      ...(stores !== null && {
        queues: stores.queues,
        messages: stores.messages,
        replayGuard: stores.replayGuard,
      }),
    });
  } catch (error) {
    throw new Fatal(`${messageOf(error)}${portAdvice(error, "--port, --ws-port, or tls_port in the ini")}`);
  }
}

export function startMonitor(
  { metricsHost: host, metricsPort: port, metricsHosts: hosts }: ServerConfig,
  source: MonitorSource,
): Monitor | null {
  if (port === null) return null;
  try {
    return Monitor.start({ host, port, hosts, source });
  } catch (error) {
    throw new Fatal(`${messageOf(error)}${portAdvice(error, "port of [METRICS] in the ini")}`);
  }
}

/** smp.md Server files: what is printed on every start. */
export function announce(
  settings: ServerConfig,
  { server, monitor, engine, hint, workers, cluster }: {
    readonly server: Pick<SmpServer, "port" | "webSocketPort" | "tlsPort" | "keyHash">;
    readonly monitor: Monitor | null;
    readonly engine: string;
    readonly hint: string | undefined;
    readonly workers?: number;
    /** Which one this is a node of. */
    readonly cluster?: string;
  },
  { print }: Terminal,
): void {
  const { host, storeLog, storeLogFile, metricsHost } = settings;
  const address = addressOf(settings, server.port, server.keyHash);
  print(`transport key hash: ${server.keyHash}`);
  print(
    cluster !== undefined
      ? `node of cluster: ${cluster}`
      : storeLog
      ? `store log: ${storeLogFile}`
      : "store log: off, queues and messages are kept in memory only",
  );
  print(`listening on port ${server.port} (TCP) at ${host}`);
  if (server.webSocketPort !== undefined) {
    print(`listening on port ${server.webSocketPort} (WebSockets) at ${host}`);
  }
  if (server.tlsPort !== undefined) {
    print(`listening on port ${server.tlsPort} (WebSockets over TLS) at ${host}`);
  }
  if (workers !== undefined) print(`workers: ${workers}`);
  if (monitor !== null) print(`metrics: http://${urlHost(metricsHost)}:${monitor.port}/`);
  print(
    `cryptography: ${engine}${
      engine.startsWith("OpenSSL") ? "" : "; OpenSSL is faster, docs/performance.md says how"
    }`,
  );
  print(`server address: ${address}`);
  // The executable is alone: nothing has come with it that could try it.
  const command = hint ?? (Deno.build.standalone ? null : "smp ping");
  if (command !== null) print(`try it from another terminal: ${command} "${address}"`);
}

function urlHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
