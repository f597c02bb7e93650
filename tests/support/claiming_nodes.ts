import { LocalBrokers } from "../../server/broker/local_brokers.ts";
import { NodeLease } from "../../server/cluster/lease.ts";
import { LeaseGate } from "../../server/cluster/lease_gate.ts";
import type { LogStream } from "../../server/cluster/log_stream.ts";
import type { Member } from "../../server/cluster/members.ts";
import { PartitionKeeper, type PartitionKeeperOptions } from "../../server/cluster/partition_keeper.ts";
import { PartitionLog } from "../../server/cluster/partition_log.ts";
import { Authorizer } from "../../server/guard/authorization.ts";
import { Turns } from "../../server/guard/turns.ts";
import { Metrics } from "../../server/observe/metrics.ts";
import { fakeVerify } from "./broker.ts";
import { BucketStore, ManualClock, TestMachine } from "./cluster.ts";
import { MemorySnapshots, MemoryStream } from "./memory_stream.ts";
import { until } from "./wait.ts";

/** A node with its lease and its partitions. */
export interface ClaimingNode {
  readonly lease: NodeLease;
  readonly keeper: PartitionKeeper;
  /** Partitions whose logs it cannot read. */
  readonly unreadable: Set<number>;
  /** Of each partition, how often it has begun to take it. */
  readonly attempts: readonly number[];
  readonly logged: readonly string[];
}

/** Nodes of one cluster with their logs in memory, and a clock of the test's. Partitions have logs already. */
export class ClaimingNodes implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly logs: readonly { readonly stream: MemoryStream; readonly snapshots: MemorySnapshots }[];
  readonly #nodes: ClaimingNode[] = [];
  readonly #store = new BucketStore();
  readonly #resources = new AsyncDisposableStack();

  private constructor(partitions: number) {
    this.logs = Array.from({ length: partitions }, () => ({
      stream: new MemoryStream(),
      snapshots: new MemorySnapshots(),
    }));
  }

  static async make(partitions: number): Promise<ClaimingNodes> {
    const nodes = new ClaimingNodes(partitions);
    for (const log of nodes.logs) {
      await using _former = await PartitionLog.claim({ ...log, node: "former" });
    }
    return nodes;
  }

  /** `isOld`: it is of a version that knows nothing of partitions that nodes cannot take. */
  async start(
    node: string,
    { unreadable = [], isOld = false }: { unreadable?: readonly number[]; isOld?: boolean } = {},
  ): Promise<ClaimingNode> {
    const { clock } = this;
    const machine = new TestMachine(this.#store, clock);
    let keeper: PartitionKeeper | null = null;
    const lease = await NodeLease.join({
      node,
      bucket: machine,
      connectivity: machine,
      clock: machine.clock,
      cluster: { keyHash: "a2V5", partitions: this.logs.length },
      onEvent: ({ type }) => void (type === "members" && keeper?.look()),
      log: () => {},
      signal: new AbortController().signal,
    });
    const seen = new Set(unreadable);
    const logged: string[] = [];
    const attempts: number[] = new Array(this.logs.length).fill(0);
    const turns = this.#resources.use(new Turns());
    const options = {
      node,
      partitions: this.logs.length,
      lease: isOld ? withoutUnable(lease) : lease,
      streams: {
        log: (partition: number) => {
          attempts[partition]!++;
          return Promise.resolve(unlessUnreadable(this.logs[partition]!.stream, () => seen.has(partition)));
        },
        snapshots: (partition: number) => Promise.resolve(this.logs[partition]!.snapshots),
      },
      gate: new LeaseGate(() => lease.holds),
      brokers: new LocalBrokers([], { metrics: new Metrics(), authorizer: new Authorizer(fakeVerify) }),
      turns,
      changed: () => {},
      clock,
      log: (_: string, message: string) => void logged.push(message),
    };
    keeper = new PartitionKeeper(options as unknown as PartitionKeeperOptions);
    const made = { lease, keeper, unreadable: seen, attempts, logged };
    this.#nodes.push(made);
    return made;
  }

  /** Who owns each partition, as all nodes see it; `null` where they differ. */
  get owners(): readonly (string | null)[] {
    const all = this.#nodes.map(({ keeper }) => keeper.ownership.map((owner) => owner?.node ?? null));
    return this.logs.map((_, partition) => {
      const [first, ...others] = all.map((owners) => owners[partition]!);
      return others.every((other) => other === first) ? first! : null;
    });
  }

  /** Lets so many seconds go by. */
  async after(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      await this.clock.advance(1000);
      for (const { keeper } of this.#nodes) keeper.look();
      await until(() => this.#nodes.every(({ keeper }) => keeper.claiming.size === 0));
    }
  }

  /** Lets time go by until it is so, for so many seconds at most. */
  async until(condition: () => boolean, seconds = 60): Promise<void> {
    for (let i = 0; !condition(); i++) {
      if (i === seconds) throw new Error(`it was not so after ${seconds} s`);
      await this.after(1);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { keeper } of this.#nodes) await keeper.end(AbortSignal.timeout(1_000));
    const ended = Promise.all(this.#nodes.map(({ lease }) => lease[Symbol.asyncDispose]()));
    await this.clock.advance(5_000);
    await ended;
    await this.#resources.disposeAsync();
  }
}

/** The same log; while it is unreadable its batches are as if they were of a later version. */
function unlessUnreadable(stream: MemoryStream, isUnreadable: () => boolean): LogStream {
  return {
    publish: (...given) => stream.publish(...given),
    last: (kind) => stream.last(kind),
    state: () => stream.state(),
    purge: (first) => stream.purge(first),
    stepDown: () => stream.stepDown(),
    get: async (sequence) => isUnreadable() ? new Uint8Array([2]) : await stream.get(sequence),
  };
}

function withoutUnable(lease: NodeLease): NodeLease {
  const without = (member: Member) => ({ ...member, unable: new Set<number>() });
  return new Proxy(lease, {
    get(target, name) {
      if (name === "members") return target.members.map(without);
      if (name === "setUnable") return () => {};
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
