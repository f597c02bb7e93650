/** What a cluster costs that has nothing to do, and what 10, 100 and 1 000 nodes would carry by that: a calculation. */
// deno-lint-ignore-file no-console
import { SmpClient } from "../client/mod.ts";
import { generateKeyPair } from "../protocol/mod.ts";
import { partitionOf } from "../server/broker/partition.ts";
import { Nats, natsLack } from "../tests/support/nats.ts";
import { many } from "./cluster.ts";
import type { ClusterLoadOptions } from "./cluster_load.ts";
import { measureWith } from "./cycle.ts";
import { startNodes } from "./nodes.ts";
import { cpuTime } from "./server_process.ts";
import { printTable, record } from "./table.ts";

const settling = 4_000;
const measured = 10_000;
/** Cores of each machine with a node, as here. */
const cores = 2;

/** Milliseconds of CPU a second, of one node and of all NATS servers. */
interface Idle {
  readonly node: number;
  readonly engine: number;
}

/** What a calculation goes by. Milliseconds of CPU, a second unless it says otherwise. */
interface Units {
  /** Of a node in the smallest cluster, for each further node, and for each further partition. */
  readonly node: { readonly base: number; readonly node: number; readonly partition: number };
  /** Of all NATS servers together, and for each message that one delivers. */
  readonly engine: {
    readonly base: number;
    readonly node: number;
    readonly partition: number;
    readonly delivery: number;
  };
  /** For a cycle. */
  readonly cycle: { readonly node: number; readonly engine: number };
}

const least = { nodes: 3, partitions: 8 };
const [moreNodes, morePartitions] = [9, 64];
const mostPartitions = 256;

/** Prints what was measured and what follows. */
export async function benchScale(): Promise<void> {
  if (natsLack !== null) return console.log(`\nscale: ${natsLack}`);
  const small = await measureIdle(least.nodes, least.partitions);
  const cut = await measureIdle(least.nodes, morePartitions);
  const large = await measureIdle(moreNodes, morePartitions);
  const delivery = await measureDelivery();
  const cycle = await measureCycle();
  printTable("an idle cluster, each node linked with each; ms of CPU a second", [
    "nodes, partitions",
    "one node",
    "three NATS servers",
  ], [
    idleRow(least.nodes, least.partitions, small),
    idleRow(least.nodes, morePartitions, cut),
    idleRow(moreNodes, morePartitions, large),
  ]);
  console.log(`
a message that NATS delivers: ${(1000 * delivery).toFixed(2)} µs of its CPU
a cycle, 500 pairs, all forwarded: ${cycle.node.toFixed(2)} ms of the nodes' CPU, ${
    cycle.engine.toFixed(2)
  } ms of NATS'`);
  const a = (of: keyof Idle) => ({
    base: small[of],
    node: Math.max(0, large[of] - cut[of]) / (moreNodes - least.nodes),
    partition: Math.max(0, cut[of] - small[of]) / (morePartitions - least.partitions),
  });
  const units: Units = { node: a("node"), engine: { ...a("engine"), delivery }, cycle };
  printTable(
    `calculated: nodes with ${cores} cores each, queues anywhere, batches as with 500 pairs on three nodes`,
    ["nodes", "partitions", "cycles/s of the nodes", "cores of NATS for that", "idle", "deliveries/s, idle"],
    [3, 10, 100, 1000].map((nodes) => scaled(nodes, units)),
  );
}

function idleRow(nodes: number, partitions: number, { node, engine }: Idle): string[] {
  record(`scale, idle: ${nodes} nodes, ${partitions} partitions`, { node, engine });
  return [`${nodes}, ${partitions}`, node.toFixed(1), engine.toFixed(0)];
}

