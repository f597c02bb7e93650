import { assert, assertEquals, assertRejects } from "@std/assert";
import { EngineError } from "../../../server/cluster/error.ts";
import { NodeLease } from "../../../server/cluster/lease.ts";
import type { LeaseEvent } from "../../../server/cluster/lease_options.ts";
import { parseLease } from "../../../server/cluster/members.ts";
import { BucketStore, ManualClock, settle, TestMachine } from "../../support/cluster.ts";

const cluster = { keyHash: "a2V5", partitions: 4 };

/** Nodes of one cluster, each on a machine of its own. */
class World implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly store = new BucketStore();
  readonly events = new Map<NodeLease, LeaseEvent[]>();
  readonly machines = new Map<NodeLease, TestMachine>();

  join(node: string, options: { machine?: TestMachine; cluster?: typeof cluster } = {}): Promise<NodeLease> {
    const machine = options.machine ?? new TestMachine(this.store, this.clock);
    const events: LeaseEvent[] = [];
    return NodeLease.join({
      node,
      bucket: machine,
      connectivity: machine,
      clock: machine.clock,
      cluster: options.cluster ?? cluster,
      onEvent: (event) => void events.push(event),
      log: () => {},
      signal: new AbortController().signal,
    }).then((lease) => {
      this.events.set(lease, events);
      this.machines.set(lease, machine);
      return lease;
    });
  }

  /** What a node was told, without the news of members. */
  told(lease: NodeLease): string[] {
    return this.events.get(lease)!.map(({ type }) => type).filter((type) => type !== "members");
  }

  stateOf(node: string): string | undefined {
    return parseLease(this.store.entries.get(`node.${node}`)?.value ?? "")?.state;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.store.hasLeader = true;
    const ending = [...this.machines].map(async ([lease, machine]) => {
      await machine.thaw();
      await lease[Symbol.asyncDispose]();
    });
    let hasEnded = false;
    const ended = Promise.all(ending).then(() => hasEnded = true);
    while (!hasEnded) await this.clock.advance(1000);
    await ended;
  }
}

Deno.test("nodes that join see each other, hold their leases, and are told so", async () => {
  await using world = new World();
  const a = await world.join("a");
  const b = await world.join("b");
  await world.clock.advance(20_000, () => assert(a.holds && b.holds));
  for (const lease of [a, b]) {
    assertEquals(lease.live, ["a", "b"]);
    assertEquals(world.told(lease), ["resume"]);
  }
});

Deno.test("a node that dies is taken for dead four to five seconds after its last renewal", async () => {
  await using world = new World();
  const a = await world.join("a");
  const b = await world.join("b");
  await world.clock.advance(5000);
  world.machines.get(b)!.freeze();
  const diedAt = world.clock.now();
  await world.clock.advance(2950, () => assertEquals(world.stateOf("b"), "live"));
  await world.clock.advance(2100);
  assertEquals(world.stateOf("b"), "gone");
  const gone = world.events.get(a)!.filter(({ type }) => type === "members").at(-1)!;
  assert(gone.at - diedAt >= 3000 && gone.at - diedAt <= 5050, `${gone.at - diedAt}`);
  assertEquals(a.live, ["a"]);
  assertEquals(world.told(a), ["resume"]);
});

Deno.test("nobody is taken for dead while the engine elects, and all pause and go on", async () => {
  await using world = new World();
  const leases = [await world.join("a"), await world.join("b"), await world.join("c")];
  await world.clock.advance(3000);
  world.store.hasLeader = false;
  await world.clock.advance(2900);
  await world.clock.advance(5000);
  assert(leases.every(({ holds }) => !holds));
  world.store.hasLeader = true;
  await world.clock.advance(
    20_000,
    () => assert(["a", "b", "c"].every((node) => world.stateOf(node) === "live")),
  );
  for (const lease of leases) {
    assert(lease.holds);
    assertEquals(world.told(lease), ["resume", "pause", "resume"]);
    const [first, , last] = world.events.get(lease)!.filter(({ type }) => type !== "members");
    assert(first?.type === "resume" && last?.type === "resume");
    assertEquals(last.incarnation, first.incarnation);
    assertEquals(last.wasGone, false);
  }
});

