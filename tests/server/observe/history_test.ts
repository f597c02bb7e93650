import { assert, assertEquals } from "@std/assert";
import { Histogram, Metrics } from "../../../server/observe/metrics.ts";
import { History, quantile, sampleInterval, seriesNames } from "../../../server/observe/history.ts";
import { gauges } from "./samples.ts";

const permissions = "none";

Deno.test("rates are those since the moment before, by the time that has passed", { permissions }, () => {
  const metrics = new Metrics();
  metrics.messagesAccepted = 1000;
  const history = new History(metrics, 5000);
  metrics.messagesAccepted += 50;
  metrics.messagesDelivered += 20;
  metrics.answered("SEND", "OK");
  metrics.refuse("quota");
  metrics.refuse("idle");
  metrics.internalErrors += 3;
  metrics.logFailures += 1;
  history.sample(metrics, gauges, 15_000);
  history.sample(metrics, gauges, 25_000);
  metrics.messagesAccepted += 100;
  history.sample(metrics, gauges, 45_000);
  const { accepted, delivered, commands, refused, errors } = history.values();
  assertEquals(accepted, [5, 0, 5]);
  assertEquals(delivered, [2, 0, 0]);
  assertEquals(commands, [0.1, 0, 0]);
  assertEquals(refused, [0.2, 0, 0]);
  assertEquals(errors, [0.4, 0, 0]);
});

Deno.test("gauges are kept as they were", { permissions }, () => {
  const metrics = new Metrics();
  const history = new History(metrics, 0);
  history.sample(metrics, gauges, 10_000);
  history.sample(metrics, { ...gauges, connections: 99, memory: 1 }, 20_000);
  const { connections, queues, messages, memory } = history.values();
  assertEquals(connections, [gauges.connections, 99]);
  assertEquals(queues, [gauges.queues, gauges.queues]);
  assertEquals(messages, [gauges.messages, gauges.messages]);
  // six digits are enough for a chart
  assertEquals(memory, [188_744_000, 1]);
});

Deno.test(
  "latencies are of the deliveries since the moment before, and missing without any",
  { permissions },
  () => {
    const metrics = new Metrics();
    for (let i = 0; i < 1000; i++) metrics.delivery.observe(9);
    const history = new History(metrics, 0);
    for (let i = 0; i < 98; i++) metrics.delivery.observe(0.0004);
    for (let i = 0; i < 2; i++) metrics.delivery.observe(0.2);
    history.sample(metrics, gauges, 10_000);
    history.sample(metrics, gauges, 20_000);
    metrics.delivery.observe(1000);
    history.sample(metrics, gauges, 30_000);
    const { p50, p99 } = history.values();
    assertEquals(p50, [0.5, null, 20_000]);
    assertEquals(p99, [250, null, 20_000]);
  },
);

Deno.test("an hour is kept, the oldest moments go first", { permissions }, () => {
  const metrics = new Metrics();
  const history = new History(metrics, 0);
  assertEquals(history.values().queues, []);
  for (let i = 1; i <= 1000; i++) history.sample(metrics, { ...gauges, queues: i }, i * sampleInterval);
  const values = history.values();
  assertEquals(values.queues, Array.from({ length: 360 }, (_, i) => 641 + i));
  assertEquals(Object.keys(values), [...seriesNames]);
  assert(Object.values(values).every((series) => series.length === 360));
  assertEquals(values.queues.length * sampleInterval, 3_600_000);
});

Deno.test("a quantile is the bound of the bucket that it is in", { permissions }, () => {
  const histogram = new Histogram();
  assertEquals(Histogram.quantile(histogram.counts, 0.5), null);
  assertEquals(quantile(histogram.counts, 0.5), null);
  for (const seconds of [0.002, 0.002, 0.02, 0.02]) histogram.observe(seconds);
  const shares = [0, 0.25, 0.5, 0.51, 0.99, 1];
  const seconds = shares.map((share) => Histogram.quantile(histogram.counts, share));
  assertEquals(seconds, [0.0025, 0.0025, 0.0025, 0.025, 0.025, 0.025]);
  for (let i = 0; i < 100; i++) histogram.observe(11);
  assertEquals(Histogram.quantile(histogram.counts, 0.99), Infinity);
  assertEquals(quantile(histogram.counts, 0.99), 20_000);
});
