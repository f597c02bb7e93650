/** How many SEND, MSG, ACK cycles a server makes, what they cost it, and how long they take. */
import type { LoadResult } from "../client/cli/load.ts";
import type { LoadProcessOptions } from "./load_process.ts";
import {
  cpuTime,
  ffiPermission,
  noLimits,
  type ServerProcess,
  startServerProcess,
} from "./server_process.ts";
import { printTable, record } from "./table.ts";

const [warmUp, measured] = [3_000, 8_000];

/** A load and what it has cost the server. */
export interface Measured extends LoadResult {
  readonly perSecond: number;
  /** Microseconds of the server's CPU time for a cycle. */
  readonly cpu: number;
  /** Processors that the server has kept busy. */
  readonly busy: number;
}

/** Prints the tables of cycles. */
export async function benchCycles(): Promise<void> {
  await benchLoads("node:crypto", false);
  await benchLoads("OpenSSL", true);
}

async function benchLoads(engine: string, openSsl: boolean): Promise<void> {
  const loads = [
    ["1 pair, depth 1", { pairs: 1, connections: 1, depth: 1 }],
    ["1 pair, depth 8", { pairs: 1, connections: 1, depth: 8 }],
    ["50 pairs, depth 2, 10 + 10 connections", { pairs: 50, connections: 10, depth: 2 }],
    ["50 pairs, depth 2, 50 + 50 connections", { pairs: 50, connections: 50, depth: 2 }],
    ["500 pairs, depth 2, 100 + 100 connections", { pairs: 500, connections: 100, depth: 2 }],
  ] as const;
  const rows: string[][] = [];
  let highest = 0;
  const add = (name: string, { perSecond, cpu, busy, p50, p99 }: Measured) => {
    record(`cycle, ${engine}: ${name}`, { perSecond, cpu, busy, p50, p99 });
    rows.push([name, perSecond.toFixed(0), cpu.toFixed(0), busy.toFixed(2), p50.toFixed(2), p99.toFixed(2)]);
  };
  for (const [name, load] of loads) {
    const result = await measure({ ...load, warmUp, measured }, openSsl);
    if (load.pairs === 50) highest = Math.max(highest, result.perSecond);
    add(name, result);
  }
  const half = { pairs: 50, connections: 10, depth: 1, rate: highest / 2, warmUp, measured };
  add("50 pairs at half of the highest rate", await measure(half, openSsl));
  printTable(
    `signed SEND → OK, MSG → signed ACK → OK; the server on ${engine}; 2048-bit keys, 3600 bytes, TCP; load signed beforehand in another process`,
    ["load", "cycles/s", "CPU µs/cycle", "CPUs busy", "p50 ms", "p99 ms"],
    rows,
  );
}

/** What peers with large exponents get, and what others get meanwhile. */
export async function benchLargeExponents(): Promise<void> {
  const rows: string[][] = [];
  for (const [engine, openSsl] of [["node:crypto", false], ["OpenSSL", true]] as const) {
    await using server = await startLoadedServer(openSsl);
    const large = { pairs: 10, connections: 10, depth: 2, largeExponent: true, warmUp, measured };
    const small = { pairs: 50, connections: 10, depth: 1, rate: 500, warmUp, measured };
    const alone = await measureOn(server, small);
    const [peers, others] = await Promise.all([measureOn(server, large), measureOn(server, small)]);
    const loads = [
      ["500/s with small exponents, alone", alone],
      ["10 pairs with 1024-bit exponents, depth 2", peers],
      ["500/s with small exponents beside them", others],
    ] as const;
    for (const [name, { perSecond, p50, p99 }] of loads) {
      record(`large exponents, ${engine}: ${name}`, { perSecond, p50, p99 });
      rows.push([`${engine}: ${name}`, perSecond.toFixed(0), p50.toFixed(2), p99.toFixed(2)]);
    }
  }
  printTable("peers whose keys have 1024-bit exponents", ["load", "cycles/s", "p50 ms", "p99 ms"], rows);
}

function startLoadedServer(openSsl: boolean): Promise<ServerProcess> {
  return startServerProcess({
    openSsl,
    ini: noLimits,
  });
}

/** Puts a load on a new server. */
async function measure(load: LoadProcessOptions, openSsl: boolean): Promise<Measured> {
  await using server = await startLoadedServer(openSsl);
  return await measureOn(server, load);
}

/** Puts a load on a server. */
export function measureOn(
  server: Pick<ServerProcess, "address" | "pid">,
  load: LoadProcessOptions,
): Promise<Measured> {
  const args = [server.address, JSON.stringify(load)];
  return measureWith("load_process.ts", args, () => cpuTime(server.pid));
}

/** Puts the load of a script on what has used so much CPU time. */
export async function measureWith(
  script: string,
  args: readonly string[],
  cpu: () => Promise<number>,
): Promise<Measured> {
  const path = new URL(script, import.meta.url).pathname;
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-net=127.0.0.1", ffiPermission, path, ...args],
    stdout: "piped",
  }).spawn();
  let [before, after, text] = [0, 0, ""];
  for await (const part of process.stdout.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (before === 0 && text.includes("ready")) before = await cpu();
    if (after === 0 && text.includes("measured")) after = await cpu();
  }
  await process.status;
  const result: LoadResult = JSON.parse(text.trim().split("\n").at(-1)!);
  const { cycles, milliseconds } = result;
  const perSecond = cycles / milliseconds * 1000;
  return {
    ...result,
    perSecond,
    cpu: (after - before) * 1000 / cycles,
    busy: (after - before) / milliseconds,
  };
}