Deno.test("a process that was stopped holds nothing when it wakes up, and learns that it was taken for dead", async () => {
  await using world = new World();
  const a = await world.join("a");
  const b = await world.join("b");
  b.own(2, 7);
  await world.clock.advance(3000);
  assertEquals(a.owners, [null, null, "b", null]);
  const { incarnation } = b;
  const machine = world.machines.get(b)!;
  machine.freeze();
  await world.clock.advance(20_000);
  assertEquals(world.stateOf("b"), "gone");
  assertEquals(a.owners, [null, null, null, null]);
  // Whatever is done first when it goes on.
  assertEquals(b.holds, false);
  await machine.thaw();
  await world.clock.advance(2000);
  assertEquals(world.told(b), ["resume", "pause", "resume"]);
  const resumed = world.events.get(b)!.findLast(({ type }) => type === "resume")!;
  assert(resumed.type === "resume" && resumed.wasGone);
  assert(resumed.incarnation > incarnation && b.incarnation === resumed.incarnation);
  assertEquals(a.live, ["a", "b"]);
  assert(b.holds);
});

Deno.test("a process that was stopped shorter pauses, and goes on as it has its lease still", async () => {
  await using world = new World();
  const a = await world.join("a");
  const b = await world.join("b");
  await world.clock.advance(3000);
  const machine = world.machines.get(b)!;
  machine.freeze();
  await world.clock.advance(3500);
  assertEquals(b.holds, false);
  await machine.thaw();
  await world.clock.advance(2000);
  assertEquals(world.told(b), ["resume", "pause", "resume"]);
  const resumed = world.events.get(b)!.findLast(({ type }) => type === "resume")!;
  assert(resumed.type === "resume" && !resumed.wasGone);
  assertEquals(a.live, ["a", "b"]);
});

Deno.test("a lost acknowledgement of a renewal makes no node believe that it is dead", async () => {
  await using world = new World();
  await world.join("a");
  const b = await world.join("b");
  const machine = world.machines.get(b)!;
  for (let i = 0; i < 10; i++) {
    machine.losesAnswers = true;
    await world.clock.advance(1500);
    machine.losesAnswers = false;
    await world.clock.advance(1500);
  }
  const resumed = world.events.get(b)!.filter((event) => event.type === "resume");
  assert(resumed.every(({ wasGone, incarnation }) => !wasGone && incarnation === b.incarnation));
});

Deno.test("a node that joins while acknowledgements are lost recognizes what it has written", async () => {
  await using world = new World();
  const machine = new TestMachine(world.store, world.clock);
  machine.losesAnswers = true;
  const joining = world.join("a", { machine });
  await world.clock.advance(4000);
  machine.losesAnswers = false;
  await world.clock.advance(4000);
  assert((await joining).holds);
});

Deno.test("a node without any server for five seconds is another incarnation, after less it is the same", async () => {
  await using world = new World();
  await world.join("a");
  const b = await world.join("b");
  const machine = world.machines.get(b)!;
  const first = b.incarnation;
  await world.clock.advance(1000);
  machine.lose();
  await world.clock.advance(2000);
  machine.reconnect();
  await world.clock.advance(2000);
  assertEquals(b.incarnation, first);
  assertEquals(world.told(b), ["resume", "pause", "resume"]);
  machine.lose();
  const lostAt = world.clock.now();
  await world.clock.advance(5500);
  assertEquals(world.told(b).slice(3), ["pause", "cut"]);
  const cut = world.events.get(b)!.at(-1)!;
  assert(cut.type === "cut" && cut.at - lostAt === 5000);
  machine.reconnect();
  await world.clock.advance(2000);
  assertEquals(world.told(b).slice(3), ["pause", "cut", "resume"]);
  assert(b.incarnation > first && b.holds);
});

Deno.test("where all lose their servers nobody is gone, and all are other incarnations", async () => {
  await using world = new World();
  const leases = [await world.join("a"), await world.join("b")];
  const before = leases.map(({ incarnation }) => incarnation);
  for (const lease of leases) world.machines.get(lease)!.lose();
  await world.clock.advance(30_000);
  for (const lease of leases) world.machines.get(lease)!.reconnect();
  await world.clock.advance(
    10_000,
    () => assert(world.stateOf("a") === "live" && world.stateOf("b") === "live"),
  );
  leases.forEach((lease, i) => assert(lease.incarnation > before[i]! && lease.holds));
});

Deno.test("a node that leaves is gone at once", async () => {
  await using world = new World();
  const a = await world.join("a");
  const b = await world.join("b");
  b.own(1, 5);
  await settle();
  assertEquals(a.owners[1], "b");
  await b[Symbol.asyncDispose]();
  await settle();
  assertEquals(a.live, ["a"]);
  assertEquals(a.owners[1], null);
  assertEquals(b.holds, false);
});

