import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { defaultConfig } from "../../../server/config/config.ts";
import { defaultLimits } from "../../../server/config/limits.ts";
import { Metrics } from "../../../server/observe/metrics.ts";
import { ControlError } from "../../../cli/json.ts";
import { readFromWorker, readToWorker } from "../../../server/workers/messages.ts";
import { writeMetrics } from "../../../server/workers/snapshot.ts";
import { filledMetrics, gauges } from "../observe/samples.ts";

const permissions = "none";

const usage = {
  connections: 3,
  handshakes: 1,
  held: 1.5,
  counts: [["10.0.0.1", 2, 1]],
  poured: [["refused", "2001:db8:0:1::/64", 0.25]],
};

const fromWorker = [
  { type: "ready", port: 5223, webSocketPort: null, tlsPort: null, keyHash: "abc=", engine: "node:crypto" },
  { type: "ready", port: 5223, webSocketPort: 80, tlsPort: 443, keyHash: "abc=", engine: "node:crypto" },
  { type: "sample", id: null, metrics: writeMetrics(filledMetrics()), gauges, notReady: null },
  { type: "sample", id: 7, metrics: writeMetrics(new Metrics()), gauges, notReady: "memory is short" },
  { type: "usage", usage },
  { type: "log", level: "warn", message: "Something", error: null },
  { type: "fatal", message: "Cannot listen" },
  { type: "stopped" },
  { type: "ask", id: 1, worker: 3, digest: 2 ** 53 - 1 },
  { type: "answer", id: 1, isNew: true },
];

const toWorker = [
  {
    type: "start",
    worker: 0,
    workers: 2,
    incarnation: 1,
    settings: defaultConfig({ configDir: "c", logDir: "l" }),
    repair: false,
    key: "PEM",
    certificate: { cert: "CERT", key: "KEY" },
    sockets: "/run/x",
    partitions: 4,
    files: { storeLog: "s", messagesFile: "m", aliases: null },
  },
  { type: "peer", worker: 1, incarnation: 2, isUp: true },
  { type: "limits", limits: defaultLimits },
  { type: "log-level", level: "debug" },
  { type: "certificate", certificate: { cert: "CERT", key: "KEY" } },
  { type: "sample", id: 1 },
  { type: "others", usage },
  { type: "ask", id: 1, digest: 5 },
  { type: "answer", id: 1, isNew: false },
  { type: "stop", deadline: 10_000 },
  { type: "end" },
];

/** As it comes over the channel. */
function sent(message: unknown): unknown {
  return JSON.parse(JSON.stringify(message));
}

Deno.test("every message is read as it was sent", { permissions }, () => {
  for (const message of fromWorker) {
    const read = readFromWorker(sent(message));
    const again = read.type === "sample" ? { ...read, metrics: writeMetrics(read.metrics) } : read;
    assertEquals(again as unknown, message);
  }
  for (const message of toWorker) assertEquals(readToWorker(sent(message)) as unknown, message);
});

Deno.test("a message that lacks something or has something else there is refused", { permissions }, () => {
  for (const [read, messages] of [[readFromWorker, fromWorker], [readToWorker, toWorker]] as const) {
    for (const message of messages) {
      for (const name of Object.keys(message)) {
        const { [name]: _, ...less } = sent(message) as Record<string, unknown>;
        assertThrows(() => read(less), ControlError);
        assertThrows(() => read({ ...less, [name]: { odd: [] } }), ControlError);
      }
    }
  }
});

Deno.test("whatever JSON comes is read or refused with the one error", { permissions }, () => {
  const refusedOrRead = (read: (value: unknown) => unknown, value: unknown) => {
    try {
      read(value);
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
    }
  };
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    refusedOrRead(readFromWorker, value);
    refusedOrRead(readToWorker, value);
  }));
  const anywhere = fc.constantFrom(...fromWorker).chain((message) =>
    fc.tuple(fc.constant(message), fc.constantFrom(...Object.keys(message)), fc.jsonValue())
  );
  fc.assert(fc.property(anywhere, ([message, name, value]) => {
    refusedOrRead(readFromWorker, { ...sent(message) as object, [name]: value });
  }));
});

Deno.test("lists and texts that are too long are refused", { permissions }, () => {
  const counts = new Array(4097).fill(["10.0.0.1", 1, 1]);
  assertThrows(() => readFromWorker({ type: "usage", usage: { ...usage, counts } }), ControlError);
  const level = "info", error = null;
  assertThrows(
    () => readFromWorker({ type: "log", level, error, message: "x".repeat(10_001) }),
    ControlError,
  );
  assertThrows(() => readFromWorker({ type: "usage", usage: { ...usage, held: -1 } }), ControlError);
});
