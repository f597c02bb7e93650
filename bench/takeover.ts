/** How long a cluster with many queues takes to start, and to go on when a node or a NATS server dies. */
// deno-lint-ignore-file no-console
import { decodePublicKey, generateKeyPair, SmpClient, SmpError } from "../mod.ts";
import { randomBytes } from "../protocol/mod.ts";
import { randomIds } from "../server/broker/partition.ts";
import { openBucket } from "../server/cluster/bucket.ts";
import { ClusterStreams } from "../server/cluster/cluster_streams.ts";
import type { NodeStatus } from "../server/cluster/node_status.ts";
import { PartitionLog } from "../server/cluster/partition_log.ts";
import type { LogRecord } from "../server/cluster/records.ts";
import { Nats, natsLack } from "../tests/support/nats.ts";
import { memoryOf, noLimits, type ServerProcess, startServerProcess } from "./server_process.ts";
import { printTable, record } from "./table.ts";

const [nodes, partitions] = [3, 8];
const cluster = "smp";
const mebibyte = 2 ** 20;
const recordsAtOnce = 500;
/** Milliseconds after which a cluster that does not serve is given up. */
const patience = 600_000;
/** Milliseconds that senders go on after all serve again. */
const afterwards = 3_000;

/** Prints the table, for each number of queues. */
export async function benchTakeover(): Promise<void> {
  if (natsLack !== null) return console.log(`\ntakeover: ${natsLack}`);
  const rows: string[][] = [];
  for (const queues of [100_000, 1_000_000]) {
    const { loaded, memory, taken, nodeGap, heir, natsGap } = await measure(queues);
    record(`takeover: ${queues} queues`, {
      loaded,
      taken,
      nodeGap,
      natsGap,
      heir,
      memory: Math.max(...memory),
    });
    rows.push([
      `${queues}`,
      seconds(loaded),
      memory.map((bytes) => `${Math.round(bytes / mebibyte)}`).join(", "),
      seconds(taken),
      seconds(nodeGap),
      `${Math.round(heir / mebibyte)}`,
      seconds(natsGap),
    ]);
  }
  printTable(
    `${nodes} nodes over 3 NATS servers, ${partitions} partitions, queues with two keys of 2048 bits; then a node is ` +
      "killed, and a NATS server; gaps are the longest that a sender at another node waits for an answer",
    ["queues", "loaded s", "memory MiB", "taken over s", "gap s", "then MiB at most", "NATS: gap s"],
    rows,
  );
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(1);
}

/** Milliseconds and bytes. */
interface Figures {
  /** From the start of the nodes until all partitions are served, each node with its share. */
  readonly loaded: number;
  readonly memory: readonly number[];
  readonly taken: number;
  readonly nodeGap: number;
  /** Memory of the larger of the nodes that are left. */
  readonly heir: number;
  readonly natsGap: number;
}

async function measure(queues: number): Promise<Figures> {
  await using resources = new AsyncDisposableStack();
  const nats = resources.use(await Nats.start({ servers: 3 }));
  const folder = await Deno.makeTempDir();
  resources.defer(() => Deno.remove(folder, { recursive: true }));
  const senderIds = await fill(nats, queues);
  for (let i = 0; i < nodes; i++) await Deno.mkdir(`${folder}/${i}`);
  await (await startServerProcess({ folder: `${folder}/0` }))[Symbol.asyncDispose]();
  const running = new Set<ServerProcess>();
  resources.defer(async () => {
    for (const server of running) await server[Symbol.asyncDispose]();
  });
  const began = performance.now();
  for (let i = 0; i < nodes; i++) {
    if (i > 0) await Deno.copyFile(`${folder}/0/server_key`, `${folder}/${i}/server_key`);
    const urls = [...nats.urls.slice(i), ...nats.urls.slice(0, i)].join();
    const args = ["--cluster", urls, "--node", `node-${i + 1}`];
    const ini = `${noLimits}[METRICS]\nport: 0\n[CLUSTER]\npartitions: ${partitions}\n`;
    running.add(await startServerProcess({ openSsl: true, folder: `${folder}/${i}`, ini, args }));
  }
  await untilServed(running);
  const loaded = performance.now() - began;
  const [first, ...others] = running;
  const memory = await Promise.all([...running].map(async ({ pid }) => (await memoryOf(pid)).resident));
  const gaps = new Gaps(first!.address, senderIds);
  try {
    const dead = others.at(-1)!;
    running.delete(dead);
    const killed = performance.now();
    Deno.kill(dead.pid, "SIGKILL");
    await untilServed(running);
    const taken = performance.now() - killed;
    const nodeGap = await gaps.longest();
    const left = await Promise.all([...running].map(async ({ pid }) => (await memoryOf(pid)).resident));
    const server = nats.servers[1]!;
    await server.kill();
    await untilServed(running);
    await wait(15_000);
    const natsGap = await gaps.longest();
    await server.restart();
    return { loaded, memory, taken, nodeGap, heir: Math.max(...left), natsGap };
  } finally {
    await gaps[Symbol.asyncDispose]();
  }
}