Deno.test("what a node owns and that it drains is told at once, and survives renewals", async () => {
  await using world = new World();
  const a = await world.join("a");
  const b = await world.join("b");
  b.own(3, 8);
  await settle();
  assertEquals(a.owners, [null, null, null, "b"]);
  await b.drain();
  await settle();
  assertEquals(a.live, ["a"]);
  assertEquals(a.members.map(({ state }) => state), ["live", "draining"]);
  await world.clock.advance(3000);
  assertEquals(a.owners, [null, null, null, "b"]);
  assertEquals(a.live, ["a"]);
  assert(b.holds);
  b.disown(3);
  await settle();
  assertEquals(a.owners, [null, null, null, null]);
});

Deno.test("a node that starts again has a greater incarnation, whether it left or was killed", async () => {
  await using world = new World();
  await world.join("a");
  const first = await world.join("b");
  await first[Symbol.asyncDispose]();
  const second = await world.join("b");
  assert(second.incarnation > first.incarnation);
  world.machines.get(second)!.freeze();
  const joining = world.join("b");
  await world.clock.advance(5000);
  const third = await joining;
  assert(third.incarnation > second.incarnation);
  // The killed one was only stopped: it sees that another has its name.
  await world.machines.get(second)!.thaw();
  await world.clock.advance(2000);
  assertEquals(world.told(second).at(-1), "superseded");
  assertEquals(second.holds, false);
  await world.clock.advance(5000);
  assert(third.holds);
});

Deno.test("a second node of one name is refused while the first runs", async () => {
  await using world = new World();
  const a = await world.join("a");
  const joining = assertRejects(() => world.join("a"), EngineError);
  await world.clock.advance(5000);
  assertEquals((await joining).code, "NAME_IN_USE");
  assert(a.holds);
  assertEquals(world.told(a), ["resume"]);
});

/** Two nodes whose bucket says what it did seven seconds ago, until what is given is called. */
async function withOlderBucket(world: World) {
  const a = await world.join("a");
  await world.clock.advance(3000);
  const putBack = world.store.backUp();
  await a[Symbol.asyncDispose]();
  const nodes = [await world.join("a"), await world.join("b")];
  await world.clock.advance(10_000);
  const goOn = world.store.backUp();
  putBack();
  return { nodes, goOn };
}

Deno.test("nodes learn that the bucket was put back to an older state, be that of before their start", async () => {
  await using world = new World();
  const { nodes } = await withOlderBucket(world);
  await world.clock.advance(6000);
  for (const lease of nodes) {
    assertEquals(world.told(lease).at(-1), "restored");
    assert(!lease.holds);
  }
});

Deno.test("nodes ask for another leader of the bucket when that one is behind, and go on", async () => {
  await using world = new World();
  const { nodes, goOn } = await withOlderBucket(world);
  let asked = 0;
  for (const lease of nodes) {
    world.machines.get(lease)!.stepDown = () => {
      // The next one is no better.
      if (++asked === 3) goOn();
      return Promise.resolve(true);
    };
  }
  await world.clock.advance(20_000);
  assert(asked <= 4, `${asked}`);
  for (const lease of nodes) {
    assertEquals(world.told(lease).includes("restored"), false);
    assert(lease.holds);
  }
});

Deno.test("nodes believe in the end that the bucket was put back, whoever leads it", async () => {
  await using world = new World();
  const { nodes } = await withOlderBucket(world);
  for (const lease of nodes) world.machines.get(lease)!.stepDown = () => Promise.resolve(true);
  await world.clock.advance(55_000);
  for (const lease of nodes) assertEquals([world.told(lease).at(-1), lease.holds], ["pause", false]);
  await world.clock.advance(10_000);
  for (const lease of nodes) assertEquals(world.told(lease).at(-1), "restored");
});

Deno.test("a node whose lease was overwritten, or not acknowledged, has not seen an older state", async () => {
  await using world = new World();
  const a = await world.join("a");
  await world.join("b");
  world.machines.get(a)!.losesAnswers = true;
  await world.clock.advance(2000);
  world.machines.get(a)!.losesAnswers = false;
  world.machines.get(a)!.freeze();
  await world.clock.advance(10_000);
  await world.machines.get(a)!.thaw();
  await world.clock.advance(5000);
  assert(a.holds);
  assert(!world.told(a).includes("restored"));
});

Deno.test("a second node of one name takes its place only when the first one holds nothing any more", async () => {
  await using world = new World();
  const first = await world.join("a");
  await world.join("b");
  await world.clock.advance(3000);
  const { process } = first.members[0]!;
  world.machines.get(first)!.lose();
  const joining = world.join("a");
  await world.clock.advance(8000, () => {
    const stored = parseLease(world.store.entries.get("node.a")!.value)!;
    assert(stored.process === process && stored.state === "live" || !first.holds);
  });
  assert((await joining).holds);
});

