/** What other clients notice while one connection sends wrongly signed commands as fast as it can. */
import {
  clientHandshake,
  connectTcp,
  encodeBase64,
  encodeClientTransmission,
  parseAddress,
  SmpClient,
} from "../mod.ts";
import { randomBytes, textBytes } from "../protocol/bytes.ts";
import { startServerProcess } from "./server_process.ts";
import { percentiles, printTable } from "./table.ts";

const measured = 4_000;

/** Prints the table of a PING's time alone and beside a flood, as the event loop is set. */
export async function benchFlood(): Promise<void> {
  const rows: string[][] = [];
  for (const interval of ["61", "1"]) {
    await using server = await startServerProcess({ env: { DENO_TOKIO_EVENT_INTERVAL: interval } });
    for (const flooded of [false, true]) {
      using _flood = flooded ? startFlood(server.address) : null;
      rows.push([
        interval,
        flooded ? "beside a flood" : "alone",
        ...percentiles(await pings(server.address)),
      ]);
    }
  }
  printTable("PING, ms", ["DENO_TOKIO_EVENT_INTERVAL", "client", "p50", "p99"], rows);
}

function startFlood(address: string): Disposable {
  const worker = new Worker(import.meta.url, { type: "module" });
  worker.postMessage(address);
  return { [Symbol.dispose]: () => worker.terminate() };
}

async function pings(address: string): Promise<number[]> {
  await using client = await SmpClient.connect(address);
  const times: number[] = [];
  const start = performance.now();
  while (performance.now() - start < measured) {
    const sent = performance.now();
    await client.ping();
    times.push(performance.now() - sent);
  }
  return times;
}

async function flood(address: string): Promise<void> {
  const { host, port } = parseAddress(address);
  const blocks = await clientHandshake(await connectTcp(host, port!));
  const command = textBytes(`1 ${encodeBase64(randomBytes(12))} SUB`);
  const batch = Array.from({ length: 16 }, () => encodeClientTransmission(randomBytes(256), command));
  blocks.drain();
  for (;;) await blocks.write(batch);
}

if ("DedicatedWorkerGlobalScope" in globalThis) {
  addEventListener("message", (event) => flood((event as globalThis.MessageEvent<string>).data));
}
