import { type Gauges, type Histogram, latencyBuckets, Metrics, refusals } from "../observe/metrics.ts";
import { amountOf, countOf, type JsonObject, listOf, objectOf, oneOf, textOf } from "../../cli/json.ts";

/** What one worker has counted since it started, and what it is at the moment. */
export interface Snapshot {
  readonly metrics: Metrics;
  readonly gauges: Gauges;
  readonly notReady: string | null;
}

type NamesOf<T, V> = { readonly [K in keyof T]: T[K] extends V ? K : never }[keyof T];
type Counter = NamesOf<Metrics, number>;

// By a table of all, so that the compiler names what is missing.
const counters = Object.keys(
  {
    connectionsAccepted: true,
    handshakesDone: true,
    handshakesFailed: true,
    slowPeersClosed: true,
    bytesReceived: true,
    bytesSent: true,
    messagesAccepted: true,
    messagesDelivered: true,
    messagesDropped: true,
    messagesExpired: true,
    queuesExpired: true,
    internalErrors: true,
    logFailures: true,
  } satisfies Readonly<Record<Counter, true>>,
) as Counter[];

const histograms = Object.keys(
  { delivery: true, logFlush: true } satisfies Readonly<Record<NamesOf<Metrics, Histogram>, true>>,
) as NamesOf<Metrics, Histogram>[];

const gaugeNames = Object.keys(
  {
    connections: true,
    handshakes: true,
    subscriptions: true,
    windows: true,
    delivered: true,
    opened: true,
    queues: true,
    messages: true,
    messageBytes: true,
    cryptoInWork: true,
    memory: true,
    memoryHeld: true,
  } satisfies Readonly<Record<keyof Gauges, true>>,
) as (keyof Gauges)[];

const mostCommands = 1000;

export function writeMetrics(metrics: Readonly<Metrics>): JsonObject {
  return {
    counters: Object.fromEntries(counters.map((name) => [name, metrics[name]])),
    refused: [...metrics.refused],
    commands: [...metrics.commands],
    histograms: Object.fromEntries(histograms.map((name) => {
      const { counts, sum, count } = metrics[name];
      return [name, { counts, sum, count }];
    })),
  };
}

/** Throws `ControlError`. */
export function readMetrics(value: unknown): Metrics {
  const given = objectOf(value, "metrics");
  const metrics = new Metrics();
  const numbers = objectOf(given["counters"], "counters");
  for (const name of counters) metrics[name] = countOf(numbers[name], name);
  const pair = <K>(entry: unknown, key: (value: unknown) => K): [K, number] => {
    const [name, count] = listOf(entry, "entry", { most: 2, read: (part) => part });
    return [key(name), countOf(count, "count")];
  };
  const refused = listOf(given["refused"], "refused", {
    most: refusals.length,
    read: (entry) => pair(entry, (name) => oneOf(name, "refusal", refusals)),
  });
  for (const [reason, count] of refused) metrics.refused.set(reason, count);
  const commands = listOf(given["commands"], "commands", {
    most: mostCommands,
    read: (entry) => pair(entry, (name) => textOf(name, "command", 100)),
  });
  for (const [name, count] of commands) metrics.commands.set(name, count);
  const latencies = objectOf(given["histograms"], "histograms");
  for (const name of histograms) {
    const { counts, sum, count } = objectOf(latencies[name], name);
    const read = (entry: unknown) => countOf(entry, name);
    const buckets = listOf(counts, name, { most: latencyBuckets.length + 1, read });
    for (const [i, inBucket] of buckets.entries()) metrics[name].counts[i] = inBucket;
    metrics[name].sum = amountOf(sum, name);
    metrics[name].count = countOf(count, name);
  }
  return metrics;
}

/** Throws `ControlError`. */
export function readGauges(value: unknown): Gauges {
  const given = objectOf(value, "gauges");
  return gaugesOf((name) => countOf(Math.round(amountOf(given[name], name)), name));
}

export function sumMetrics(all: Iterable<Readonly<Metrics>>): Metrics {
  const sum = new Metrics();
  for (const one of all) {
    for (const name of counters) sum[name] += one[name];
    for (const [reason, count] of one.refused) sum.refused.set(reason, sum.refusals(reason) + count);
    for (const [name, count] of one.commands) sum.commands.set(name, (sum.commands.get(name) ?? 0) + count);
    for (const name of histograms) {
      for (const [i, count] of one[name].counts.entries()) sum[name].counts[i]! += count;
      sum[name].sum += one[name].sum;
      sum[name].count += one[name].count;
    }
  }
  return sum;
}

export function sumGauges(all: readonly Gauges[]): Gauges {
  return gaugesOf((name) => all.reduce((sum, gauges) => sum + gauges[name], 0));
}

function gaugesOf(value: (name: keyof Gauges) => number): Gauges {
  return Object.fromEntries(gaugeNames.map((name) => [name, value(name)])) as unknown as Gauges;
}