Deno.test("nodes with another key, another number of partitions, or no name are refused", async () => {
  await using world = new World();
  await world.join("a");
  const other = await assertRejects(
    () => world.join("b", { cluster: { ...cluster, keyHash: "b3RoZXI" } }),
    EngineError,
  );
  assertEquals(other.code, "OTHER_CLUSTER");
  assert(other.message.includes("another server_key"));
  const more = await assertRejects(
    () => world.join("b", { cluster: { ...cluster, partitions: 8 } }),
    EngineError,
  );
  assertEquals(more.code, "OTHER_CLUSTER");
  assert(more.message.includes("4 partitions, not 8"));
  assertEquals(world.stateOf("b"), undefined);
  await assertRejects(() => world.join("a.b"), RangeError);
});

Deno.test("a node that renews just before it would be taken for dead is not", async () => {
  await using world = new World();
  const a = await world.join("a");
  const b = await world.join("b");
  await world.clock.advance(2000);
  world.machines.get(b)!.freeze();
  let hasTried = false;
  world.machines.get(a)!.onWrite = (key) => {
    if (key !== "node.b" || hasTried) return;
    hasTried = true;
    const { value, revision } = world.store.entries.get(key)!;
    world.store.write(key, value, revision);
  };
  await world.clock.advance(5000);
  assert(hasTried);
  assertEquals(world.stateOf("b"), "live");
  assertEquals(a.live, ["a", "b"]);
  await world.clock.advance(4000);
  assertEquals(world.stateOf("b"), "gone");
});

Deno.test("a renewal that was sent before the process was stopped does not make it hold its lease", async () => {
  await using world = new World();
  await world.join("a");
  const b = await world.join("b");
  const machine = world.machines.get(b)!;
  await world.clock.advance(2000);
  machine.latency = 100;
  await world.clock.advance(1150);
  // One is stored, its answer is under way.
  const { revision } = world.store.entries.get("node.b")!;
  machine.freeze();
  await world.clock.advance(10_000);
  assertEquals(world.stateOf("b"), "gone");
  assert(world.store.entries.get("node.b")!.revision > revision);
  await machine.thaw();
  assertEquals(b.holds, false);
  await settle();
  assertEquals(b.holds, false);
  await world.clock.advance(2000);
  assert(b.holds);
  const resumed = world.events.get(b)!.findLast((event) => event.type === "resume")!;
  assert(resumed.wasGone);
  assertEquals(world.told(b), ["resume", "pause", "resume"]);
});

Deno.test("a process that was stopped while it was cut off is another incarnation", async () => {
  await using world = new World();
  await world.join("a");
  const b = await world.join("b");
  const machine = world.machines.get(b)!;
  const { incarnation } = b;
  machine.lose();
  await world.clock.advance(1000);
  machine.freeze();
  await world.clock.advance(5000);
  machine.reconnect();
  await machine.thaw();
  await world.clock.advance(2000);
  assert(b.incarnation > incarnation && b.holds);
  assertEquals(world.told(b), ["resume", "pause", "cut", "resume"]);
});

Deno.test("a node that was paused with its clock, and has lost its connection, holds nothing before it has renewed its lease", async () => {
  await using world = new World();
  await world.join("a");
  const b = await world.join("b");
  const machine = world.machines.get(b)!;
  await world.clock.advance(2000);
  machine.freeze();
  machine.lose();
  await world.clock.advance(60_000);
  assertEquals(world.stateOf("b"), "gone");
  machine.behind = 60_000;
  await machine.thaw();
  assertEquals(b.holds, false);
  machine.reconnect();
  assertEquals(b.holds, false);
  await world.clock.advance(2000);
  assert(b.holds);
  const resumed = world.events.get(b)!.findLast((event) => event.type === "resume")!;
  assert(resumed.wasGone);
  assertEquals(world.told(b), ["resume", "pause", "resume"]);
});

Deno.test("a node that was paused with its clock holds nothing when it sees that it was taken for dead", async () => {
  await using world = new World();
  await world.join("a");
  const b = await world.join("b");
  const machine = world.machines.get(b)!;
  await world.clock.advance(2000);
  machine.freeze();
  await world.clock.advance(60_000);
  machine.behind = 60_000;
  machine.latency = 500;
  await machine.thaw();
  assertEquals(b.holds, false);
  await world.clock.advance(5000);
  assert(b.holds);
  assertEquals(world.told(b), ["resume", "pause", "resume"]);
});

