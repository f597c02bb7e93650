import { assert, assertEquals, assertMatch } from "@std/assert";
import { latencyBuckets, Metrics, refusals } from "../../../server/observe/metrics.ts";
import { formatPrometheus, type ProgramInfo } from "../../../server/observe/prometheus.ts";
import { type ParsedFamily, parsePrometheus } from "./prometheus_parser.ts";
import { filledMetrics, gauges, nodeStatus } from "./samples.ts";

const permissions = "none";
const info = { version: "1.2.3", startedAt: 1_700_000_000_500 };

function families(metrics = filledMetrics(), about: ProgramInfo = info): Map<string, ParsedFamily> {
  return parsePrometheus(formatPrometheus(metrics, gauges, about));
}

/** The value of the only series that has these labels. */
function value(all: Map<string, ParsedFamily>, name: string, labels: Record<string, string> = {}): number {
  const found = [...all.values()].flatMap(({ samples }) => samples).filter((sample) =>
    sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels.get(key) === value)
  );
  assertEquals(found.length, 1, `${name} ${JSON.stringify(labels)}`);
  return found[0]!.value;
}

Deno.test("counters and gauges are given with their values", { permissions }, () => {
  const all = families();
  const expected: [name: string, value: number][] = [
    ["smp_connections", 11],
    ["smp_handshakes_in_progress", 2],
    ["smp_subscriptions", 13],
    ["smp_windows", 5],
    ["smp_opened_queues", 12],
    ["smp_queues", 14],
    ["smp_messages_waiting", 15],
    ["smp_messages_unacknowledged", 9],
    ["smp_messages_waiting_bytes", 16_000],
    ["smp_signatures_in_progress", 7],
    ["process_resident_memory_bytes", 180 * 1024 * 1024],
    ["smp_held_bytes", 90 * 1024 * 1024],
    ["process_start_time_seconds", 1_700_000_000.5],
    ["smp_connections_accepted_total", 100],
    ["smp_received_bytes_total", 2 ** 40],
    ["smp_messages_accepted_total", 50],
    ["smp_messages_delivered_total", 40],
    ["smp_internal_errors_total", 3],
    ["smp_log_failures_total", 4],
  ];
  for (const [name, number] of expected) assertEquals(value(all, name), number, name);
  assertEquals(value(all, "smp_handshakes_total", { result: "ok" }), 90);
  assertEquals(value(all, "smp_handshakes_total", { result: "failed" }), 5);
  assertEquals(value(all, "smp_build_info", { version: "1.2.3" }), 1);
});

Deno.test(
  "a node of a cluster tells of its partitions, of the logs of its own alone",
  { permissions },
  () => {
    const all = families(filledMetrics(), { ...info, cluster: () => nodeStatus });
    for (
      const [name, labels, expected] of [
        ["smp_cluster_nodes", { state: "live" }, 1],
        ["smp_cluster_nodes", { state: "draining" }, 1],
        ["smp_cluster_nodes", { state: "gone" }, 1],
        ["smp_cluster_lease_held", {}, 1],
        ["smp_cluster_lease_age_seconds", {}, 0.5],
        ["smp_cluster_partition_owned", { partition: "0" }, 1],
        ["smp_cluster_partition_owned", { partition: "1" }, 0],
        ["smp_cluster_partitions_without_owner", {}, 1],
        ["smp_cluster_partitions_unable", {}, 1],
        ["smp_cluster_owner_changes_total", { partition: "0" }, 2],
        ["smp_cluster_owner_changes_total", { partition: "1" }, 1],
        ["smp_cluster_log_batches", {}, 40],
        ["smp_cluster_log_lag_seconds", {}, 0.25],
        ["smp_cluster_log_waiting_bytes", {}, 3_000],
        ["smp_cluster_snapshot_age_seconds", {}, 90],
        ["smp_cluster_forwarded_total", { partition: "1" }, 30],
        ["smp_cluster_pending_commands", { partition: "0" }, 4],
      ] as const
    ) assertEquals(value(all, name, labels), expected, name);
    assertEquals([...families().keys()].filter((name) => name.startsWith("smp_cluster")), []);
  },
);

