import { Sections } from "../../cli/admin/sections.ts";
import { duration, size } from "../../cli/admin/words.ts";
import { counted } from "../../cli/counted.ts";
import type { CertificateStatus, ServerStatus } from "./status.ts";

/** What `status` prints: sections of `name: value`. */
export function statusLines(status: ServerStatus): readonly string[] {
  const { gauges, totals, refused, workers, cluster } = status;
  const sections = new Sections();
  sections.add("server", {
    version: status.version,
    process: status.pid,
    uptime: duration(status.uptime),
    ready: status.notReady === null ? "yes" : `no, ${status.notReady}`,
    address: status.address,
    websockets: status.webSocketPort,
    "websockets over TLS": status.tlsPort,
    "TLS certificate": certificateText(status.certificate),
    "TLS files": status.certificate?.problem ? `not used: ${status.certificate.problem}` : undefined,
    "store log": status.storeLog ?? (cluster === undefined ? "off" : "the cluster's"),
    cryptography: status.cryptography,
    "log level": status.logLevel,
    workers: workers && `${workers.ready} of ${workers.all} ready, ${counted(workers.restarts, "restart")}`,
    cluster: cluster &&
      `node ${cluster.node}, ${
        counted(cluster.partitions.filter(({ own }) => own !== null).length, "partition")
      }`,
  });
  sections.add("now", {
    connections: gauges.connections,
    handshakes: gauges.handshakes,
    subscriptions: gauges.subscriptions,
    queues: gauges.queues,
    messages: `${gauges.messages} (${size(gauges.messageBytes)})`,
    unacknowledged: gauges.delivered,
    memory: size(gauges.memory),
    held: size(gauges.memoryHeld),
  });
  sections.add("since the start", {
    connections: totals.connections,
    "failed handshakes": totals.handshakesFailed,
    commands: totals.commands,
    "messages accepted": totals.accepted,
    "messages delivered": totals.delivered,
    "messages expired": totals.expired,
    received: size(totals.bytesReceived),
    sent: size(totals.bytesSent),
    "internal errors": totals.internalErrors,
    "log failures": totals.logFailures,
    "delivery p50": milliseconds(totals.p50),
    "delivery p99": milliseconds(totals.p99),
  });
  sections.add(
    "refused since the start",
    Object.fromEntries(Object.entries(refused).filter(([, count]) => count > 0)),
  );
  return sections.lines;
}

export function milliseconds(time: number | null): string {
  return time === null ? "none yet" : `below ${time} ms`;
}

/** `undefined`: there is none. A server of another version says nothing of it. */
function certificateText(certificate: CertificateStatus | null | undefined): string | undefined {
  if (!certificate) return undefined;
  const { validFrom, validTo, daysLeft } = certificate;
  const [from, to] = [validFrom, validTo].map((time) => time.slice(0, 10));
  if (daysLeft < 0) return `expired on ${to}`;
  const left = `${counted(daysLeft, "day")} left, until ${to}`;
  return Date.parse(validFrom) > Date.now() ? `not valid before ${from}` : left;
}
