import type { NatsConnection } from "@nats-io/transport-node";
import { createStream, openLogStream, openSnapshotStream } from "../../server/cluster/nats_streams.ts";
import { Nats } from "../support/nats.ts";
import type { Logs } from "./moment_cluster.ts";

/** Logs of partitions on a NATS server; each node has a connection of its own. */
export async function natsLogs(partitions: number): Promise<Logs> {
  await using resources = new AsyncDisposableStack();
  const nats = resources.use(await Nats.start());
  const connections = new Map<string, NatsConnection>();
  resources.defer(async () => {
    for (const connection of connections.values()) await connection.close();
  });
  const connect = async (node: string) => {
    const known = connections.get(node);
    if (known !== undefined) return known;
    const connection = await nats.connect();
    connections.set(node, connection);
    return connection;
  };
  const connection = await connect("");
  for (const suffix of [...Array(partitions).keys(), "snapshots"]) {
    await createStream({ connection, name: `smp-${suffix}`, replicas: 1, timeout: 20_000 });
  }
  const kept = resources.move();
  return {
    async open(partition, node) {
      const connection = await connect(node);
      return {
        stream: await openLogStream({ connection, name: `smp-${partition}`, replicas: 1 }),
        snapshots: await openSnapshotStream({
          connection,
          name: "smp-snapshots",
          partition: `${partition}`,
          replicas: 1,
        }),
      };
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
