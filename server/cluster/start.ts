import deno from "../../deno.json" with { type: "json" };
import { serverExtensions } from "../../protocol/mod.ts";
import { exists, iniPath } from "../commands/files.ts";
import { operate } from "../commands/operate.ts";
import type { Signals } from "../commands/signals.ts";
import { aborted, announce, type Prepared, startMonitor, stopDeadline } from "../commands/start.ts";
import { Fatal, messageOf, type Terminal } from "../commands/terminal.ts";
import { survive } from "../commands/uncaught.ts";
import type { CliOptions } from "../config/cli.ts";
import type { ServerConfig } from "../config/config.ts";
import { newQueueAccessOf } from "../config/new_queue_access.ts";
import type { Certificate } from "../net/certificate.ts";
import { Metrics } from "../observe/metrics.ts";
import type { MonitorSource } from "../observe/monitor.ts";
import { SmpServer } from "../server.ts";
import { EngineError } from "./error.ts";
import { engineOf } from "./engine_settings.ts";
import { ClusterNode } from "./node.ts";

/** Milliseconds in which a node that stops gives its partitions to the others. */
const drainDeadline = 10_000;

/** `start --cluster`: joins the cluster, and serves until it is told to stop or cannot go on. */
export async function startNode(
  options: CliOptions,
  { prepared, terminal, signals, engine }: {
    readonly prepared: Prepared;
    readonly terminal: Terminal;
    readonly signals: Signals;
    /** What does the cryptography. */
    readonly engine: string;
  },
): Promise<void> {
  const { settings, identity, logger, admin, certificates } = prepared;
  const { stop } = signals;
  await check(settings, iniPath(options));
  const metrics = new Metrics();
  using _survival = survive({ metrics, logger });
  await using node = await join(settings, {
    keyHash: identity.keyHash,
    log: (level, message, error) => logger[level](message, error),
    signal: stop,
  });
  await using server = await startServer(settings, {
    identity,
    metrics,
    node,
    log: logger.error,
    certificate: certificates?.current ?? null,
  });
  certificates?.follow((certificate) => server.setCertificate(certificate));
  node.use(server);
  const source: MonitorSource = {
    metrics: server.metrics,
    gauges: () => server.gauges(),
    notReady: () => server.notReady() ?? node.notReady(),
    cluster: () => node.status,
    version: deno.version,
    startedAt: Date.now(),
    certificateEnd: () => certificates?.end ?? null,
  };
  await using monitor = startMonitor(settings, source);
  stop.throwIfAborted();
  const cluster = `${settings.clusterName}, as ${settings.clusterNode}`;
  announce(settings, { server, monitor, engine, hint: options.hint, cluster }, terminal);
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
  try {
    await Promise.race([aborted(stop), node.failed]);
  } catch (error) {
    throw new Fatal(messageOf(error));
  }
  await node.drain({ deadline: drainDeadline });
  await server.stop({ deadline: stopDeadline });
}

async function check(
  { clusterServers, clusterNode, storeLogFile, messagesFile }: ServerConfig,
  ini: string,
): Promise<void> {
  const where = `in [CLUSTER] of ${ini}`;
  if (clusterServers === null) {
    throw new Fatal(
      `Cannot start node ${clusterNode}: no NATS servers are given: pass --cluster, or set servers ${where}`,
    );
  }
  if (clusterNode === null) {
    throw new Fatal(`Cannot start in a cluster without a name: pass --node, or set node ${where}`);
  }
  for (const path of [storeLogFile, messagesFile]) {
    if (!await exists(path)) continue;
    throw new Fatal(
      `Cannot start in a cluster with ${path}: what is in it would not be served: export it, and move it away`,
    );
  }
}

async function join(
  settings: ServerConfig,
  { keyHash, log, signal }: Pick<Parameters<typeof ClusterNode.join>[0], "keyHash" | "log" | "signal">,
): Promise<ClusterNode> {
  try {
    return await ClusterNode.join({
      engine: engineOf(settings, settings.clusterServers!),
      cluster: settings.clusterName,
      node: settings.clusterNode!,
      partitions: settings.clusterPartitions,
      keyHash,
      log,
      signal,
    });
  } catch (error) {
    if (error === signal.reason) throw error;
    if (error instanceof EngineError || error instanceof RangeError) throw new Fatal(messageOf(error));
    throw new Fatal(`Cannot join the cluster: ${messageOf(error)}`);
  }
}

async function startServer(
  settings: ServerConfig,
  { identity, metrics, node, log, certificate }: {
    readonly certificate: Certificate | null;
    readonly identity: Prepared["identity"];
    readonly metrics: Metrics;
    readonly node: ClusterNode;
    readonly log: (message: string, error?: unknown) => void;
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
      log,
      cluster: node,
      replayGuard: node.handshakes,
      publicHost,
      ...(webSocketPort !== null && { webSocketPort }),
      ...(certificate !== null && { tls: { port: tlsPort, ...certificate } }),
    });
  } catch (error) {
    throw new Fatal(messageOf(error));
  }
}
