import { setTimeout as pause } from "node:timers/promises";
import { iniPath } from "../commands/files.ts";
import {
  announce,
  prepare,
  prepareLogs,
  startMonitor,
  stopDeadline,
  untilStopped,
} from "../commands/start.ts";
import { operate } from "../commands/operate.ts";
import type { Signals } from "../commands/signals.ts";
import { portAdvice } from "../../cli/port_advice.ts";
import { Fatal, messageOf, type Terminal } from "../commands/terminal.ts";
import { survive } from "../commands/uncaught.ts";
import type { CliOptions } from "../config/cli.ts";
import type { ServerConfig } from "../config/config.ts";
import { Metrics } from "../observe/metrics.ts";
import { acceptConnections } from "../net/accept_loop.ts";
import { checkCanSpawn } from "./command.ts";
import { workersProblem } from "./files.ts";
import { makeSocketFolder } from "./socket_folder.ts";
import { Workers } from "./workers.ts";

/** Milliseconds in which the workers of a server that was killed are gone from the port. */
const portPatience = 3_000;

/** `start --workers`: starts the workers, and keeps them running until it is told to stop. */
export async function startWorkers(options: CliOptions, terminal: Terminal): Promise<void> {
  await untilStopped(terminal, (signals) => run(options, terminal, signals));
}

async function run(options: CliOptions, terminal: Terminal, signals: Signals): Promise<void> {
  if (Deno.build.os !== "linux") {
    throw new Fatal("Cannot start workers: only on Linux can processes share a port");
  }
  checkCanSpawn();
  await using prepared = await prepare(options, terminal, signals);
  const { settings, key, logger, admin, certificates } = prepared;
  if (settings.clusterServers !== null) {
    throw new Fatal(
      `Cannot start workers: [CLUSTER] servers of ${
        iniPath(options)
      } makes this a node of a cluster, which is one ` +
        "process: start one node for each core",
    );
  }
  const problem = workersProblem(settings, iniPath(options));
  if (problem !== null) throw new Fatal(problem);
  await checkPorts(settings, signals.stop);
  const workers = options.workers || navigator.hardwareConcurrency;
  await using sockets = await makeSocketFolder(
    [`${settings.keyFile}.sockets`, `${settings.storeLogFile}.sockets`],
    workers,
  );
  const metrics = new Metrics();
  using _survival = survive({ metrics, logger });
  using files = await prepareLogs(settings, options, { workers, stop: signals.stop });
  for (const notice of files.notices) logger.info(notice);
  await using server = new Workers({
    settings,
    repair: options.repair,
    key,
    certificate: certificates?.current ?? null,
    files,
    sockets,
    metrics,
    logger,
  });
  await server.start(signals.stop);
  certificates?.follow((certificate) => server.setCertificate(certificate));
  await using monitor = startMonitor(settings, server.status);
  signals.stop.throwIfAborted();
  announce(settings, {
    server: server.listening,
    monitor,
    engine: server.engine,
    hint: options.hint,
    workers,
  }, terminal);
  const { listening, engine, status: source } = server;
  operate({ options, settings, logger, admin, signals, server, listening, source, engine, certificates });
  await serve(server, signals.stop);
}

/** Also when a worker cannot be kept running the others answer what they have in work. */
async function serve(server: Workers, stop: AbortSignal): Promise<void> {
  const { promise: stopped, resolve } = Promise.withResolvers<void>();
  if (stop.aborted) resolve();
  stop.addEventListener("abort", () => resolve());
  try {
    await Promise.race([stopped, server.failed]);
  } finally {
    await server.stop(stopDeadline);
  }
}

/** Two servers that share a port by mistake would each get half of the other's clients. */
async function checkPorts(
  { host, port, webSocketPort, tlsCert, tlsPort }: ServerConfig,
  stop: AbortSignal,
): Promise<void> {
  const end = performance.now() + portPatience;
  for (const wanted of [port, webSocketPort ?? 0, tlsCert === null ? 0 : tlsPort]) {
    while (wanted !== 0) {
      try {
        await acceptConnections({ host, port: wanted }, { take: (other) => other.close(), failed: () => {} })
          .close();
        break;
      } catch (error) {
        if (performance.now() > end) {
          throw new Fatal(messageOf(error) + portAdvice(error, "--port, --ws-port, or tls_port in the ini"));
        }
        await pause(100, undefined, { signal: stop }).catch(() => stop.throwIfAborted());
      }
    }
  }
}
