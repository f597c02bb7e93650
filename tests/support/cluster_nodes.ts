import { SmpClient } from "../../client/mod.ts";
import { ClusterNode, type ClusterNodeOptions } from "../../server/cluster/node.ts";
import { SmpServer } from "../../server/mod.ts";
import { Metrics } from "../../server/observe/metrics.ts";
import type { Nats } from "./nats.ts";
import { identity } from "./server.ts";
import { patient, soon, until } from "./wait.ts";

/** A node of a cluster in this process, with its server. */
export interface TestNode extends AsyncDisposable {
  readonly node: ClusterNode;
  readonly server: SmpServer;
  readonly metrics: Metrics;
  /** What it has logged. */
  readonly lines: readonly string[];
  connect(): Promise<SmpClient>;
  /** As a node that is told to stop does. */
  stop(): Promise<void>;
}

/** Starts a node on free loopback ports. */
export async function startNode(
  nats: Nats,
  name: string,
  options: Partial<ClusterNodeOptions> = {},
): Promise<TestNode> {
  await using resources = new AsyncDisposableStack();
  const lines: string[] = [];
  const { signal } = new AbortController();
  const node = resources.use(
    await soon(ClusterNode.join({
      engine: { address: nats.urls.join() },
      cluster: "test",
      node: name,
      partitions: 8,
      keyHash: identity.keyHash,
      log: (level, message, error) => void lines.push(`${level} ${message} ${error ?? ""}`),
      signal,
      ...options,
    })),
  );
  const metrics = new Metrics();
  const server = resources.use(
    await SmpServer.start({
      identity,
      host: "127.0.0.1",
      port: 0,
      // Load fills some of its queues.
      limits: { messagesPerQueue: 100_000 },
      metrics,
      cluster: node,
      replayGuard: node.handshakes,
      log: (message, error) => void lines.push(`error ${message} ${error ?? ""}`),
    }),
  );
  node.use(server);
  const kept = resources.move();
  return {
    node,
    server,
    metrics,
    lines,
    connect: () => SmpClient.connect(server.address, patient),
    async stop() {
      await soon(node.drain({ deadline: 20_000 }));
      await soon(server.stop({ deadline: 20_000 }));
      await kept.disposeAsync();
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Waits until every partition has an owner, and each of the nodes the same number of them. */
export async function balanced(nodes: readonly TestNode[]): Promise<void> {
  const names = nodes.map(({ node }) => node.status.node);
  await until(() =>
    nodes.every(({ node }) => {
      const { partitions } = node.status;
      const counts = names.map((name) => partitions.filter(({ owner }) => owner?.node === name).length);
      const sum = counts.reduce((all, count) => all + count);
      return sum === partitions.length && Math.max(...counts) - Math.min(...counts) <= 1 &&
        partitions.every(({ owner, own }) => own === null || own.epoch === owner?.epoch);
    })
  );
}
