import { counted } from "../../cli/counted.ts";
import { jsonText, printable } from "../../cli/printable.ts";
import type { ClusterPicture } from "../cluster/operator.ts";
import type { CliOptions, ClusterTask } from "../config/cli.ts";
import { defaultConfig } from "../config/config.ts";
import type { ParsedConfig } from "../config/config_file.ts";
import { iniPath, readConfig } from "./files.ts";
import { Fatal, messageOf, type Terminal } from "./terminal.ts";

/** `cluster`: shows a cluster, or changes what a node of it does. */
export async function runClusterTask(
  options: CliOptions,
  task: ClusterTask,
  terminal: Terminal,
): Promise<void> {
  const { config: settings, warnings } = await readSettings(options);
  for (const warning of warnings) terminal.warn(`warning: ${warning}`);
  const { clusterServers, clusterName: cluster } = settings;
  if (clusterServers === null) {
    throw new Fatal(
      `No NATS servers are given: pass --cluster, or set servers in [CLUSTER] of ${iniPath(options)}`,
    );
  }
  // What is for NATS is loaded only where there is a cluster.
  if ("directory" in task) {
    const { exportCluster, importCluster } = await import("./cluster_transfer.ts");
    const transfer = task.type === "export" ? exportCluster : importCluster;
    return await transfer({ ...settings, clusterServers }, task.directory, terminal);
  }
  const { ClusterOperator } = await import("../cluster/operator.ts");
  const { engineOf } = await import("../cluster/engine_settings.ts");
  try {
    const engine = engineOf(settings, clusterServers);
    await using operator = await ClusterOperator.connect({ engine, cluster, log: () => {} });
    switch (task.type) {
      case "status":
        return show(await operator.status(), task.isJson, terminal);
      case "drain":
        await operator.drain(
          task.node,
          (left) => terminal.print(`${task.node} has ${counted(left, "partition")}`),
        );
        return terminal.print(`${task.node} is drained until it is started again or undrained`);
      case "undrain":
        await operator.undrain(task.node);
        return terminal.print(`${task.node} takes partitions again`);
      default:
        return task satisfies never;
    }
  } catch (error) {
    if (error instanceof Fatal) throw error;
    throw new Fatal(messageOf(error));
  }
}

/** Who gives the servers need not let it read the ini: then the cluster has the usual name, and NATS asks for no user. */
async function readSettings(options: CliOptions): Promise<Pick<ParsedConfig, "config" | "warnings">> {
  const { clusterServers = null } = options;
  const { state } = await Deno.permissions.query({ name: "read", path: iniPath(options) });
  if (clusterServers === null || state === "granted") return await readConfig(options);
  return { config: { ...defaultConfig(options), clusterServers }, warnings: [] };
}

/** Throws `Fatal` when a partition cannot be used. */
function show(picture: ClusterPicture, isJson: boolean, { print }: Terminal): void {
  if (isJson) print(jsonText(picture, 2));
  // Nodes say of themselves what is shown.
  else for (const line of linesOf(picture)) print(printable(line));
  const missing = picture.partitions.filter(({ owner }) => owner === null).length;
  if (missing > 0) throw new Fatal(`${counted(missing, "partition")} without an owner`);
}

function linesOf({ cluster, nodes, partitions }: ClusterPicture): string[] {
  const living = nodes.filter(({ state }) => state !== "gone").length;
  const none = "-";
  const seconds = (time: number | null) => time === null ? none : `${(time / 1000).toFixed(1)} s`;
  return [
    `cluster ${cluster}: ${living} of ${counted(nodes.length, "node")} alive, ${
      counted(partitions.length, "partition")
    }`,
    "",
    ...table([
      ["node", "state", "lease", "partitions", "forwarded", "pending", "ready"],
      ...nodes.map(({ node, state, answers, leaseAge, partitions, forwarded, pending, notReady }) => [
        node,
        state,
        state === "gone" ? none : seconds(leaseAge),
        `${partitions}`,
        `${forwarded ?? none}`,
        `${pending ?? none}`,
        state === "gone" ? none : !answers ? "it does not answer" : notReady ?? "yes",
      ]),
    ]),
    "",
    ...table([
      ["partition", "owner", "changes", "log", "waiting", "lag", "snapshot", "forwarded"],
      ...partitions.map((one) => [
        `${one.partition}`,
        one.owner ?? "nobody",
        `${one.ownerChanges ?? none}`,
        `${one.sequence ?? none}`,
        one.waiting === null ? none : `${one.waiting} B`,
        seconds(one.lag),
        one.snapshotAge === null ? none : age(one.snapshotAge),
        `${one.forwarded}`,
      ]),
    ]),
    ...unableLines(partitions),
  ];
}

function unableLines(partitions: ClusterPicture["partitions"]): string[] {
  const lines = partitions.flatMap(({ partition, unable }) =>
    unable.map(({ node, why }) =>
      `${node} leaves partition ${partition} to others: ${why ?? "it does not say why"}`
    )
  );
  return lines.length === 0 ? [] : ["", ...lines];
}

function age(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000);
  return minutes >= 2880
    ? `${Math.floor(minutes / 1440)} d`
    : minutes >= 120
    ? `${Math.floor(minutes / 60)} h`
    : `${minutes} min`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd());
}
