import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { duration, size } from "../../../cli/admin/words.ts";
import { milliseconds, statusLines } from "../../../server/admin/report.ts";
import type { CertificateStatus, ServerStatus } from "../../../server/admin/status.ts";
import { topLines } from "../../../server/admin/top.ts";
import { Metrics } from "../../../server/mod.ts";
import { numbersOf } from "../../../server/observe/numbers.ts";

const permissions = "none";

const gauges = {
  connections: 7,
  handshakes: 1,
  subscriptions: 5,
  windows: 0,
  delivered: 2,
  opened: 0,
  queues: 9,
  messages: 3,
  messageBytes: 2_048,
  cryptoInWork: 0,
  memory: 80 * 2 ** 20,
  memoryHeld: 1_000,
};

function statusAfter(messages: number, pid = 1): ServerStatus {
  const metrics = new Metrics();
  metrics.messagesAccepted = messages;
  for (let i = 0; i < messages; i++) metrics.refuse("quota");
  return {
    version: "1.2.3",
    pid,
    uptime: 3_700,
    notReady: null,
    address: "smp.example.org:5223#hash",
    port: 5223,
    webSocketPort: null,
    tlsPort: null,
    certificate: null,
    storeLog: null,
    cryptography: "OpenSSL 3.5.0",
    logLevel: "info",
    ...numbersOf(metrics, gauges),
  };
}

Deno.test("the status has its numbers with units, and only the limits that have refused something", {
  permissions,
}, () => {
  const lines = statusLines(statusAfter(3));
  for (
    const line of [
      "# server",
      "uptime: 1 h 1 min",
      "ready: yes",
      "websockets: none",
      "store log: off",
      "messages: 3 (2.0 KiB)",
      "memory: 80.0 MiB",
      "messages accepted: 3",
      "quota: 3",
    ]
  ) assert(lines.includes(line), `${line} is not in\n${lines.join("\n")}`);
  assert(!lines.some((line) => line.startsWith("connections_per_ip") || line.startsWith("workers")));
  const other = {
    ...statusAfter(0),
    notReady: "memory is short",
    workers: { all: 2, ready: 1, restarts: 1 },
  };
  assert(statusLines(other).includes("ready: no, memory is short"));
  const textOf = (certificate: CertificateStatus) =>
    statusLines({ ...statusAfter(0), certificate }).filter((line) => line.startsWith("TLS "));
  const certificate = {
    validFrom: "2026-01-01T00:00:00.000Z",
    validTo: "2026-04-01T10:00:00.000Z",
    daysLeft: 1,
    problem: null,
  };
  assertEquals(textOf(certificate), ["TLS certificate: 1 day left, until 2026-04-01"]);
  assertEquals(textOf({ ...certificate, daysLeft: -1, problem: "no PEM" }), [
    "TLS certificate: expired on 2026-04-01",
    "TLS files: not used: no PEM",
  ]);
  assertEquals(textOf({ ...certificate, validFrom: "9026-01-01T00:00:00.000Z" }), [
    "TLS certificate: not valid before 9026-01-01",
  ]);
  assert(statusLines(other).includes("workers: 1 of 2 ready, 1 restart"));
  assert(!statusLines(other).some((line) => line.startsWith("# refused")));
});

Deno.test("top shows rates since the last look, and none of another process", { permissions }, () => {
  const screen = { columns: 200, rows: 100 };
  const look = (messages: number, at: number, pid = 1) => ({ status: statusAfter(messages, pid), at });
  const rowOf = (lines: readonly string[], name: string) =>
    lines.find((line) => line.startsWith(`${name} `))!.trim().split(/\s+/).slice(1);
  assertEquals(rowOf(topLines(look(10, 0), null, screen), "messages"), ["3", "-", "10"]);
  const lines = topLines(look(30, 2_000), look(10, 0), screen);
  assertEquals(rowOf(lines, "messages"), ["3", "10/s", "30"]);
  assertEquals(rowOf(lines, "quota"), ["10/s", "30"]);
  assertStringIncludes(lines[0]!, "SMP server 1.2.3  ready  up 1 h 1 min");
  assertEquals(rowOf(topLines(look(30, 2_000, 2), look(10, 0), screen), "messages"), ["3", "-", "30"]);
});

Deno.test("top fits into any terminal", { permissions }, () => {
  const look = { status: statusAfter(1), at: 0 };
  for (const [columns, rows] of [[1, 1], [20, 3], [80, 24], [300, 300]] as const) {
    const lines = topLines(look, null, { columns, rows });
    assert(lines.length <= rows && lines.every((line) => line.length <= columns));
  }
});

Deno.test("times and sizes have a unit of their order", { permissions }, () => {
  assertEquals([0, 59, 60, 3_600, 90_000].map(duration), [
    "0 s",
    "59 s",
    "1 min 0 s",
    "1 h 0 min",
    "1 d 1 h",
  ]);
  assertEquals([0, 1_023, 1_024, 200_000, 5e9].map(size), ["0 B", "1023 B", "1.0 KiB", "195 KiB", "4.7 GiB"]);
  assertEquals([null, 2.5].map(milliseconds), ["none yet", "below 2.5 ms"]);
});
