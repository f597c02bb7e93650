import type { LocalBrokers } from "../broker/local_brokers.ts";
import type { PartitionOwner } from "../broker/owner.ts";
import type { ServerCluster } from "../server_options.ts";
import { type Bucket, heardSubject, openBucket } from "./bucket.ts";
import { ClusterHandshakes } from "./cluster_handshakes.ts";
import { ClusterSessions } from "./cluster_sessions.ts";
import { ClusterStreams } from "./cluster_streams.ts";
import { Engine, type EngineOptions } from "./engine.ts";
import { EngineError, restoredError } from "./error.ts";
import { NodeLease } from "./lease.ts";
import { LeaseGate } from "./lease_gate.ts";
import type { LeaseEvent } from "./lease_options.ts";
import { checkLinks } from "./link_check.ts";
import type { NodeStatus } from "./node_status.ts";
import { NodeStreams } from "./node_streams.ts";
import { OperatorQuestions } from "./operator_questions.ts";
import { OwnerChanges } from "./owner_changes.ts";
import { OwnerStreams } from "./owner_streams.ts";
import { PartitionKeeper } from "./partition_keeper.ts";

export interface ClusterNodeOptions {
  readonly engine: Omit<EngineOptions, "name" | "log" | "signal">;
  /** The cluster's name: letters, digits, `_` and `-`. */
  readonly cluster: string;
  /** This node's name: letters, digits, `_` and `-`, 32 at most; the same at each start. */
  readonly node: string;
  /** A power of two, the same for all nodes. */
  readonly partitions: number;
  /** Base64 of SHA-256 over the public `server_key`. */
  readonly keyHash: string;
  /** NATS servers that keep each log. @default 3 where they form a cluster, else 1 */
  readonly replicas?: number;
  /** Bytes of a log after which a snapshot is taken. @default 67108864 */
  readonly snapshotAfter?: number;
  readonly log: (level: "info" | "warn" | "error", message: string, error?: unknown) => void;
  /** Ends joining. */
  readonly signal: AbortSignal;
}

/** What a node closes when it is cut off, and opens again: the server of its sessions. */
export interface SuspendedServer {
  suspend(reason: string): Promise<void>;
  resume(): void;
}

/** Bytes of the largest batch of a log, and of what is around it. */
const leastPayload = (1 << 19) + 4096;
/** Milliseconds in which what waits is stored when a node ends. */
const lastWrites = 3_000;

interface Parts {
  readonly engine: Engine;
  readonly bucket: Bucket;
  readonly logs: ClusterStreams;
}

/** A node of a cluster: owns some of the partitions, and gives the commands of its sessions to whoever owns the others. */
export class ClusterNode implements ServerCluster, AsyncDisposable {
  readonly handshakes: ClusterHandshakes;
  readonly #options: ClusterNodeOptions;
  readonly #parts: Parts;
  readonly #lease: NodeLease;
  readonly #gate: LeaseGate;
  readonly #streams: NodeStreams;
  readonly #owners: OwnerStreams;
  readonly #questions: OperatorQuestions;
  readonly #ownerChanges: OwnerChanges;
  readonly #failed = Promise.withResolvers<never>();
  #keeper: PartitionKeeper | null = null;
  #sessions: ClusterSessions | null = null;
  #server: SuspendedServer | null = null;
  readonly #ending = new AbortController();
  #isCut = false;
  /** It was taken for dead, and has not looked yet what others have claimed. */
  #isUnconfirmed = false;
  #confirmations = 0;

