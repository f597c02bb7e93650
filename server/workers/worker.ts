import { preferOpenSsl, serverExtensions } from "../../protocol/mod.ts";
import { messageOf } from "../commands/terminal.ts";
import { survive } from "../commands/uncaught.ts";
import { parseIdentity } from "../config/identity.ts";
import { newQueueAccessOf } from "../config/new_queue_access.ts";
import { Metrics } from "../observe/metrics.ts";
import { SmpServer } from "../server.ts";
import { loadAliases } from "./aliases.ts";
import { SharedHandshakes } from "./handshakes.ts";
import { ControlError } from "../../cli/json.ts";
import { LineChannel } from "./line_channel.ts";
import { type FromWorker, readToWorker, type StartMessage, type ToWorker } from "./messages.ts";
import { writeMetrics } from "./snapshot.ts";
import { ToldCertificate } from "./told_certificate.ts";
import { UsageReporter } from "./usage_reporter.ts";
import { workerLogger } from "./worker_log.ts";
import { WorkerLinks } from "./worker_links.ts";
import { openWorkerStores } from "./worker_stores.ts";

/** Milliseconds between the numbers that a worker sends by itself. */
export const sampleInterval = 1_000;

/**
 * A worker of `start --workers`: speaks with its parent through standard input and output, and resolves when the
 * parent wants it to end or is gone.
 */
export async function runWorker(): Promise<void> {
  // They are for the parent, which says what to do; terminals and service managers send them to all.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) Deno.addSignalListener(signal, () => {});
  await using channel = new LineChannel({ readable: Deno.stdin.readable, writable: Deno.stdout.writable });
  const messages = readAll(channel);
  const first = (await messages.next()).value;
  if (first?.type !== "start") throw new ControlError("Cannot start: start --workers starts the workers");
  try {
    await serve(first, { channel, messages });
  } catch (error) {
    channel.send({ type: "fatal", message: messageOf(error).slice(0, 2000) } satisfies FromWorker);
    await channel.flush();
  }
}

async function* readAll(channel: LineChannel): AsyncGenerator<ToWorker, void> {
  for await (const line of channel.lines()) yield readToWorker(line);
}

async function serve(
  start: StartMessage,
  { channel, messages }: {
    readonly channel: LineChannel;
    readonly messages: AsyncGenerator<ToWorker, void>;
  },
): Promise<void> {
  const { settings, worker, incarnation, workers, partitions, files, sockets } = start;
  // Nothing comes before it is ready but the parent's end.
  let next = messages.next();
  next.then(({ done }) => done && Deno.exit(1), () => {});
  const send = (message: FromWorker | object) => channel.send(message);
  const engine = preferOpenSsl();
  const logger = workerLogger(settings.logLevel, send);
  const metrics = new Metrics();
  using _survival = survive({ metrics, logger });
  using reporter = new UsageReporter(workers, (usage) => send({ type: "usage", usage }));
  const identity = await parseIdentity(start.key);
  const stores = await openWorkerStores(start, { metrics, logger });
  const aliases = files.aliases === null ? new Map<string, string>() : await loadAliases(files.aliases);
  const spread = { workers, partitions };
  await using links = new WorkerLinks({ worker, incarnation, spread, sockets, aliases });
  const handshakes = new SharedHandshakes({ own: stores.replayGuard, worker, workers, ask: send });
  await using server = await SmpServer.start({
    identity,
    host: settings.host,
    port: settings.port,
    ...(settings.webSocketPort !== null && { webSocketPort: settings.webSocketPort }),
    publicHost: settings.publicHost,
    ...(start.certificate !== null && { tls: { port: settings.tlsPort, ...start.certificate } }),
    limits: settings.limits,
    extensions: serverExtensions.filter((name) => settings.extensions[name]),
    create: newQueueAccessOf(settings),
    trustForwardedFor: settings.trustForwardedFor,
    reusePort: true,
    usage: reporter.usage,
    queues: stores.queues,
    messages: stores.messages,
    replayGuard: handshakes,
    place: links,
    metrics,
    log: logger.error,
  });
  const sample = (id: number | null) =>
    send({
      type: "sample",
      id,
      metrics: writeMetrics(metrics),
      gauges: server.gauges(),
      notReady: stores.healthy ? server.notReady() : "the logs cannot be written",
    });
  const certificate = new ToldCertificate(
    (certificate) => server.setCertificate(certificate),
    (error) => logger.error("Cannot use the TLS certificate yet, the old one stays", error),
  );
  const timer = setInterval(() => {
    sample(null);
    certificate.look();
  }, sampleInterval);
  try {
    send({
      type: "ready",
      port: server.port,
      webSocketPort: server.webSocketPort ?? null,
      tlsPort: server.tlsPort ?? null,
      keyHash: server.keyHash,
      engine,
    });
    for (let { value: message } = await next; message; { value: message } = await (next = messages.next())) {
      switch (message.type) {
        case "limits":
          server.setLimits(message.limits);
          break;
        case "create":
          server.setCreate(message.access);
          break;
        case "certificate":
          certificate.take(message.certificate);
          break;
        case "log-level":
          logger.level = message.level;
          break;
        case "sample":
          sample(message.id);
          break;
        case "others":
          reporter.usage.setOthers(message.usage);
          break;
        case "ask":
          void stores.replayGuard.isNewDigest(message.digest)
            .then((isNew) => send({ type: "answer", id: message.id, isNew }));
          break;
        case "answer":
          handshakes.answered(message);
          break;
        case "peer":
          links.tell(message.worker, message.isUp);
          break;
        case "stop":
          void server.stop({ deadline: message.deadline }).then(() => {
            sample(null);
            send({ type: "stopped" });
          });
          break;
        case "end":
          await links[Symbol.asyncDispose]();
          return await stores.close();
        case "start":
          throw new ControlError("it has started before");
        default:
          message satisfies never;
      }
    }
    // Whoever is started next must find the logs free.
    Deno.exit(1);
  } finally {
    clearInterval(timer);
  }
}
