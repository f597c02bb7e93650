import { Agent, type KeySource, type StoredKeyPair } from "../agent/mod.ts";
import { SqliteStore } from "../agent/store/sqlite.ts";
import { exportPrivateKey, generateKeyPair } from "../mod.ts";
import { measureOn } from "./cycle.ts";
import { plot, type Series } from "./plot.ts";
import { writeLogs } from "./restart.ts";
import { memoryOf, noLimits, type ServerProcess, startServerProcess } from "./server_process.ts";
import { printTable, record } from "./table.ts";

const folder = new URL("../docs/performance/", import.meta.url);
const time = { warmUp: 3_000, measured: 6_000 };
const mebibyte = 2 ** 20;

/** How cost grows with connections, queues, and an agent's connections: tables, and plots in `docs/performance`. */
export async function benchGrowth(): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await byConnections();
  await byQueues();
  await bySubscriptions();
}

/** Half of the connections send, half receive, each pair one message at a time. */
async function byConnections(): Promise<void> {
  const figures: [connections: number, perSecond: number, memory: number][] = [];
  for (const connections of [10, 100, 1_000, 10_000]) {
    await using server = await startServerProcess({ openSsl: true, ini: noLimits });
    const half = connections / 2;
    const load = { pairs: half, connections: half, depth: 1, ...time };
    figures.push([connections, (await measureOn(server, load)).perSecond, await mebibytes(server)]);
  }
  await show("connections", "connections, half of them senders", figures);
}

/** 50 pairs are busy, the other queues are not. */
async function byQueues(): Promise<void> {
  const figures: [queues: number, perSecond: number, memory: number][] = [];
  for (const queues of [1_000, 10_000, 100_000, 1_000_000]) {
    const files = await Deno.makeTempDir();
    try {
      await (await startServerProcess({ folder: files }))[Symbol.asyncDispose]();
      await writeLogs(files, { queues, deleted: 0, messages: 0 });
      const ini = `[STORE_LOG]\nenable: on\n${noLimits}`;
      await using server = await startServerProcess({ folder: files, openSsl: true, ini });
      const load = { pairs: 50, connections: 10, depth: 2, ...time };
      figures.push([queues, (await measureOn(server, load)).perSecond, await mebibytes(server)]);
    } finally {
      await Deno.remove(files, { recursive: true });
    }
  }
  await show("queues", "queues, 50 of them busy", figures);
}

async function show(
  name: string,
  what: string,
  figures: readonly (readonly [number, number, number])[],
): Promise<void> {
  for (const [count, perSecond, memory] of figures) record(`growth: ${count} ${what}`, { perSecond, memory });
  printTable(
    `growth with ${name}`,
    [what, "cycles/s", "memory MiB"],
    figures.map(([count, perSecond, memory]) => [`${count}`, perSecond.toFixed(0), memory.toFixed(0)]),
  );
  await draw(name, `Growth with ${name}`, { x: what, y: "cycles/s, MiB" }, [
    { name: "cycles/s", points: figures.map(([count, perSecond]) => [count, perSecond]) },
    { name: "memory, MiB", points: figures.map(([count, , memory]) => [count, memory]) },
  ]);
}

/** An agent that starts with so many connections, all on one server. */
async function bySubscriptions(): Promise<void> {
  const files = await Deno.makeTempDir();
  const points: [number, number][] = [];
  try {
    await using server = await startServerProcess({ openSsl: true, ini: noLimits });
    const keyPool = await oneKey();
    for (const connections of [10, 100, 1_000, 10_000]) {
      const path = `${files}/${connections}.db`;
      const start = async () =>
        await Agent.start({ servers: [server.address], store: await SqliteStore.open(path), keyPool });
      {
        await using agent = await start();
        for (let i = 0; i < connections; i += 100) {
          const some = Math.min(100, connections - i);
          await Promise.all(Array.from({ length: some }, () => agent.create()));
        }
      }
      await using agent = await start();
      const began = performance.now();
      const subscribed = await agent.subscribeAll();
      if (subscribed.length !== connections) throw new Error(`${subscribed.length} subscriptions`);
      points.push([connections, performance.now() - began]);
    }
  } finally {
    await Deno.remove(files, { recursive: true });
  }
  for (const [connections, milliseconds] of points) record(`subscribe all: ${connections}`, { milliseconds });
  printTable(
    "an agent subscribes to all its connections",
    ["connections", "ms", "ms each"],
    points.map(([count, ms]) => [`${count}`, ms.toFixed(0), (ms / count).toFixed(2)]),
  );
  await draw("subscriptions", "An agent subscribes to all its connections", { x: "connections", y: "ms" }, [
    { name: "all", points },
    { name: "each", points: points.map(([count, ms]) => [count, ms / count]) },
  ]);
}

/** Gives one key again and again: making them is not what is measured. */
async function oneKey(): Promise<KeySource> {
  const { publicKey, privateKey } = await generateKeyPair("sign");
  const pair: StoredKeyPair = { publicKey: publicKey.der, privateKey: await exportPrivateKey(privateKey) };
  return {
    take: () => Promise.resolve({ publicKey: pair.publicKey.slice(), privateKey: pair.privateKey.slice() }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function mebibytes({ pid }: ServerProcess): Promise<number> {
  return (await memoryOf(pid)).resident / mebibyte;
}

async function draw(
  name: string,
  title: string,
  axes: { readonly x: string; readonly y: string },
  series: readonly Series[],
): Promise<void> {
  await Deno.writeTextFile(new URL(`${name}.svg`, folder), plot(title, axes, series));
}
