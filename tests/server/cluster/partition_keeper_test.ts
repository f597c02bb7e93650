import { assertEquals } from "@std/assert";
import { LocalBrokers } from "../../../server/broker/local_brokers.ts";
import { LeaseGate } from "../../../server/cluster/lease_gate.ts";
import { PartitionKeeper, type PartitionKeeperOptions } from "../../../server/cluster/partition_keeper.ts";
import { PartitionLog } from "../../../server/cluster/partition_log.ts";
import { Authorizer } from "../../../server/guard/authorization.ts";
import { Turns } from "../../../server/guard/turns.ts";
import { Metrics } from "../../../server/observe/metrics.ts";
import { fakeVerify } from "../../support/broker.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { MemorySnapshots, MemoryStream } from "../../support/memory_stream.ts";
import { soon, until } from "../../support/wait.ts";

const permissions = "none";

/** A node that claims eight partitions, none of which has a log before a test says that it cannot have one. */
class ClaimingNode implements AsyncDisposable {
  /** Rejects what was asked for of a partition, in the order in which they were claimed. */
  readonly begun = new Map<number, (error: Error) => void>();
  readonly logged: string[] = [];
  /** Partitions that it has left to others. */
  readonly unable: number[] = [];
  readonly clock = new FakeClock();
  readonly keeper: PartitionKeeper;

  constructor() {
    const parts = {
      node: "a",
      partitions: 8,
      lease: {
        holds: true,
        members: [],
        live: ["a"],
        isUnable: () => false,
        setUnable: (partition: number) => this.unable.push(partition),
      },
      streams: { log: (partition: number) => new Promise((_, reject) => this.begun.set(partition, reject)) },
      changed: () => {},
      clock: this.clock,
      log: (_: string, message: string) => void this.logged.push(message),
    };
    this.keeper = new PartitionKeeper(parts as unknown as PartitionKeeperOptions);
    this.keeper.look();
  }

  get claimed(): readonly number[] {
    return [...this.begun.keys()];
  }

  /** Lets time go by. */
  after(milliseconds: number): readonly number[] {
    this.clock.advance(milliseconds);
    this.keeper.look();
    return this.claimed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = this.keeper.end(AbortSignal.timeout(1_000));
    for (const reject of this.begun.values()) reject(new Error("the test ends"));
    await ended;
  }
}

Deno.test("two partitions are claimed at a time, so that others have their share of the rest", {
  permissions,
}, async () => {
  await using node = new ClaimingNode();
  const [first, second] = node.claimed;
  assertEquals([...node.keeper.claiming], [first, second]);
  node.begun.get(first!)!(new Error("it has no log"));
  await until(() => node.begun.size === 3);
  assertEquals(node.logged, [`Cannot take over partition ${first}`]);
  assertEquals(node.keeper.claiming, new Set([second!, node.claimed[2]!]));
});

Deno.test(
  "a claim that takes more than 5 s holds up no other, and a partition whose claim has failed is claimed again after 5 s",
  {
    permissions,
  },
  async () => {
    await using node = new ClaimingNode();
    const [slow, failing] = node.claimed;
    assertEquals(node.after(2_000).length, 2);
    node.begun.get(failing!)!(new Error("it has no log"));
    await until(() => node.begun.size === 3);
    assertEquals(node.after(2_999).length, 3);
    // The first one counts no more, the third one does.
    assertEquals(node.after(1).length, 4);
    assertEquals(node.keeper.claiming, new Set([slow!, ...node.claimed.slice(2)]));
    // Nor do the others, 5 s after they were begun, when that of the second one failed.
    node.begun.delete(failing!);
    assertEquals(node.after(1_999).length, 3);
    const later = node.after(1);
    assertEquals(later.length, 4);
    assertEquals(later[3], failing);
  },
);

Deno.test("a node leaves nothing to others because NATS does not answer it", { permissions }, async () => {
  await using node = new ClaimingNode();
  const [first] = node.claimed;
  for (let i = 1; i <= 5; i++) {
    const fail = node.begun.get(first!)!;
    node.begun.delete(first!);
    fail(new Error("timeout"));
    await until(() => node.logged.filter((line) => line.endsWith(` ${first}`)).length === i);
    node.after(5_000);
    await until(() => node.begun.has(first!));
  }
  assertEquals(node.unable, []);
});

/** A log whose messages cannot be read for a time. */
class HeldStream extends MemoryStream {
  readonly asked = Promise.withResolvers<void>();
  readonly released = Promise.withResolvers<void>();

  override async get(sequence: number): ReturnType<MemoryStream["get"]> {
    this.asked.resolve();
    await this.released.promise;
    return await super.get(sequence);
  }
}

Deno.test(
  "a partition that another has claimed while this node loaded it, and was taken for dead, is not served",
  {
    permissions,
  },
  async () => {
    const stream = new MemoryStream(), held = new HeldStream(), snapshots = new MemorySnapshots();
    // The same log.
    held.publish = (...given) => stream.publish(...given);
    held.state = () => stream.state();
    held.messages.get = (sequence) => stream.messages.get(sequence);
    await using turns = new Turns();
    const owned: number[] = [];
    const parts = {
      node: "a",
      partitions: 1,
      lease: {
        holds: true,
        members: [],
        live: ["a"],
        own: (partition: number) => owned.push(partition),
        disown() {},
        isUnable: () => false,
        setUnable() {},
      },
      streams: { log: () => Promise.resolve(held), snapshots: () => Promise.resolve(snapshots) },
      gate: new LeaseGate(() => true),
      brokers: new LocalBrokers([], { metrics: new Metrics(), authorizer: new Authorizer(fakeVerify) }),
      turns,
      changed: () => {},
      clock: new FakeClock(),
      log: () => {},
    };
    const keeper = new PartitionKeeper(parts as unknown as PartitionKeeperOptions);
    await soon(held.asked.promise);
    keeper.pause();
    await using _next = await soon(PartitionLog.claim({ stream, snapshots, node: "b" }));
    await soon(keeper.confirm());
    keeper.resume();
    held.released.resolve();
    await until(() => !keeper.claiming.has(0));
    assertEquals([owned, keeper.serving], [[], []]);
    await keeper.end(AbortSignal.timeout(1_000));
  },
);
