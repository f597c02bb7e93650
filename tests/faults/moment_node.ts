import type { ClientTransmission } from "../../protocol/mod.ts";
import type { LocalBrokers } from "../../server/broker/local_brokers.ts";
import type { PartitionOwner } from "../../server/broker/owner.ts";
import { ClusterSessions } from "../../server/cluster/cluster_sessions.ts";
import { LeaseGate } from "../../server/cluster/lease_gate.ts";
import type { LogStream } from "../../server/cluster/log_stream.ts";
import { NodeStreams } from "../../server/cluster/node_streams.ts";
import { OwnedPartition } from "../../server/cluster/owned_partition.ts";
import { OwnerStreams } from "../../server/cluster/owner_streams.ts";
import type { Ownership } from "../../server/cluster/ownership.ts";
import type { SnapshotStore } from "../../server/cluster/snapshot_store.ts";
import { SmpServer } from "../../server/mod.ts";
import type { ServerCluster } from "../../server/server_options.ts";
import { InterceptedLog } from "../support/intercepted_log.ts";
import type { MessageBus } from "../support/message_bus.ts";
import { identity } from "../support/server.ts";

/** What all nodes share. */
export interface MomentWorld {
  readonly bus: MessageBus;
  /** Who has claimed each partition last. */
  readonly ownership: (Ownership | null)[];
  /** The log and the snapshots of a partition, by a connection of the node's own. */
  open(partition: number, node: string): Promise<{ stream: LogStream; snapshots: SnapshotStore }>;
  readonly log: (message: string, error?: unknown) => void;
}

/** Bytes of a log after which a snapshot is taken: there is always one being taken, or soon. */
const snapshotAfter = 16_384;

type Parts = Parameters<ServerCluster["route"]>[1];

/** A partition of a node, with what becomes of its log. */
export interface OwnedLog {
  readonly owned: OwnedPartition;
  readonly log: InterceptedLog;
}

/**
 * A node of a cluster in this process. It has all that stands between its sessions and the logs; which partitions it
 * owns says a test, so that this happens at a moment of its choice.
 */
export class MomentNode implements ServerCluster, AsyncDisposable {
  readonly name: string;
  readonly gate: LeaseGate = new LeaseGate(() => true);
  /** Is told of each command of a client before an owner gets it. */
  submitted: ((transmission: ClientTransmission) => void) | null = null;
  readonly #world: MomentWorld;
  readonly #owned = new Map<number, OwnedLog>();
  readonly #ends = new Set<Promise<void>>();
  readonly #streams: NodeStreams;
  readonly #owners: OwnerStreams;
  #route:
    | { readonly brokers: LocalBrokers; readonly parts: Parts; readonly sessions: ClusterSessions }
    | null = null;
  #server: SmpServer | null = null;

  private constructor(world: MomentWorld, name: string) {
    this.name = name;
    this.#world = world;
    const keeper = { ownership: world.ownership, serves: (partition: number) => this.#serves(partition) };
    this.#streams = new NodeStreams({
      engine: world.bus.engine(),
      prefix: "nodes",
      node: name,
      accept: (request, stream) => this.#owners.accept(request, stream),
    });
    this.#owners = new OwnerStreams({ node: name, keeper: () => keeper, streams: this.#streams });
  }

  static async start(world: MomentWorld, name: string): Promise<MomentNode> {
    const node = new MomentNode(world, name);
    node.#server = await SmpServer.start({
      identity,
      host: "127.0.0.1",
      port: 0,
      limits: { connectionsPerIp: 0, handshakesPerSecondPerIp: 0, newQueuesPerHourPerIp: 0 },
      cluster: node,
      log: world.log,
    });
    return node;
  }

  get address(): string {
    return this.#server!.address;
  }

  /** Whether its sessions can use all partitions. */
  get isLinked(): boolean {
    return this.#route!.sessions.counts.every(({ isLinked }) => isLinked);
  }

  /** Owners may have changed. */
  look(): void {
    this.#owners.look();
  }

  owned(partition: number): OwnedLog | undefined {
    return this.#owned.get(partition);
  }

  get all(): readonly OwnedLog[] {
    return [...this.#owned.values()];
  }

  /** Claims a partition; whoever had it learns that by its next batch. */
  async claim(partition: number): Promise<OwnedPartition> {
    const { brokers, parts } = this.#route!;
    const { ownership, open, log: tell } = this.#world;
    const { stream, snapshots } = await open(partition, this.name);
    const log = new InterceptedLog(stream, snapshots);
    const owned = await OwnedPartition.claim({
      partition,
      partitions: ownership.length,
      brokers,
      turns: parts.turns,
      gate: this.gate,
      node: this.name,
      stream: log.stream,
      snapshots: log.snapshots,
      snapshotAfter,
      lost: (owned) => this.#end(owned, owned.giveUp()),
      log: tell,
    });
    this.#owned.set(partition, { owned, log });
    return owned;
  }

  /** Stores what waits and takes nothing more, as a node that gives a partition away. */
  async handOver(partition: number): Promise<void> {
    const { owned } = this.#owned.get(partition)!;
    this.#end(owned, owned.handOver());
    await Promise.all(this.#ends);
  }

  /** Gives an owner up that may be one no more. */
  async giveUp(owned: OwnedPartition): Promise<void> {
    this.#end(owned, owned.giveUp());
    await Promise.all(this.#ends);
  }

  route(brokers: LocalBrokers, parts: Parts): PartitionOwner {
    const { ownership } = this.#world;
    const all = [...ownership.keys()];
    const sessions = new ClusterSessions({
      partitions: ownership.length,
      metrics: parts.metrics,
      limits: parts.limits,
      connect: (partition, signal) => this.#owners.connect(partition, signal),
      forNew: () => all,
    });
    this.#route = { brokers, parts, sessions };
    return {
      submit: (connection, transmission) => {
        this.submitted?.(transmission);
        return sessions.submit(connection, transmission);
      },
      isOpened: (connection, queueId) => sessions.isOpened(connection, queueId),
      isSubscribed: (connection) => sessions.isSubscribed(connection),
      resume: (connection) => sessions.resume(connection),
      disconnect: (connection) => sessions.disconnect(connection),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.stop();
    await this.#route?.sessions[Symbol.asyncDispose]();
    for (const { owned } of this.all) this.#end(owned, owned.giveUp());
    await Promise.all(this.#ends);
    await this.#streams[Symbol.asyncDispose]();
  }

  #serves(partition: number): OwnedPartition | undefined {
    const owned = this.#owned.get(partition)?.owned;
    return owned?.isServing === true ? owned : undefined;
  }

  #end(owned: OwnedPartition, ending: Promise<void>): void {
    const ended = ending.finally(() => {
      if (this.#owned.get(owned.partition)?.owned === owned) this.#owned.delete(owned.partition);
      this.#ends.delete(ended);
    });
    this.#ends.add(ended);
  }
}
