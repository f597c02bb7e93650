import { counted } from "../../cli/counted.ts";
import type { ServerStatus } from "./messages.ts";

/** What `status` prints: sections of `name: value`. */
export function statusLines(status: ServerStatus): readonly string[] {
  const { gauges, totals, refused, workers, cluster } = status;
  const lines: string[] = [];
  const section = (title: string, values: Readonly<Record<string, string | number | null | undefined>>) => {
    const given = Object.entries(values).filter(([, value]) => value !== undefined);
    if (given.length > 0) lines.push(...(lines.length > 0 ? [""] : []), `# ${title}`);
    for (const [name, value] of given) lines.push(`${name}: ${value ?? "none"}`);
  };
  section("server", {
    version: status.version,
    process: status.pid,
    uptime: duration(status.uptime),
    ready: status.notReady === null ? "yes" : `no, ${status.notReady}`,
    address: status.address,
    websockets: status.webSocketPort,
    "websockets over TLS": status.tlsPort,
    "store log": status.storeLog ?? (cluster === undefined ? "off" : "the cluster's"),
    cryptography: status.cryptography,
    "log level": status.logLevel,
    workers: workers && `${workers.ready} of ${workers.all} ready, ${counted(workers.restarts, "restart")}`,
    cluster: cluster &&
      `node ${cluster.node}, ${
        counted(cluster.partitions.filter(({ own }) => own !== null).length, "partition")
      }`,
  });
  section("now", {
    connections: gauges.connections,
    handshakes: gauges.handshakes,
    subscriptions: gauges.subscriptions,
    queues: gauges.queues,
    messages: `${gauges.messages} (${size(gauges.messageBytes)})`,
    unacknowledged: gauges.delivered,
    memory: size(gauges.memory),
    held: size(gauges.memoryHeld),
  });
  section("since the start", {
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
  section(
    "refused since the start",
    Object.fromEntries(Object.entries(refused).filter(([, count]) => count > 0)),
  );
  return lines;
}

export function duration(seconds: number): string {
  const [days, hours, minutes] = [86_400, 3_600, 60].map((unit) => Math.floor(seconds / unit));
  if (days! > 0) return `${days} d ${hours! % 24} h`;
  if (hours! > 0) return `${hours} h ${minutes! % 60} min`;
  return minutes! > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function milliseconds(time: number | null): string {
  return time === null ? "none yet" : `below ${time} ms`;
}