Deno.test("every counter and gauge of the server is exported", { permissions }, () => {
  const metrics = new Metrics();
  const before = formatPrometheus(metrics, gauges, info);
  for (const [name, count] of Object.entries(metrics)) {
    if (typeof count !== "number") continue;
    const changed = Object.assign(new Metrics(), { [name]: 987_654_321 });
    assert(formatPrometheus(changed, gauges, info).includes(" 987654321\n"), name);
  }
  for (const name of Object.keys(gauges)) {
    assert(formatPrometheus(metrics, { ...gauges, [name]: 987_654_321 }, info) !== before, name);
  }
});

Deno.test("commands are counted by kind and answer", { permissions }, () => {
  const all = families();
  const count = (command: string, answer: string) => value(all, "smp_commands_total", { command, answer });
  assertEquals([count("SEND", "OK"), count("SEND", "AUTH"), count("NEW", "IDS")], [2, 1, 1]);
  assertEquals(count("unknown", "CMD_SYNTAX"), 1);
});

Deno.test("every reason of a refusal is there from the start", { permissions }, () => {
  const refused = families(new Metrics()).get("smp_refused_total")!;
  assertEquals(refused.samples.map(({ labels }) => labels.get("reason")), [...refusals]);
  assert(refused.samples.every(({ value }) => value === 0));
  assertEquals(value(families(), "smp_refused_total", { reason: "quota" }), 1);
});

Deno.test("the buckets of a histogram are cumulative and end with all", { permissions }, () => {
  const { samples } = families().get("smp_delivery_seconds")!;
  const buckets = samples.filter(({ name }) => name.endsWith("_bucket"));
  assertEquals(
    buckets.map(({ labels }) => labels.get("le")),
    [...latencyBuckets.map((bound) => String(bound)), "+Inf"],
  );
  const counts = buckets.map(({ value }) => value);
  assertEquals(counts, [2, 2, 2, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5, 6]);
  assertEquals(samples.slice(-2).map(({ name, value }) => [name, Math.round(value)]), [
    ["smp_delivery_seconds_sum", 107],
    ["smp_delivery_seconds_count", 6],
  ]);
});

Deno.test("names follow the conventions of Prometheus", { permissions }, () => {
  const all = families();
  for (const { name, type, help } of all.values()) {
    assertMatch(name, /^(smp|process)_[a-z]+(_[a-z]+)*$/);
    assertEquals(name.endsWith("_total"), type === "counter", name);
    assert(
      !/(milliseconds|minutes|kilobytes|megabytes|percent|_ms|_kb|_count|_sum|_bucket)/.test(name),
      name,
    );
    if (type === "histogram") assertMatch(name, /_seconds$/);
    if (/bytes/i.test(help)) assertMatch(name, /_bytes(_total)?$|_messages_dropped_total$/);
    assertMatch(help, /^[A-Z].*\.$/);
    // OpenMetrics leaves `_total` out of the name of a family
    if (type === "counter") assert(!all.has(name.replace(/_total$/, "")), name);
  }
});

Deno.test("label values are escaped", { permissions }, () => {
  const version = 'a"b\\c\nd';
  assertEquals(value(families(new Metrics(), { ...info, version }), "smp_build_info", { version }), 1);
});

Deno.test("the same numbers give the same text in whatever order they were counted", { permissions }, () => {
  const [one, two] = [new Metrics(), new Metrics()];
  const counted = [["SUB", "OK"], ["ACK", "ERR NO_MSG"], ["SEND", "OK"]] as const;
  for (const [command, answer] of counted) one.answered(command, answer);
  for (const [command, answer] of counted.toReversed()) two.answered(command, answer);
  for (const reason of ["quota", "idle"] as const) one.refuse(reason);
  for (const reason of ["idle", "quota"] as const) two.refuse(reason);
  assertEquals(formatPrometheus(one, gauges, info), formatPrometheus(two, gauges, info));
});