/** Writes the logs of a cluster in which nobody has sent anything; gives the sender ID of a queue of each partition. */
async function fill(nats: Nats, queues: number): Promise<string[]> {
  const connection = await nats.connect();
  try {
    const { signal } = new AbortController();
    const bucket = await openBucket(connection, { name: cluster, replicas: 3, signal, log: () => {} });
    const options = { connection, bucket, name: cluster, partitions, replicas: 3, signal, log: () => {} };
    const streams = await ClusterStreams.open(options);
    const { publicKey: { der: template } } = await generateKeyPair("sign");
    // Keys that differ in their modulus, as real ones do.
    const key = () => {
      const der = template.slice();
      der.set(randomBytes(200), 50);
      return decodePublicKey(der);
    };
    const senderIds: string[] = [];
    for (let partition = 0; partition < partitions; partition++) {
      const [stream, snapshots] = [await streams.log(partition), await streams.snapshots(partition)];
      await using log = await PartitionLog.claim({ stream, snapshots, node: "bench" });
      const create = (isSecured: boolean): LogRecord => {
        const [recipientId, senderId] = randomIds(12, { own: [partition], count: partitions });
        if (!isSecured) senderIds.push(senderId);
        const senderKey = isSecured ? key() : null;
        const [suspended, changedAt] = [false, Date.now()];
        return {
          type: "CREATE",
          queue: { recipientId, senderId, recipientKey: key(), senderKey, suspended, changedAt },
        };
      };
      const count = queues / partitions;
      for (let made = 0; made < count; made += recordsAtOnce) {
        const records = Array.from(
          { length: Math.min(recordsAtOnce, count - made) },
          (_, i) => create(made + i > 0),
        );
        await log.append(records);
      }
      await log.close();
    }
    return senderIds;
  } finally {
    await connection.close();
  }
}

/** Resolves when each partition is served, and no node has two fewer than another. */
async function untilServed(running: ReadonlySet<ServerProcess>): Promise<void> {
  const end = performance.now() + patience;
  for (;;) {
    const counts = await Promise.all([...running].map(served));
    const all = counts.reduce((sum, count) => sum + count, 0);
    if (all === partitions && Math.max(...counts) - Math.min(...counts) <= 1) return;
    if (performance.now() > end) throw new Error(`of ${partitions} partitions ${counts} are served`);
    await wait(50);
  }
}

async function served({ metricsUrl }: ServerProcess): Promise<number> {
  const response = await fetch(new URL("/status.json", metricsUrl));
  const { cluster }: { readonly cluster?: NodeStatus } = await response.json();
  return cluster?.partitions.filter(({ own }) => own !== null).length ?? 0;
}

/** Senders at one node, one for each partition, which connect again when they have to. */
class Gaps implements AsyncDisposable {
  readonly #address: string;
  readonly #end = new AbortController();
  readonly #work: Promise<unknown>;
  #longest = 0;

  constructor(address: string, senderIds: readonly string[]) {
    this.#address = address;
    this.#work = Promise.all(senderIds.map((senderId) => this.#run(senderId)));
  }

  /** Milliseconds of the longest one since this was asked before, when all have gone on. */
  async longest(): Promise<number> {
    await wait(afterwards);
    const longest = this.#longest;
    this.#longest = 0;
    return longest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#work;
  }

  async #run(senderId: string): Promise<void> {
    let answered = performance.now();
    while (!this.#end.signal.aborted) {
      try {
        await using client = await SmpClient.connect(this.#address, { signal: this.#end.signal });
        while (!this.#end.signal.aborted) {
          const answer = await client.send({ senderId }, new Uint8Array(1)).catch((error) => error);
          // A full queue answers, too.
          if (answer !== undefined && !(answer instanceof SmpError && answer.code === "QUOTA")) throw answer;
          const now = performance.now();
          this.#longest = Math.max(this.#longest, now - answered);
          answered = now;
          await wait(50);
        }
      } catch {
        await wait(50);
      }
    }
  }
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
