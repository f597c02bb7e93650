import { setTimeout as pause } from "node:timers/promises";
import type { ClientTransmission } from "../../protocol/mod.ts";
import { partitionOf } from "../../server/broker/partition.ts";
import type { LogStream } from "../../server/cluster/log_stream.ts";
import type { OwnedPartition } from "../../server/cluster/owned_partition.ts";
import type { Ownership } from "../../server/cluster/ownership.ts";
import type { SnapshotStore } from "../../server/cluster/snapshot_store.ts";
import type { Random } from "../agent/model/random.ts";
import { MemorySnapshots, MemoryStream } from "../support/memory_stream.ts";
import { MessageBus } from "../support/message_bus.ts";
import { patience, soon, until } from "../support/wait.ts";
import { MomentNode, type OwnedLog } from "./moment_node.ts";

/** Where the logs of all partitions are. */
export interface Logs extends AsyncDisposable {
  open(partition: number, node: string): Promise<{ stream: LogStream; snapshots: SnapshotStore }>;
}

export interface MomentsOptions {
  readonly nodes?: number;
  readonly partitions?: number;
  /** @default in memory */
  readonly logs?: Logs;
}

/** Who owns a partition. */
export interface Owner extends OwnedLog {
  readonly node: MomentNode;
  readonly partition: number;
}

/**
 * A cluster in this process. Its nodes do all that nodes do between their sessions and the logs of the partitions; who
 * owns what is said here, not by leases, so that an owner can be followed by another at any moment.
 */
export class MomentCluster implements AsyncDisposable {
  /** What nodes have logged that should not be. */
  readonly failures: string[] = [];
  readonly bus: MessageBus = new MessageBus();
  readonly nodes: MomentNode[] = [];
  readonly #logs: Logs;
  readonly #ownership: (Ownership | null)[];

  private constructor({ partitions = 4, logs = memoryLogs(partitions) }: MomentsOptions) {
    this.#logs = logs;
    this.#ownership = new Array(partitions).fill(null);
  }

  static async start(options: MomentsOptions): Promise<MomentCluster> {
    const cluster = new MomentCluster(options);
    try {
      for (let i = 0; i < (options.nodes ?? 3); i++) {
        cluster.nodes.push(await MomentNode.start(cluster.#world, `node-${i + 1}`));
      }
      for (const partition of cluster.#ownership.keys()) {
        await cluster.claim(partition, cluster.nodes[partition % cluster.nodes.length]!);
      }
      await cluster.linked();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** Resolves when the sessions of all nodes can use all partitions. */
  async linked(): Promise<void> {
    await until(() => this.nodes.every(({ isLinked }) => isLinked));
  }

  /** Resolves with the next command of which `matches` says so, where it was given and whose it is. */
  async submitted(
    matches: (node: MomentNode, transmission: ClientTransmission) => boolean,
  ): Promise<{ readonly node: MomentNode; readonly owner: Owner; readonly type: string }> {
    const { promise, resolve } = Promise.withResolvers<{ node: MomentNode; owner: Owner; type: string }>();
    for (const node of this.nodes) {
      node.submitted = (transmission) => {
        if (!matches(node, transmission)) return;
        const { command: { type }, queueId } = transmission;
        // Which partition a new queue gets is not known here.
        resolve({ node, type, owner: this.ownerOf(type === "NEW" ? 0 : this.partitionOf(queueId)) });
      };
    }
    try {
      return await soon(promise);
    } finally {
      for (const node of this.nodes) node.submitted = null;
    }
  }

  /**
   * Another node claims the partition of an owner whose lease has ended, which does not know that, and gives it up
   * afterwards if it `isBuried`.
   */
  async follow(owner: Owner, random: Random, { isBuried = true } = {}): Promise<OwnedPartition> {
    // What needs no log, as SUB does, no owner does any more when another one may have followed.
    owner.node.gate.shut();
    const next = await this.claim(owner.partition, this.other(owner.node, random));
    if (isBuried) await this.bury(owner, random);
    return next;
  }

  /** As a node does that was taken for dead and goes on. */
  async bury({ node, owned }: Owner, random: Random): Promise<void> {
    await pause(random.below(30));
    // One that is lost meanwhile knows it.
    for (const { owned } of node.all) await owned.log.confirm().catch(() => {});
    node.gate.open();
    await pause(random.below(30));
    await node.giveUp(owned);
  }

  /** A node claims a partition, and all others know it. */
  async claim(partition: number, node: MomentNode): Promise<OwnedPartition> {
    const owned = await node.claim(partition);
    this.#ownership[partition] = { node: node.name, epoch: owned.epoch };
    for (const each of this.nodes) each.look();
    return owned;
  }

  ownerOf(partition: number): Owner {
    const name = this.#ownership[partition]!.node;
    const node = this.nodes.find((node) => node.name === name)!;
    return { node, partition, ...node.owned(partition)! };
  }

  partitionOf(queueId: string): number {
    return partitionOf(queueId, this.#ownership.length);
  }

  /** Another node. */
  other(node: MomentNode, random: Random): MomentNode {
    return random.pick(this.nodes.filter((other) => other !== node))!;
  }

  /** Partitions whose logs grow. */
  async used(): Promise<readonly number[]> {
    const lengths = () => [...this.#ownership.keys()].map((partition) => this.#lengthOf(partition));
    const before = lengths();
    const used = () =>
      lengths().flatMap((length, partition) => length > before[partition]! ? [partition] : []);
    await shortly(() => used().length > before.length / 2);
    return used();
  }

  #lengthOf(partition: number): number {
    return this.ownerOf(partition).owned.log.sequence;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes) await node[Symbol.asyncDispose]();
    await this.#logs[Symbol.asyncDispose]();
  }

  get #world() {
    return {
      bus: this.bus,
      ownership: this.#ownership,
      open: (partition: number, node: string) => this.#logs.open(partition, node),
      log: (message: string, error?: unknown) => void this.failures.push(`${message}: ${error}`),
    };
  }
}

/** As `until`, with looks that are as near to each other as moments are. */
export async function shortly(condition: () => boolean): Promise<void> {
  const end = performance.now() + patience;
  while (!condition()) {
    if (performance.now() > end) throw new Error("the moment did not come");
    await pause(1);
  }
}

function memoryLogs(partitions: number): Logs {
  const logs = Array.from({ length: partitions }, () => ({
    stream: new MemoryStream(),
    snapshots: new MemorySnapshots(),
  }));
  return {
    open: (partition) => Promise.resolve(logs[partition]!),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
