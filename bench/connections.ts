import { type Line, openLines } from "../client/cli/line.ts";
import { makeSigner, signed } from "../client/cli/load_queues.ts";
import { cpuTime, memoryOf, noLimits, type ServerProcess, startServerProcess } from "./server_process.ts";
import { printTable, record } from "./table.ts";

const [handshakes, queues, idle] = [1_000, 5_000, 10_000];

/** What a connection and a queue cost the server: CPU time of making them, memory while nothing happens. */
export async function benchConnections(): Promise<void> {
  const rows: string[][] = [];
  for (const [engine, openSsl] of [["node:crypto", false], ["OpenSSL", true]] as const) {
    const [handshake, create] = [await handshakeCost(openSsl), await createCost(openSsl)];
    const bytes = await idleMemory(openSsl);
    record(`connections, ${engine}`, { handshake, create, bytes });
    rows.push([engine, handshake.toFixed(0), create.toFixed(0), (bytes / 1024).toFixed(1)]);
  }
  printTable(
    `${handshakes} handshakes, ${queues} NEW on one connection, ${idle} connections with a subscribed queue each`,
    ["server on", "handshake, CPU µs", "NEW, CPU µs", "idle connection, KiB"],
    rows,
  );
}

/** Microseconds of the server's CPU time for a handshake. */
async function handshakeCost(openSsl: boolean): Promise<number> {
  await using server = await startServerProcess({ openSsl, ini: noLimits });
  await closeAll(await openLines(server.address, 100));
  const before = await cpuTime(server.pid);
  await closeAll(await openLines(server.address, handshakes));
  return (await cpuTime(server.pid) - before) * 1000 / handshakes;
}

/** Microseconds of the server's CPU time for a queue. */
async function createCost(openSsl: boolean): Promise<number> {
  await using server = await startServerProcess({ openSsl, ini: noLimits });
  const [line] = await openLines(server.address, 1);
  const signer = await makeSigner();
  const create = await signed(signer, "", "", { type: "NEW", recipientKey: signer.publicKey });
  await createQueues(line!, create, 500);
  const before = await cpuTime(server.pid);
  await createQueues(line!, create, queues);
  const cost = (await cpuTime(server.pid) - before) * 1000 / queues;
  await line!.close();
  return cost;
}

/** A command that is given again makes another queue. */
function createQueues(line: Line, create: Uint8Array, count: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let answered = 0;
  line.onTransmission = () => {
    if (++answered === count) resolve();
  };
  for (let i = 0; i < count; i++) line.write(create);
  return promise;
}

/** Bytes of the server's memory for a connection that is subscribed to a queue. */
async function idleMemory(openSsl: boolean): Promise<number> {
  await using server = await startServerProcess({ openSsl, ini: noLimits });
  const signer = await makeSigner();
  const create = await signed(signer, "", "", { type: "NEW", recipientKey: signer.publicKey });
  const open = async (count: number) => {
    const lines = await openLines(server.address, count);
    for (const line of lines) await createQueues(line, create, 1);
    return lines;
  };
  const first = await open(100);
  const before = await restingMemory(server);
  const lines = await open(idle);
  const bytes = (await restingMemory(server) - before) / idle;
  await closeAll([...first, ...lines]);
  return bytes;
}

/** The memory of a server after some seconds without work. */
async function restingMemory({ pid }: ServerProcess): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  return (await memoryOf(pid)).resident;
}

async function closeAll(lines: readonly Line[]): Promise<void> {
  await Promise.all(lines.map((line) => line.close()));
}
