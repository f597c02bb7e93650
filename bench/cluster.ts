/** What servers of several processes make of the same load, beside one process. */
// deno-lint-ignore-file no-console
import type { ClusterLoadOptions } from "./cluster_load.ts";
import { type Measured, measureWith } from "./cycle.ts";
import { cpuTime, noLimits, startServerProcess, withChildren } from "./server_process.ts";
import { printTable, record } from "./table.ts";

const [shortWarmUp, measured] = [2_000, 6_000];
/** How often each variant is measured, in turns; the medians count. */
const rounds = 5;

/** All have the same store, which answers when it is on the disk. */
const ini = `[STORE_LOG]\nenable: on\nmessages: journal\n${noLimits}`;

/** A server that was started. */
export interface Running extends AsyncDisposable {
  /** One for all its processes, or one for each. */
  readonly addresses: readonly string[];
  /** All its processes, those that store for it included. */
  readonly pids: readonly number[];
}

/** A way to run a server. */
export interface Deployment {
  readonly name: string;
  /** Processes that have queues. */
  readonly homes: number;
  start(openSsl: boolean): Promise<Running>;
}

/** A deployment with its load. */
export interface Variant {
  readonly name: string;
  readonly deployment: Deployment;
  readonly load: Omit<ClusterLoadOptions, "homes" | "warmUp" | "measured">;
  /** Milliseconds before the measurement. @default 2000 */
  readonly warmUp?: number;
}

/** What is compared. */
export type Figures = Pick<Measured, "perSecond" | "cpu" | "busy" | "p50" | "p99">;

/** What others are compared with. */
export const oneProcess: Deployment = {
  name: "one process",
  homes: 1,
  start: (openSsl) => startServer(openSsl),
};

function workers(count: number): Deployment {
  return { name: `${count} workers`, homes: count, start: (openSsl) => startServer(openSsl, count) };
}

async function startServer(openSsl: boolean, workers?: number): Promise<Running> {
  const server = await startServerProcess({ openSsl, ini, ...(workers !== undefined && { workers }) });
  return {
    addresses: [server.address],
    pids: await withChildren(server.pid),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** What several processes cost each other that share nothing but the machine: each has its own clients and queues. */
const twoServers: Deployment = {
  name: "2 servers",
  homes: 2,
  async start(openSsl) {
    const servers = [await startServer(openSsl), await startServer(openSsl)];
    return {
      addresses: servers.flatMap(({ addresses }) => addresses),
      pids: servers.flatMap(({ pids }) => pids),
      async [Symbol.asyncDispose]() {
        for (const server of servers) await server[Symbol.asyncDispose]();
      },
    };
  },
};

/** A load that keeps a server busy. */
export const many = { pairs: 50, connections: 10, depth: 2 };
/** A load of which each message is waited for. */
export const one = { pairs: 1, connections: 1, depth: 1 };

/** The first is what the others are compared with. */
const loaded: readonly Variant[] = [
  { name: "one process", deployment: oneProcess, load: { ...many, forwarded: "none" } },
  { name: "2 servers, half of it each", deployment: twoServers, load: { ...many, forwarded: "none" } },
  { name: "2 workers, nothing forwarded", deployment: workers(2), load: { ...many, forwarded: "none" } },
  { name: "2 workers, half forwarded", deployment: workers(2), load: { ...many, forwarded: "half" } },
];
const alone: readonly Variant[] = [
  { name: "one process", deployment: oneProcess, load: { ...one, forwarded: "none" } },
  { name: "2 workers, at the queue's", deployment: workers(2), load: { ...one, forwarded: "none" } },
  { name: "2 workers, at the other", deployment: workers(2), load: { ...one, forwarded: "all" } },
];

/** Prints the tables, and how the figures compare with the targets. */
export async function benchCluster(): Promise<void> {
  const targets: string[] = [];
  for (const [engine, openSsl] of [["node:crypto", false], ["OpenSSL", true]] as const) {
    const [first, , , half] = await benchVariants("50 pairs, depth 2", loaded, { engine, openSsl });
    const [, , across] = await benchVariants("one pair, depth 1", alone, { engine, openSsl });
    if (!openSsl) {
      const gain = half!.perSecond / first!.perSecond;
      targets.push(`2 workers, ${engine}: ${gain.toFixed(2)} × the cycles/s of one process (at least 1.1)`);
    }
    const cost = half!.cpu / first!.cpu;
    targets.push(
      `2 workers, ${engine}, half forwarded: ${cost.toFixed(2)} × the CPU of a cycle (at most 1.2)`,
    );
    const { p50, p99 } = across!;
    targets.push(`one pair at the other worker, ${engine}: ${p50.toFixed(1)} / ${p99.toFixed(1)} ms`);
  }
  console.log(`\n${targets.join("\n")}`);
}

/** Measures the variants in turns and prints their medians; the first one is what the others are compared with. */
export async function benchVariants(
  what: string,
  variants: readonly Variant[],
  { engine, openSsl }: { readonly engine: string; readonly openSsl: boolean },
): Promise<readonly Figures[]> {
  const results: Measured[][] = variants.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, variant] of variants.entries()) results[i]!.push(await measure(variant, openSsl));
  }
  const figures = results.map(medians);
  const [first] = figures;
  printTable(
    `${what}; the server on ${engine}, journal, fsync; medians of ${rounds} times in turns; CPU of all its processes`,
    ["server", "cycles/s", "× one", "CPU µs/cycle", "× one", "CPUs busy", "p50 ms", "p99 ms"],
    figures.map(({ perSecond, cpu, busy, p50, p99 }, i) => {
      const { name } = variants[i]!;
      record(`cluster, ${engine}, ${what}: ${name}`, { perSecond, cpu, busy, p50, p99 });
      return [
        name,
        perSecond.toFixed(0),
        (perSecond / first!.perSecond).toFixed(2),
        cpu.toFixed(0),
        (cpu / first!.cpu).toFixed(2),
        ...[busy, p50, p99].map((figure) => figure.toFixed(2)),
      ];
    }),
  );
  return figures;
}

async function measure(
  { deployment, load, warmUp = shortWarmUp }: Variant,
  openSsl: boolean,
): Promise<Measured> {
  await using server = await deployment.start(openSsl);
  const { addresses, pids } = server;
  const options: ClusterLoadOptions = { ...load, homes: deployment.homes, warmUp, measured };
  const cpu = async () => (await Promise.all(pids.map(cpuTime))).reduce((sum, time) => sum + time, 0);
  return await measureWith("cluster_load.ts", [JSON.stringify(addresses), JSON.stringify(options)], cpu);
}

function medians(results: readonly Measured[]): Figures {
  const median = (of: (result: Measured) => number) => {
    return results.map(of).toSorted((a, b) => a - b)[results.length >> 1]!;
  };
  return {
    perSecond: median(({ perSecond }) => perSecond),
    cpu: median(({ cpu }) => cpu),
    busy: median(({ busy }) => busy),
    p50: median(({ p50 }) => p50),
    p99: median(({ p99 }) => p99),
  };
}