  private constructor(options: ClusterNodeOptions, parts: Parts & { readonly lease: NodeLease }) {
    const { node, cluster, partitions } = options;
    const { engine, lease } = parts;
    this.#options = options;
    this.#parts = parts;
    this.#lease = lease;
    this.#failed.promise.catch(() => {});
    this.#gate = new LeaseGate(() => lease.holds);
    const prefix = linkPrefix(cluster);
    this.#streams = new NodeStreams({
      engine,
      prefix,
      node,
      accept: (request, stream) =>
        this.#keeper === null ? "it is starting" : this.#owners.accept(request, stream),
    });
    this.#owners = new OwnerStreams({ node, keeper: () => this.#keeper!, streams: this.#streams });
    this.handshakes = new ClusterHandshakes({
      connection: engine.connection,
      prefix,
      node,
      partitions,
      ownerOf: (partition) => this.#keeper?.ownership[partition]?.node ?? null,
      add: async (partition, digest) => {
        const owned = this.#keeper?.serves(partition);
        if (owned === undefined) return null;
        const isNew = await owned.stores.addHandshake(digest);
        while (!this.#gate.isOpen) {
          this.#ending.signal.throwIfAborted();
          await this.#gate.opened(this.#ending.signal);
        }
        return isNew;
      },
    });
    this.#ownerChanges = new OwnerChanges(partitions);
    this.#questions = new OperatorQuestions({
      connection: engine.connection,
      prefix,
      node,
      answer: () => ({ status: this.status, notReady: this.notReady() }),
      drain: (isDraining) => lease.drain(isDraining),
      log: options.log,
    });
  }

  /**
   * Joins a cluster, which is made when there is none. Resolves when the lease of this node is stored; the node takes
   * partitions when a server uses it. Throws `RangeError` for what cannot be, and `EngineError`.
   */
  static async join(options: ClusterNodeOptions): Promise<ClusterNode> {
    const { cluster, node, partitions, keyHash, log } = options;
    if (!/^[A-Za-z0-9_-]{1,32}$/.test(cluster)) {
      throw new RangeError(
        `Cannot join the cluster: its name ${JSON.stringify(cluster.slice(0, 50))} is not made of 1 to 32 ` +
          "letters, digits, _ and -",
      );
    }
    await using resources = new AsyncDisposableStack();
    // What has joined leaves when it is disposed, not when the signal aborts: then it gives its partitions away first.
    const joining = new AbortController();
    const { signal } = joining;
    const end = () => joining.abort(options.signal.reason);
    options.signal.addEventListener("abort", end);
    if (options.signal.aborted) end();
    using _listening = { [Symbol.dispose]: () => options.signal.removeEventListener("abort", end) };
    const engine = resources.use(
      await Engine.connect({ ...options.engine, name: `smp ${node}`, log, signal }),
    );
    const { connection } = engine;
    checkPayload(connection.info?.max_payload);
    const replicas = options.replicas ?? (connection.info?.cluster === undefined ? 1 : 3);
    const changeServer = () => engine.changeServer();
    const bucket = await openBucket(connection, { name: cluster, replicas, log, signal, changeServer });
    const links = linkPrefix(cluster);
    const own = ["stream", "handshake", "operator"].map((what) => `${links}.${node}.${what}`);
    await checkLinks({ connection, own, heard: [heardSubject(cluster)], signal });
    const events: LeaseEvent[] = [];
    let self: ClusterNode | null = null;
    const lease = resources.use(
      await NodeLease.join({
        bucket,
        connectivity: engine,
        node,
        cluster: { keyHash, partitions },
        onEvent: (event) => self === null ? void events.push(event) : self.#on(event),
        log,
        signal,
      }),
    );
    const logs = await ClusterStreams.open({
      connection,
      bucket,
      name: cluster,
      partitions,
      replicas,
      signal,
      log,
    });
    self = new ClusterNode(options, { engine, bucket, logs, lease });
    resources.move();
    for (const event of events) self.#on(event);
    return self;
  }

  /** Rejects when this node cannot go on: another process runs under its name, or NATS has an older state than before. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** Why no client should be sent here; `null` when all is well. */
  notReady(): string | null {
    if (!this.#lease.holds) return "the node's lease could not be renewed";
    // Where only some have none, other nodes are no better: a node has died, and its partitions are being taken over.
    const isOwned = this.#keeper?.ownership.some((owner) => owner !== null) ?? false;
    return isOwned ? null : "no partition has an owner yet";
  }

  get status(): NodeStatus {
    const { node, partitions } = this.#options;
    const { incarnation, holds, age: leaseAge, members, now } = this.#lease;
    const own = new Map([...this.#keeper?.all ?? []].map((owned) => [owned.partition, owned.status]));
    const ownership = this.#keeper?.ownership ?? [];
    const sessions = this.#sessions?.counts ?? [];
    return {
      node,
      incarnation,
      holds,
      leaseAge,
      nodes: members.map(({ node, state, incarnation, owned, seenAt }) => ({
        node,
        state,
        incarnation,
        partitions: state === "gone" ? 0 : owned.size,
        leaseAge: now - seenAt,
      })),
      partitions: Array.from({ length: partitions }, (_, partition) => ({
        partition,
        owner: ownership[partition] ?? null,
        ownerChanges: this.#ownerChanges.counts[partition]!,
        own: own.get(partition) ?? null,
        isClaimed: this.#keeper?.claiming.has(partition) ?? false,
        unable: this.#keeper?.unable(partition) ?? null,
        sessions: sessions[partition] ?? null,
      })),
      streams: this.#streams.size,
    };
  }

  route(
    brokers: LocalBrokers,
    { turns, metrics, limits }: Parameters<ServerCluster["route"]>[1],
  ): PartitionOwner {
    const { node, partitions, snapshotAfter, log } = this.#options;
    this.#keeper = new PartitionKeeper({
      node,
      partitions,
      lease: this.#lease,
      streams: this.#parts.logs,
      gate: this.#gate,
      brokers,
      turns,
      restored: (error) => this.#failed.reject(error),
      changed: () => this.#ownersChanged(),
      log,
      ...(snapshotAfter !== undefined && { snapshotAfter }),
    });
    return this.#sessions = new ClusterSessions({
      partitions,
      metrics,
      limits,
      connect: (partition, signal) => this.#owners.connect(partition, signal),
      forNew: () => this.#forNew(),
    });
  }

  /** Closes its sessions when this node is cut off. */
  use(server: SuspendedServer): void {
    this.#server = server;
    if (this.#isCut) void server.suspend(cutReason);
  }

  /** Gives its partitions to the others, if there are any; the sessions of this node go on. */
  async drain({ deadline }: { readonly deadline: number }): Promise<void> {
    const signal = AbortSignal.timeout(deadline);
    await Promise.race([
      this.#lease.drain(),
      new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve())),
    ]);
    await this.#keeper?.handOver(signal);
  }

  /** Leaves the cluster; its server has stopped before. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#sessions?.[Symbol.asyncDispose]();
    await this.#keeper?.end(AbortSignal.timeout(lastWrites));
    this.#questions[Symbol.dispose]();
    await this.handshakes[Symbol.asyncDispose]();
    await this.#streams[Symbol.asyncDispose]();
    await this.#lease[Symbol.asyncDispose]();
    await this.#parts.engine[Symbol.asyncDispose]();
  }

  #on(event: LeaseEvent): void {
    switch (event.type) {
      case "pause":
        return this.#keeper?.pause();
      case "resume":
        return void this.#resume(event.wasGone);
      case "cut":
        this.#isCut = true;
        return void this.#server?.suspend(cutReason);
      case "members":
        return this.#membersChanged();
      case "superseded":
        // They would wait for logs that are paused for good.
        void this.handshakes[Symbol.asyncDispose]();
        return this.#failed.reject(
          new EngineError(
            "NAME_IN_USE",
            `Another node runs under the name ${this.#options.node}: this one stops, give each its own`,
          ),
        );
      case "restored":
        return this.#failed.reject(restoredError(event.what));
      default:
        return event satisfies never;
    }
  }

  async #resume(wasGone: boolean): Promise<void> {
    if (wasGone) this.#isUnconfirmed = true;
    if (this.#isUnconfirmed && this.#keeper !== null) {
      this.#gate.shut();
      const number = ++this.#confirmations;
      try {
        await this.#keeper.confirm();
      } catch {
        // The node ends.
        return;
      }
      // It may have been taken for dead again.
      if (number !== this.#confirmations || !this.#lease.holds) return;
    }
    this.#isUnconfirmed = false;
    this.#gate.open();
    this.#keeper?.resume();
    this.#owners.look();
    if (!this.#isCut || !this.#lease.holds) return;
    this.#isCut = false;
    this.#server?.resume();
  }

  #membersChanged(): void {
    for (const { node, state } of this.#lease.members) {
      if (state === "gone" && node !== this.#options.node) this.#streams.drop(node);
    }
    if (this.#keeper === null) return;
    this.#keeper.look();
    this.#ownersChanged();
  }

  #ownersChanged(): void {
    // A partition may be claimed while the keeper is being made.
    if (this.#keeper !== null) this.#ownerChanges.look(this.#keeper.ownership);
    this.#owners.look();
  }

  #forNew(): readonly number[] {
    const own = this.#keeper!.serving;
    if (own.length > 0) return own;
    const { partitions } = this.#options;
    const all = [...Array(partitions).keys()];
    const { ownership } = this.#keeper!;
    const owned = all.filter((partition) => ownership[partition] !== null);
    return owned.length > 0 ? owned : all;
  }
}

function linkPrefix(cluster: string): string {
  return `smp-link.${cluster}`;
}

const cutReason = "there is no connection to any NATS server";

function checkPayload(most = leastPayload): void {
  if (most >= leastPayload) return;
  throw new EngineError(
    "MAX_PAYLOAD",
    `Cannot use NATS: its messages have ${most} bytes at most: set max_payload of all servers to 1MB`,
  );
}
