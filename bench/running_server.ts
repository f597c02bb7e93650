/**
 * What a message costs a server that is running, this one or another: `bench/running_server.ts ADDRESS PID`, with the
 * load of `deno task bench cycle`. Its limits must let it through.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { measureOn } from "./cycle.ts";
import { printTable } from "./table.ts";

const [address, pid] = [Deno.args[0], Number(Deno.args[1])];
if (address === undefined || !Number.isInteger(pid) || pid < 1) {
  console.error("usage: bench/running_server.ts ADDRESS PID");
  Deno.exit(2);
}
const loads = [
  ["1 pair, depth 1", { pairs: 1, connections: 1, depth: 1 }],
  ["50 pairs, depth 2, 10 + 10 connections", { pairs: 50, connections: 10, depth: 2 }],
] as const;
const rows: string[][] = [];
for (const [name, load] of loads) {
  const { perSecond, cpu, busy, p50, p99 } = await measureOn(
    { address, pid },
    { ...load, warmUp: 3_000, measured: 8_000 },
  );
  rows.push([
    name,
    ...[perSecond, cpu].map((n) => n.toFixed(0)),
    ...[busy, p50, p99].map((n) => n.toFixed(2)),
  ]);
}
printTable(
  `${address}: signed SEND → OK, MSG → signed ACK → OK; 2048-bit keys, 3600 bytes, TCP`,
  ["load", "cycles/s", "CPU µs/cycle", "CPUs busy", "p50 ms", "p99 ms"],
  rows,
);
