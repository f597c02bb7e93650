/**
 * Load on a server of several processes, in which it is known which process each queue and each connection is at. Prints
 * what `load_process.ts` does. One address with `homes` workers, or as many addresses as homes.
 *
 * `cluster_load.ts <addresses as JSON> <options as JSON>`
 */
// deno-lint-ignore-file no-console
import { Line } from "../client/cli/line.ts";
import { type LoadOptions, loadQueues } from "../client/cli/load.ts";
import { deleteQueues, makeQueues, makeSigner, type Queue, type Signer } from "../client/cli/load_queues.ts";
import { preferOpenSsl } from "../mod.ts";
import { partitionOf } from "../server/broker/partition.ts";

/** What a load process is told. */
export interface ClusterLoadOptions extends LoadOptions {
  /** Processes that have queues, each as many. */
  readonly homes: number;
  /** Which queues both clients use through another process. */
  readonly forwarded: "none" | "half" | "all";
}

/** A multiple of every number of workers that is measured, as a worker has every so manieth partition. */
const partitions = 256;
/** Connections that are tried until each process has enough. */
const mostAttempts = 1_000;

/** Opens connections: `perHome` for each process, in turns. */
async function openLines(
  addresses: readonly string[],
  { homes, perHome, signer, queues }: {
    readonly homes: number;
    readonly perHome: number;
    readonly signer: Signer;
    readonly queues: Queue[];
  },
): Promise<Line[]> {
  const pools: Line[][] = Array.from({ length: homes }, () => []);
  for (let i = 0; pools.some(({ length }) => length < perHome); i++) {
    if (i === mostAttempts) throw new Error("the connections all come to the same processes");
    const line = await Line.open(addresses[i % addresses.length]!);
    const home = addresses.length > 1 ? i % homes : await homeOf(line, { homes, signer, queues });
    if (pools[home]!.length < perHome) pools[home]!.push(line);
    else await line.close();
  }
  return Array.from({ length: homes * perHome }, (_, i) => pools[i % homes]![Math.floor(i / homes)]!);
}

/** A process gives new queues a partition of its own. */
async function homeOf(
  line: Line,
  { homes, signer, queues }: {
    readonly homes: number;
    readonly signer: Signer;
    readonly queues: Queue[];
  },
): Promise<number> {
  await makeQueues(line, 1, { queues, signer, signal: undefined });
  return partitionOf(queues.at(-1)!.recipientId, partitions) % homes;
}

/** Clients of the pair `i` are at process `i`, modulo the number of processes. */
function homeOfPair(i: number, { homes, forwarded }: ClusterLoadOptions): number {
  const isForwarded = forwarded === "all" || forwarded === "half" && Math.floor(i / homes) % 2 === 1;
  return (i + Number(isForwarded)) % homes;
}

async function makePairQueues(
  addresses: readonly string[],
  options: ClusterLoadOptions,
  { signer, queues }: { readonly signer: Signer; readonly queues: Queue[] },
): Promise<Queue[]> {
  const { homes, pairs } = options;
  const makers = await openLines(addresses, { homes, perHome: 1, signer, queues });
  const placed: Queue[] = [];
  for (let i = 0; i < pairs; i++) {
    await makeQueues(makers[homeOfPair(i, options)]!, 1, { queues, signer, signal: undefined });
    placed.push(queues.at(-1)!);
  }
  await Promise.all(makers.map((line) => line.close()));
  return placed;
}

if (import.meta.main) {
  preferOpenSsl();
  const [addresses, options]: [string[], ClusterLoadOptions] = [
    JSON.parse(Deno.args[0]!),
    JSON.parse(Deno.args[1]!),
  ];
  const { homes } = options;
  const signer = await makeSigner();
  const queues: Queue[] = [];
  const placed = await makePairQueues(addresses, options, { signer, queues });
  // A pair finds its clients by its number.
  const perHome = Math.ceil(options.connections / homes);
  const connections = perHome * homes;
  const [senders, recipients] = [
    await openLines(addresses, { homes, perHome, signer, queues }),
    await openLines(addresses, { homes, perHome, signer, queues }),
  ];
  const lines = [...senders, ...recipients];
  const progress = { ready: () => console.log("ready"), measured: () => console.log("measured") };
  const work = loadQueues(placed, lines, { ...options, connections }, { signer, progress });
  const result = await Promise.race([work, ...lines.map(({ failed }) => failed)]);
  await Promise.all(lines.map((line) => line.close()));
  await deleteQueues(addresses[0]!, queues, { signer, lineOptions: {} });
  console.log(JSON.stringify(result));
}
