import type { NodeStatus } from "../../../server/cluster/node_status.ts";
import { type Gauges, Metrics } from "../../../server/observe/metrics.ts";
import type { MonitorSource } from "../../../server/observe/monitor.ts";

/** Gauges that differ from each other. */
export const gauges: Gauges = {
  connections: 11,
  handshakes: 2,
  subscriptions: 13,
  windows: 5,
  delivered: 9,
  opened: 12,
  queues: 14,
  messages: 15,
  messageBytes: 16_000,
  cryptoInWork: 7,
  memory: 180 * 1024 * 1024,
  memoryHeld: 90 * 1024 * 1024,
};

/** Metrics in which something of everything was counted. */
export function filledMetrics(): Metrics {
  const metrics = new Metrics();
  metrics.connectionsAccepted = 100;
  metrics.handshakesDone = 90;
  metrics.handshakesFailed = 5;
  metrics.bytesReceived = 2 ** 40;
  metrics.messagesAccepted = 50;
  metrics.messagesDelivered = 40;
  metrics.internalErrors = 3;
  metrics.logFailures = 4;
  metrics.refuse("quota");
  for (const [command, answer] of [["SEND", "OK"], ["SEND", "OK"], ["SEND", "ERR AUTH"], ["NEW", "IDS"]]) {
    metrics.answered(command!, answer!);
  }
  metrics.answered("?", "ERR CMD SYNTAX");
  for (const seconds of [0.0001, 0.0005, 0.003, 0.003, 7, 100]) metrics.delivery.observe(seconds);
  return metrics;
}

/** A node that owns the first of two partitions. */
export const nodeStatus: NodeStatus = {
  node: "a",
  incarnation: 7,
  holds: true,
  leaseAge: 500,
  nodes: [
    { node: "a", state: "live", incarnation: 7, partitions: 1, leaseAge: 400 },
    { node: "b", state: "draining", incarnation: 6, partitions: 0, leaseAge: 900 },
    { node: "c", state: "gone", incarnation: 5, partitions: 0, leaseAge: 60_000 },
  ],
  partitions: [
    {
      partition: 0,
      owner: { node: "a", epoch: 21 },
      ownerChanges: 2,
      own: {
        epoch: 21,
        sequence: 40,
        waiting: 3_000,
        lag: 250,
        snapshot: { sequence: 12, bytes: 9_000, age: 90_000 },
        links: { links: 1, connections: 2, inWork: 0, kept: 0, waiting: 0 },
      },
      isClaimed: false,
      unable: null,
      sessions: { isLinked: true, pending: 4, forwarded: 70 },
    },
    {
      partition: 1,
      owner: null,
      ownerChanges: 1,
      own: null,
      isClaimed: true,
      unable: "its log cannot be read",
      sessions: { isLinked: false, pending: 6, forwarded: 30 },
    },
  ],
  streams: 3,
};

/** A source that can be changed. */
export interface TestSource extends MonitorSource {
  gauges: () => Gauges;
  notReady: () => string | null;
}

/** A source that is ready, with {@linkcode filledMetrics} and {@linkcode gauges}. */
export function testSource(): TestSource {
  return {
    metrics: filledMetrics(),
    gauges: () => gauges,
    notReady: () => null,
    version: "1.2.3",
    startedAt: Date.UTC(2026, 0, 1),
  };
}
