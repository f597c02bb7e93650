/** What clients of one address notice while another address floods the server. */
import { SmpClient } from "../mod.ts";
import type { Flood } from "./flood_worker.ts";
import { noLimits, startServerProcess } from "./server_process.ts";
import { percentiles, printTable, record } from "./table.ts";

/** Milliseconds before the measurement, in which bursts that limits allow are used up. */
const warmUp = 12_000;
/** Milliseconds. */
const measured = 6_000;
/** Milliseconds between new connections. */
const connectPause = 50;

const floods: readonly (Omit<Flood, "address"> | null)[] = [
  null,
  { kind: "wrong signatures", connections: 1 },
  { kind: "wrong signatures", connections: 100 },
  { kind: "handshakes", connections: 100 },
  { kind: "silent connections", connections: 1_500 },
  { kind: "ACK of an opened queue", connections: 1 },
  { kind: "ACK of an opened queue", connections: 8 },
  { kind: "SUBN 128 of a full queue", connections: 1 },
  { kind: "SUBN 128 of a full queue", connections: 8 },
];

/** Prints the times of others' PINGs and of their new connections, alone and beside floods, with and without limits. */
export async function benchFlood(): Promise<void> {
  const rows: string[][] = [];
  for (const flood of floods) {
    for (const openSsl of [true, false]) {
      for (const isLimited of flood === null ? [true] : [true, false]) {
        await using server = await startServerProcess({ openSsl, ...(isLimited ? {} : { ini: noLimits }) });
        await using client = await SmpClient.connect(server.address);
        using _flood = flood && startFlood({ ...flood, address: server.address });
        await pause(flood === null ? 500 : warmUp);
        const end = performance.now() + measured;
        const [pings, { connects, refused }] = await Promise.all([
          timePings(client, end),
          timeConnects(server.address, end),
        ]);
        const name = flood === null ? "none" : `${flood.kind}, ${flood.connections} connections`;
        const engine = openSsl ? "OpenSSL" : "node:crypto";
        const [[p50, p99], [c50, c99]] = [percentiles(pings), percentiles(connects)];
        record(`flood: ${name}, ${engine}, limits ${isLimited ? "on" : "off"}`, {
          pingP50: Number(p50),
          pingP99: Number(p99),
          connectP50: Number(c50),
          connectP99: Number(c99),
          refused,
        });
        rows.push([name, engine, isLimited ? "on" : "off", p50, p99, c50, c99, String(refused)]);
      }
    }
  }
  const columns = ["flood", "engine", "limits", "PING p50", "p99", "connect p50", "p99", "refused"];
  printTable("others beside a flood from another address, ms", columns, rows);
}

function startFlood(flood: Flood): Disposable {
  const worker = new Worker(new URL("flood_worker.ts", import.meta.url), { type: "module" });
  worker.postMessage(flood);
  return { [Symbol.dispose]: () => worker.terminate() };
}

async function timePings(client: SmpClient, end: number): Promise<number[]> {
  const times: number[] = [];
  while (performance.now() < end) {
    const sent = performance.now();
    await client.ping();
    times.push(performance.now() - sent);
    await pause(1);
  }
  return times;
}

async function timeConnects(
  address: string,
  end: number,
): Promise<{ readonly connects: number[]; readonly refused: number }> {
  const connects: number[] = [];
  let refused = 0;
  while (performance.now() < end) {
    const began = performance.now();
    try {
      const client = await SmpClient.connect(address);
      connects.push(performance.now() - began);
      await client.close();
    } catch {
      refused++;
    }
    await pause(connectPause);
  }
  return { connects, refused };
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
