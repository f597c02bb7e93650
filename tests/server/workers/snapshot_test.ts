import { assertEquals } from "@std/assert";
import { formatPrometheus } from "../../../server/observe/prometheus.ts";
import { Metrics } from "../../../server/observe/metrics.ts";
import {
  readGauges,
  readMetrics,
  sumGauges,
  sumMetrics,
  writeMetrics,
} from "../../../server/workers/snapshot.ts";
import { filledMetrics, gauges } from "../observe/samples.ts";

const permissions = "none";
const metrics = filledMetrics();
const info = { version: "1.2.3", startedAt: 0 };

Deno.test("numbers that went over a channel give the same text", { permissions }, () => {
  const read = readMetrics(JSON.parse(JSON.stringify(writeMetrics(metrics))));
  const readToo = readGauges(JSON.parse(JSON.stringify(gauges)));
  assertEquals(formatPrometheus(read, readToo, info), formatPrometheus(metrics, gauges, info));
});

Deno.test("the sum of two servers counts every number of both", { permissions }, () => {
  const text = (all: readonly Metrics[]) => {
    const sum = sumMetrics(all);
    return writeMetrics(sum);
  };
  const doubled = (value: unknown): unknown =>
    typeof value === "number"
      ? value * 2
      : Array.isArray(value)
      ? value.map(doubled)
      : typeof value === "object" && value !== null
      ? Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, doubled(entry)]))
      : value;
  assertEquals(text([metrics, metrics]), doubled(writeMetrics(metrics)));
  assertEquals(text([metrics, new Metrics()]), writeMetrics(metrics));
  assertEquals(sumGauges([gauges, gauges]), doubled(gauges) as typeof gauges);
  assertEquals(new Set(Object.values(sumGauges([]))), new Set([0]));
});