function scaled(nodes: number, { node, engine, cycle }: Units): string[] {
  // Two for each node, that one more or less makes no node twice as busy as another.
  const partitions = Math.min(
    mostPartitions,
    Math.max(least.partitions, 2 ** Math.ceil(Math.log2(2 * nodes))),
  );
  const [furtherNodes, furtherPartitions] = [nodes - least.nodes, partitions - least.partitions];
  const idleNode = node.base + node.node * furtherNodes + node.partition * furtherPartitions;
  const perSecond = nodes * Math.max(0, 1000 * cores - idleNode) / cycle.node;
  // Each renewal goes to all nodes; both ends of a stream say twice a second that they live.
  const deliveries = nodes ** 2 + 4 * nodes * partitions;
  const idleEngine = engine.base + engine.node * furtherNodes + engine.partition * furtherPartitions +
    engine.delivery * deliveries;
  const engineCores = (idleEngine + perSecond * cycle.engine) / 1000;
  record(`scale, calculated: ${nodes} nodes`, {
    perSecond,
    engineCores,
    idle: idleEngine / 1000,
    deliveries,
  });
  return [
    `${nodes}`,
    `${partitions}`,
    perSecond.toFixed(0),
    engineCores.toFixed(1),
    (idleEngine / 1000).toFixed(2),
    `${deliveries}`,
  ];
}

async function measureIdle(count: number, partitions: number): Promise<Idle> {
  await using nodes = await startNodes(count, { openSsl: true, partitions });
  await wait(settling);
  await using _links = await linkAll(nodes.addresses, partitions);
  await wait(settling);
  const own = nodes.pids.filter((pid) => !nodes.enginePids.includes(pid));
  const before = [await cpuOf(own), await cpuOf(nodes.enginePids)] as const;
  const began = performance.now();
  await wait(measured);
  const seconds = (performance.now() - began) / 1000;
  return {
    node: (await cpuOf(own) - before[0]) / seconds / count,
    engine: (await cpuOf(nodes.enginePids) - before[1]) / seconds,
  };
}

/** Sends a message through each node to a queue of each partition. */
async function linkAll(addresses: readonly string[], partitions: number): Promise<AsyncDisposable> {
  await using resources = new AsyncDisposableStack();
  const clients: SmpClient[] = [];
  for (const address of addresses) clients.push(resources.use(await SmpClient.connect(address)));
  const keyPair = await generateKeyPair("sign");
  const queues = new Map<number, string>();
  for (let i = 0; queues.size < partitions; i++) {
    const { recipientId, senderId } = await clients[i % clients.length]!.createQueue({ keyPair });
    queues.set(partitionOf(recipientId, partitions), senderId);
  }
  for (const client of clients) {
    for (const senderId of queues.values()) await client.send({ senderId }, new Uint8Array(1));
  }
  return resources.move();
}

async function measureDelivery(): Promise<number> {
  const [subscribers, messages] = [50, 20_000];
  await using nats = await Nats.start({ servers: 1 });
  const connection = await nats.connect();
  let delivered = 0;
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const callback = () => {
    if (++delivered === subscribers * messages) resolve();
  };
  for (let i = 0; i < subscribers; i++) connection.subscribe("lease", { callback });
  await connection.flush();
  const pids = nats.servers.map(({ pid }) => pid!);
  const before = await cpuOf(pids);
  const lease = new Uint8Array(200);
  for (let i = 0; i < messages; i++) {
    connection.publish("lease", lease);
    if (i % 100 === 0) await connection.flush();
  }
  await done;
  const cpu = await cpuOf(pids) - before;
  await connection.close();
  return cpu / delivered;
}

async function measureCycle(): Promise<Units["cycle"]> {
  await using nodes = await startNodes(least.nodes, { openSsl: true });
  const engine: number[] = [];
  const cpu = async () => {
    engine.push(await cpuOf(nodes.enginePids));
    return await cpuOf(nodes.pids);
  };
  const options: ClusterLoadOptions = {
    ...many,
    pairs: 500,
    connections: 30,
    forwarded: "all",
    homes: least.nodes,
    warmUp: settling,
    measured,
  };
  const args = [JSON.stringify(nodes.addresses), JSON.stringify(options)];
  const result = await measureWith("cluster_load.ts", args, cpu);
  const ofEngine = (engine[1]! - engine[0]!) / result.cycles;
  return { engine: ofEngine, node: result.cpu / 1000 - ofEngine };
}

async function cpuOf(pids: readonly number[]): Promise<number> {
  return (await Promise.all(pids.map(cpuTime))).reduce((sum, time) => sum + time, 0);
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
