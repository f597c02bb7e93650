import type { NodeStatus } from "../cluster/node_status.ts";

/** A metric as it is formatted: its name, type, help and samples. */
export type Family = readonly [
  name: string,
  type: "gauge" | "counter",
  help: string,
  samples: readonly (readonly [suffix: string, value: number])[],
];

/** The metrics of a node of a cluster. Those of a partition's log are told by its owner alone. */
export function clusterFamilies(status: NodeStatus): readonly Family[] {
  const { partitions, nodes } = status;
  type Partition = NodeStatus["partitions"][number];
  const byPartition = (valueOf: (partition: Partition) => number | undefined) =>
    partitions.flatMap((one) => {
      const value = valueOf(one);
      return value === undefined ? [] : [[`{partition="${one.partition}"}`, value] as const];
    });
  const states = ["live", "draining", "gone"] as const;
  return [
    [
      "smp_cluster_nodes",
      "gauge",
      "Nodes of the cluster, by their states, as this one sees them.",
      states.map((state) => [`{state="${state}"}`, nodes.filter((node) => node.state === state).length]),
    ],
    ["smp_cluster_lease_held", "gauge", "Whether this node may answer.", [["", status.holds ? 1 : 0]]],
    [
      "smp_cluster_lease_age_seconds",
      "gauge",
      "Time since this node's lease was renewed.",
      [["", seconds(status.leaseAge)]],
    ],
    [
      "smp_cluster_partition_owned",
      "gauge",
      "Whether this node owns the partition.",
      byPartition(({ own }) => own === null ? 0 : 1),
    ],
    [
      "smp_cluster_partitions_without_owner",
      "gauge",
      "Partitions without an owner, as this node sees them.",
      [["", partitions.filter(({ owner }) => owner === null).length]],
    ],
    [
      "smp_cluster_partitions_unable",
      "gauge",
      "Partitions that this node leaves to others, as it has failed to take them.",
      [["", partitions.filter(({ unable }) => unable !== null).length]],
    ],
    [
      "smp_cluster_owner_changes_total",
      "counter",
      "Changes of the partition's owner that this node has seen.",
      byPartition(({ ownerChanges }) => ownerChanges),
    ],
    [
      "smp_cluster_log_batches",
      "gauge",
      "Number of the last batch in the log of an own partition.",
      byPartition(({ own }) => own?.sequence),
    ],
    [
      "smp_cluster_log_lag_seconds",
      "gauge",
      "How long the batch that is being stored has waited, of an own partition.",
      byPartition(({ own }) => own === null ? undefined : seconds(own.lag)),
    ],
    [
      "smp_cluster_log_waiting_bytes",
      "gauge",
      "Bytes that wait until they are stored, of an own partition.",
      byPartition(({ own }) => own?.waiting),
    ],
    [
      "smp_cluster_snapshot_age_seconds",
      "gauge",
      "Time since the last snapshot of an own partition, if there is one.",
      byPartition(({ own }) => own?.snapshot ? seconds(own.snapshot.age) : undefined),
    ],
    [
      "smp_cluster_forwarded_total",
      "counter",
      "Commands of this node's sessions that were given to the partition's owner.",
      byPartition(({ sessions }) => sessions?.forwarded),
    ],
    [
      "smp_cluster_pending_commands",
      "gauge",
      "Commands of this node's sessions that the partition's owner has not answered yet.",
      byPartition(({ sessions }) => sessions?.pending),
    ],
  ];
}

function seconds(milliseconds: number): number {
  return milliseconds / 1000;
}
