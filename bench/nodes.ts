/** What a cluster of three nodes over three NATS servers makes of a load, all on this machine. */
// deno-lint-ignore-file no-console
import { Nats, natsLack } from "../tests/support/nats.ts";
import {
  benchVariants,
  type Deployment,
  many,
  one,
  oneProcess,
  type Running,
  type Variant,
} from "./cluster.ts";
import { noLimits, startServerProcess } from "./server_process.ts";

const count = 3;
/** A node has a part of the load, and takes as much longer until what it does often is compiled. */
const warmUp = 15_000;

const nodes: Deployment = {
  name: "3 nodes",
  homes: count,
  start: (openSsl) => startNodes(count, { openSsl }),
};

/** Nodes whose engine's processes are told apart. */
export interface RunningNodes extends Running {
  readonly enginePids: readonly number[];
}

/** Starts nodes over three NATS servers. */
export async function startNodes(
  count: number,
  { openSsl, partitions = 8 }: { readonly openSsl: boolean; readonly partitions?: number },
): Promise<RunningNodes> {
  await using resources = new AsyncDisposableStack();
  const nats = resources.use(await Nats.start({ servers: 3 }));
  const folder = await Deno.makeTempDir();
  resources.defer(() => Deno.remove(folder, { recursive: true }));
  const addresses: string[] = [];
  const enginePids = nats.servers.map(({ pid }) => pid!);
  const pids = [...enginePids];
  const ini = `${noLimits}[CLUSTER]\npartitions: ${partitions}\n`;
  for (let i = 0; i < count; i++) {
    const files = `${folder}/${i}`;
    await Deno.mkdir(files);
    // All have the key that the first one has made.
    if (i > 0) await Deno.copyFile(`${folder}/0/server_key`, `${files}/server_key`);
    const urls = [...nats.urls.slice(i), ...nats.urls.slice(0, i)].join();
    const args = ["--cluster", urls, "--node", `node-${i + 1}`];
    const node = resources.use(await startServerProcess({ openSsl, folder: files, ini, args }));
    addresses.push(node.address);
    pids.push(node.pid);
  }
  const kept = resources.move();
  return { addresses, pids, enginePids, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

const loaded: readonly Variant[] = [
  { name: "one process", deployment: oneProcess, load: { ...many, forwarded: "none" }, warmUp },
  { name: "3 nodes, nothing forwarded", deployment: nodes, load: { ...many, forwarded: "none" }, warmUp },
  { name: "3 nodes, half forwarded", deployment: nodes, load: { ...many, forwarded: "half" }, warmUp },
];
const crowd: readonly Variant[] = [oneProcess, nodes].map((deployment) => ({
  name: deployment.name,
  deployment,
  load: { ...many, pairs: 500, connections: 30, forwarded: deployment === nodes ? "half" : "none" },
  warmUp,
}));
const alone: readonly Variant[] = [
  { name: "one process", deployment: oneProcess, load: { ...one, forwarded: "none" } },
  { name: "3 nodes, at the queue's", deployment: nodes, load: { ...one, forwarded: "none" } },
  { name: "3 nodes, at another", deployment: nodes, load: { ...one, forwarded: "all" } },
];

/** Prints the tables, and how the figures compare with the targets. */
export async function benchNodes(): Promise<void> {
  if (natsLack !== null) return console.log(`\nnodes: ${natsLack}`);
  const with50 = await benchVariants("50 pairs, depth 2", loaded, { engine: "OpenSSL", openSsl: true });
  const with500 = await benchVariants("500 pairs, depth 2", crowd, { engine: "OpenSSL", openSsl: true });
  const single = await benchVariants("one pair, depth 1", alone, { engine: "OpenSSL", openSsl: true });
  const [half, large, across] = [with50[2]!, with500[1]!, single[2]!];
  console.log(`
3 nodes and 3 NATS servers, half forwarded: ${half.perSecond.toFixed(0)} cycles/s (at least 1200), \
${(half.cpu / 1000).toFixed(2)} ms of CPU each (at most 1.3), with 500 pairs ${
    (large.cpu / 1000).toFixed(2)
  } ms (at most 0.8)
one pair at another node: ${across.p50.toFixed(1)} / ${across.p99.toFixed(1)} ms (at most 8 / 30)`);
}