Deno.test("a renewal that was sent before the connection was lost does not make a node hold its lease", async () => {
  await using world = new World();
  await world.join("a");
  const b = await world.join("b");
  const machine = world.machines.get(b)!;
  await world.clock.advance(2000);
  machine.latency = 300;
  const { revision } = world.store.entries.get("node.b")!;
  let isUnderWay = false;
  await world.clock.advance(1500, () => {
    if (isUnderWay || world.store.entries.get("node.b")!.revision === revision) return;
    isUnderWay = true;
    machine.lose();
    machine.reconnect();
  });
  const next = world.store.entries.get("node.b")!.revision;
  assert(isUnderWay && next > revision);
  await world.clock.advance(2000);
  const [paused, resumed] = world.events.get(b)!.filter(({ type }) => type !== "members").slice(-2);
  assertEquals([paused!.type, resumed!.type], ["pause", "resume"]);
  // Its answer takes as long, the next one and its answer as long again.
  assert(resumed!.at - paused!.at > 300, `${resumed!.at - paused!.at}`);
});

Deno.test("that a node is gone is noticed also by those who could not see it", async () => {
  await using world = new World();
  const a = await world.join("a");
  const b = await world.join("b");
  const c = await world.join("c");
  await world.clock.advance(2000);
  world.machines.get(b)!.freeze();
  await world.clock.advance(2500);
  world.machines.get(a)!.lose();
  await world.clock.advance(2400);
  world.machines.get(a)!.reconnect();
  await world.clock.advance(8000);
  assertEquals(a.live, ["a", "c"]);
  assertEquals(c.live, ["a", "c"]);
});

Deno.test("a node whose server is cut off from the others connects to another one, and goes on", async () => {
  await using world = new World();
  const a = await world.join("a");
  const b = await world.join("b");
  const machine = world.machines.get(b)!;
  for (let changes = 1; changes <= 2; changes++) {
    await world.clock.advance(3000);
    machine.hasDeafServer = true;
    await world.clock.advance(14_000);
    assertEquals([machine.serverChanges, b.holds, a.live], [changes - 1, false, ["a"]]);
    await world.clock.advance(5000);
    assertEquals([machine.serverChanges, b.holds, a.live], [changes, true, ["a", "b"]]);
  }
});

Deno.test("a node that begins at a server that is cut off from the others joins by another one", async () => {
  await using world = new World();
  await world.join("a");
  const machine = new TestMachine(world.store, world.clock);
  machine.hasDeafServer = true;
  const joining = world.join("b", { machine });
  await world.clock.advance(22_000);
  assertEquals(machine.serverChanges, 1);
  assert((await joining).holds);
});

Deno.test("a node that sees nothing of what is stored, its own renewals neither, connects to another server", async () => {
  await using world = new World();
  const a = await world.join("a");
  const b = await world.join("b");
  const machine = world.machines.get(b)!;
  machine.hasMuteServer = true;
  await world.clock.advance(10_000);
  a.own(1, 5);
  await world.clock.advance(3000);
  assertEquals([machine.serverChanges, b.owners[1]], [0, null]);
  await world.clock.advance(5000);
  assertEquals([machine.serverChanges, b.owners[1]], [1, "a"]);
  assertEquals(world.told(b), ["resume", "pause", "resume"]);
});

Deno.test("without any majority nodes change their servers ever more seldom", async () => {
  await using world = new World();
  const a = await world.join("a");
  const machine = world.machines.get(a)!;
  world.store.hasLeader = false;
  await world.clock.advance(100_000);
  assertEquals(machine.serverChanges, 2);
  await world.clock.advance(1_500_000);
  assert(machine.serverChanges >= 8 && machine.serverChanges <= 10, `${machine.serverChanges}`);
  world.store.hasLeader = true;
  await world.clock.advance(2000);
  assert(a.holds);
  world.store.hasLeader = false;
  const before = machine.serverChanges;
  await world.clock.advance(20_000);
  assertEquals(machine.serverChanges, before + 1);
});

Deno.test("a node that was stopped, or had no server at all, does not change its server for that", async () => {
  await using world = new World();
  const a = await world.join("a");
  const machine = world.machines.get(a)!;
  await world.clock.advance(60_000);
  machine.freeze();
  await world.clock.advance(60_000);
  await machine.thaw();
  await world.clock.advance(3000);
  machine.lose();
  await world.clock.advance(60_000);
  machine.reconnect();
  await world.clock.advance(3000);
  assert(a.holds);
  assertEquals(machine.serverChanges, 0);
});
