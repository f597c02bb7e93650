import type { NodeStatus } from "../cluster/node_status.ts";
import { clusterFamilies } from "./cluster_families.ts";
import { type Gauges, type Histogram, latencyBuckets, type Metrics, refusals } from "./metrics.ts";

export interface ProgramInfo {
  readonly version: string;
  readonly startedAt: number;
  /** Of a server that runs as several processes. */
  readonly workers?: WorkerCounts;
  /** When the TLS certificate runs out, milliseconds since 1970; `null`: there is none. */
  certificateEnd?(): number | null;
  /** Of a node of a cluster. */
  cluster?(): NodeStatus;
}

/** The processes of a server. */
export interface WorkerCounts {
  readonly all: number;
  readonly ready: number;
  /** How often one was started again. */
  readonly restarts: number;
}

type Sample = readonly [suffix: string, value: number];

export function formatPrometheus(metrics: Metrics, gauges: Gauges, info: ProgramInfo): string {
  const commands = [...metrics.commands].toSorted(([a], [b]) => a < b ? -1 : 1);
  const certificateEnd = info.certificateEnd?.() ?? null;
  const gauge = (name: string, help: string, value: number) => family(name, "gauge", help, [["", value]]);
  const counter = (name: string, help: string, value: number) => family(name, "counter", help, [["", value]]);
  return [
    family("smp_build_info", "gauge", "The version of the server.", [[
      `{version="${escape(info.version)}"}`,
      1,
    ]]),
    gauge(
      "process_start_time_seconds",
      "Start time of the process since 1970 in seconds.",
      info.startedAt / 1000,
    ),
    ...certificateEnd === null ? [] : [gauge(
      "smp_tls_certificate_end_seconds",
      "When the TLS certificate runs out, since 1970 in seconds.",
      certificateEnd / 1000,
    )],
    ...workerFamilies(info.workers),
    ...(info.cluster === undefined
      ? []
      : clusterFamilies(info.cluster()).map(([name, type, help, samples]) =>
        family(name, type, help, samples)
      )),
    gauge("process_resident_memory_bytes", "Resident memory size in bytes.", gauges.memory),
    gauge("smp_held_bytes", "Memory counted for connections, queues and messages.", gauges.memoryHeld),
    gauge("smp_connections", "Open connections, those in the handshake included.", gauges.connections),
    gauge("smp_handshakes_in_progress", "Connections in the handshake.", gauges.handshakes),
    gauge("smp_subscriptions", "Queues with a subscribed connection.", gauges.subscriptions),
    gauge("smp_windows", "Subscriptions with windows.", gauges.windows),
    gauge("smp_opened_queues", "Queues that connections have opened.", gauges.opened),
    gauge("smp_queues", "Queues.", gauges.queues),
    gauge("smp_messages_waiting", "Messages that wait or are not acknowledged.", gauges.messages),
    gauge("smp_messages_unacknowledged", "Messages delivered and not acknowledged.", gauges.delivered),
    gauge("smp_messages_waiting_bytes", "Bytes of the bodies of those messages.", gauges.messageBytes),
    gauge(
      "smp_signatures_in_progress",
      "Signatures that are being verified or wait for it.",
      gauges.cryptoInWork,
    ),
    counter("smp_connections_accepted_total", "Connections accepted.", metrics.connectionsAccepted),
    family(
      "smp_handshakes_total",
      "counter",
      "Handshakes by result; refused ones are in smp_refused_total.",
      [
        ['{result="ok"}', metrics.handshakesDone],
        ['{result="failed"}', metrics.handshakesFailed],
      ],
    ),
    family(
      "smp_refused_total",
      "counter",
      "What a limit refused or closed, by the limit.",
      refusals.map((reason) => [`{reason="${reason}"}`, metrics.refusals(reason)]),
    ),
    family(
      "smp_commands_total",
      "counter",
      "Commands by kind and answer; the command is unknown when it could not be parsed.",
      commands.map(([name, count]) => [commandLabels(name), count]),
    ),
    counter(
      "smp_slow_peers_closed_total",
      "Connections closed because the peer did not read.",
      metrics.slowPeersClosed,
    ),
    counter("smp_received_bytes_total", "Bytes of blocks received.", metrics.bytesReceived),
    counter("smp_sent_bytes_total", "Bytes of blocks sent.", metrics.bytesSent),
    counter("smp_messages_accepted_total", "Messages accepted.", metrics.messagesAccepted),
    counter(
      "smp_messages_delivered_total",
      "Messages given to recipients, repetitions included.",
      metrics.messagesDelivered,
    ),
    counter(
      "smp_messages_dropped_total",
      "Messages dropped that do not fit the recipient's blocks.",
      metrics.messagesDropped,
    ),
    counter("smp_messages_expired_total", "Messages dropped because of their age.", metrics.messagesExpired),
    counter("smp_queues_expired_total", "Queues removed because of their age.", metrics.queuesExpired),
    counter(
      "smp_internal_errors_total",
      "Commands that failed because of the server, and errors that nothing has caught.",
      metrics.internalErrors,
    ),
    counter("smp_log_failures_total", "Failed writes and syncs of log files.", metrics.logFailures),
    histogram(
      "smp_delivery_seconds",
      "Time from receiving a message to having sent it on at once.",
      metrics.delivery,
    ),
    histogram("smp_log_flush_seconds", "Time of writing one batch of log lines.", metrics.logFlush),
  ].join("");
}

function workerFamilies(workers: WorkerCounts | undefined): readonly string[] {
  if (workers === undefined) return [];
  const { all, ready, restarts } = workers;
  return [
    family("smp_workers", "gauge", "Worker processes of the server, by whether they serve.", [
      ['{state="ready"}', ready],
      ['{state="starting"}', all - ready],
    ]),
    family(
      "smp_worker_restarts_total",
      "counter",
      "Worker processes that have ended and were started again.",
      [
        ["", restarts],
      ],
    ),
  ];
}

function family(name: string, type: string, help: string, samples: readonly Sample[]): string {
  const lines = samples.map(([suffix, value]) => `${name}${suffix} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function histogram(name: string, help: string, { counts, sum, count }: Histogram): string {
  let below = 0;
  const buckets = latencyBuckets.map((bound, i): Sample => {
    below += counts[i]!;
    return [`_bucket{le="${bound}"}`, below];
  });
  return family(name, "histogram", help, [...buckets, ['_bucket{le="+Inf"}', count], ["_sum", sum], [
    "_count",
    count,
  ]]);
}

/** `SUB ERR CMD SYNTAX` as labels: the answer is `CMD_SYNTAX`. */
function commandLabels(name: string): string {
  const [command, ...answer] = name.split(" ");
  const error = answer[0] === "ERR" ? answer.slice(1) : answer;
  return `{command="${command === "?" ? "unknown" : escape(command!)}",answer="${escape(error.join("_"))}"}`;
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
