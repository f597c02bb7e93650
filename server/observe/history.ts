import { type Gauges, Histogram, type Metrics } from "./metrics.ts";

/** Rates a second, latencies in milliseconds, memory in bytes. */
export const seriesNames = [
  "accepted",
  "delivered",
  "commands",
  "refused",
  "errors",
  "p50",
  "p99",
  "connections",
  "queues",
  "messages",
  "memory",
] as const;

export type SeriesName = typeof seriesNames[number];

const size = 360;
export const sampleInterval = 10_000;

/** Milliseconds that stand for latencies above the last bucket: twice its bound. */
const longest = 20_000;

interface Totals {
  readonly at: number;
  readonly accepted: number;
  readonly delivered: number;
  readonly commands: number;
  readonly refused: number;
  readonly errors: number;
  readonly delivery: readonly number[];
}

export class History {
  readonly #series: ReadonlyMap<SeriesName, Float64Array> = new Map(
    seriesNames.map((name) => [name, new Float64Array(size)]),
  );
  #count = 0;
  #last: Totals;

  constructor(metrics: Metrics, now: number) {
    this.#last = totals(metrics, now);
  }

  sample(metrics: Metrics, gauges: Gauges, now: number): void {
    const [last, next] = [this.#last, totals(metrics, now)];
    const seconds = Math.max(1, next.at - last.at) / 1000;
    const rate = (name: "accepted" | "delivered" | "commands" | "refused" | "errors") =>
      (next[name] - last[name]) / seconds;
    const counts = next.delivery.map((count, i) => count - last.delivery[i]!);
    const values: Record<SeriesName, number> = {
      accepted: rate("accepted"),
      delivered: rate("delivered"),
      commands: rate("commands"),
      refused: rate("refused"),
      errors: rate("errors"),
      p50: quantile(counts, 0.5) ?? NaN,
      p99: quantile(counts, 0.99) ?? NaN,
      connections: gauges.connections,
      queues: gauges.queues,
      messages: gauges.messages,
      memory: gauges.memory,
    };
    for (const name of seriesNames) this.#series.get(name)![this.#count % size] = values[name];
    this.#count++;
    this.#last = next;
  }

  values(): Record<SeriesName, readonly (number | null)[]> {
    const kept = Math.min(this.#count, size);
    const values = {} as Record<SeriesName, readonly (number | null)[]>;
    for (const name of seriesNames) {
      const series = this.#series.get(name)!;
      values[name] = Array.from({ length: kept }, (_, i) => {
        const value = series[(this.#count - kept + i) % size]!;
        return Number.isNaN(value) ? null : Number(value.toPrecision(6));
      });
    }
    return values;
  }
}

export function quantile(counts: readonly number[], share: number): number | null {
  const seconds = Histogram.quantile(counts, share);
  return seconds === null ? null : Math.min(longest, seconds * 1000);
}

function totals(metrics: Metrics, at: number): Totals {
  return {
    at,
    accepted: metrics.messagesAccepted,
    delivered: metrics.messagesDelivered,
    commands: total(metrics.commands),
    refused: total(metrics.refused),
    errors: metrics.internalErrors + metrics.logFailures,
    delivery: [...metrics.delivery.counts],
  };
}

export function total(counts: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const count of counts.values()) sum += count;
  return sum;
}
