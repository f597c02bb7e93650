/** What the server extensions save: the same load as of 0.3 and with them, and what each costs by itself. */
import { type Line, openLines } from "../client/cli/line.ts";
import type { LoadOptions } from "../client/cli/load.ts";
import { defaultBlockSize } from "../protocol/mod.ts";
import { type Measured, measureOn } from "./cycle.ts";
import { cpuTime, noLimits, startServerProcess } from "./server_process.ts";
import { printTable, record } from "./table.ts";

const [warmUp, measured] = [1_500, 4_000];
const engines = [["node:crypto", false], ["OpenSSL", true]] as const;
const rekeys = 300;

type Load = Omit<LoadOptions, "warmUp" | "measured">;

const pairs = { pairs: 50, connections: 10 };
const opened = { open: true, window: 32, depth: 32 };
const large = { blockSize: 65_536, window: 64, depth: 64 };

const messageLoads: readonly (readonly [name: string, load: Load])[] = [
  ["50 pairs, 0.3", { ...pairs, depth: 2 }],
  ["50 pairs, 0.3, depth 32", { ...pairs, depth: 32 }],
  ["50 pairs, opened", { ...pairs, depth: 32, open: true }],
  ["50 pairs, opened, window 32", { ...pairs, ...opened }],
];

const bulkLoads: readonly (readonly [name: string, load: Load])[] = [
  ["one queue, 0.3", { pairs: 1, connections: 1, depth: 64 }],
  ["one queue, opened, window 64", { pairs: 1, connections: 1, depth: 64, window: 64, open: true }],
  ["one queue, opened, window 64, blocks of 64 KiB", { pairs: 1, connections: 1, open: true, ...large }],
];

/** Prints the tables of the extensions. */
export async function benchExtensions(): Promise<void> {
  await benchMessages();
  await benchBulk();
  await benchSessions();
}

async function benchMessages(): Promise<void> {
  const rows: string[][] = [];
  for (const [engine, openSsl] of engines) {
    for (const [name, load] of messageLoads) {
      const result = await measure(load, openSsl);
      const { perSecond, cpu, busy, p50, p99 } = result;
      record(`extensions, ${engine}: ${name}`, { perSecond, cpu, busy, p50, p99 });
      const figures = [perSecond.toFixed(0), cpu.toFixed(0), busy.toFixed(2), p50.toFixed(1), p99.toFixed(1)];
      rows.push([`${engine}: ${name}`, ...figures]);
    }
  }
  printTable(
    "SEND → OK, MSG and its share of ACK or ACKM; bodies of 3600 bytes, 10 + 10 connections; p50 and p99 to the answer of ACK, with a window to MSG",
    ["load", "messages/s", "CPU µs/message", "CPUs busy", "p50 ms", "p99 ms"],
    rows,
  );
}

/** A body comes in and goes out; the blocks are more, as each answer is one. */
async function benchBulk(): Promise<void> {
  const rows: string[][] = [];
  for (const [engine, openSsl] of engines) {
    for (const [name, load] of bulkLoads) {
      const { perSecond, cpu, busy, bodyLength } = await measure(load, openSsl);
      const bodies = 2 * bodyLength;
      // SEND, OK, MSG, and for one message or half a window of them an acknowledgement and its OK.
      const blocks = (3 + 2 / Math.ceil((load.window ?? 1) / 2)) * (load.blockSize ?? defaultBlockSize);
      const figures = { bodiesPerCpu: bodies / cpu, blocksPerCpu: blocks / cpu };
      const wire = blocks * perSecond / 1e6;
      record(`extensions, ${engine}: bulk, ${name}`, { perSecond, cpu, busy, ...figures, wire });
      const megabytes = [...Object.values(figures), wire].map((number) => number.toFixed(0));
      rows.push([`${engine}: ${name}`, perSecond.toFixed(0), cpu.toFixed(0), busy.toFixed(2), ...megabytes]);
    }
  }
  printTable(
    "bulk over two connections, in + out: MB of bodies and of blocks for a second of the server's CPU time, and MB of blocks a second",
    ["load", "messages/s", "CPU µs/message", "CPUs busy", "bodies/CPU s", "blocks/CPU s", "on the wire/s"],
    rows,
  );
}

async function benchSessions(): Promise<void> {
  const rows: string[][] = [];
  for (const [engine, openSsl] of engines) {
    const [handshake, secret] = [await sessionCost(openSsl, false), await sessionCost(openSsl, true)];
    record(`extensions, ${engine}: sessions`, { handshake, rekey: secret - handshake });
    rows.push([engine, handshake.toFixed(0), (secret - handshake).toFixed(0)]);
  }
  printTable(
    `${rekeys} handshakes without and with REKEY`,
    ["server on", "handshake, CPU µs", "REKEY, CPU µs"],
    rows,
  );
  const bytes = await openedMemory();
  record("extensions: opened, windowed subscription", { bytes });
  printTable("an idle connection with a subscribed queue", ["", "bytes"], [
    ["opened and with a window: objects beyond one without", bytes.toFixed(0)],
  ]);
}

async function measure(load: Load, openSsl: boolean): Promise<Measured> {
  await using server = await startServerProcess({ openSsl, ini: noLimits });
  return await measureOn(server, { ...load, warmUp, measured });
}

/** Microseconds of the server's CPU time for the beginning of a session. */
async function sessionCost(openSsl: boolean, rekey: boolean): Promise<number> {
  await using server = await startServerProcess({ openSsl, ini: noLimits });
  await closeAll(await openLines(server.address, 100, { rekey }));
  const before = await cpuTime(server.pid);
  await closeAll(await openLines(server.address, rekeys, { rekey }));
  return (await cpuTime(server.pid) - before) * 1000 / rekeys;
}

/** Bytes that an opened queue with a window takes beyond a subscribed one. */
async function openedMemory(): Promise<number> {
  const script = new URL("opened_memory.ts", import.meta.url).pathname;
  const args = [
    "run",
    "--quiet",
    "--v8-flags=--expose-gc",
    "--allow-net=127.0.0.1",
    "--allow-env=WS_NO_BUFFER_UTIL,WS_NO_UTF_8_VALIDATE",
    script,
  ];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args, stderr: "inherit" }).output();
  return Number(new TextDecoder().decode(stdout));
}

async function closeAll(lines: readonly Line[]): Promise<void> {
  await Promise.all(lines.map((line) => line.close()));
}
