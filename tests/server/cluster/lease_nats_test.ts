import { assert, assertEquals, assertRejects } from "@std/assert";
import { openBucket } from "../../../server/cluster/bucket.ts";
import { Engine } from "../../../server/cluster/engine.ts";
import { EngineError } from "../../../server/cluster/error.ts";
import { NodeLease } from "../../../server/cluster/lease.ts";
import type { LeaseEvent } from "../../../server/cluster/lease_options.ts";
import { Nats, natsLack } from "../../support/nats.ts";
import { requiring } from "../../support/requires.ts";
import { soon, until } from "../../support/wait.ts";

const test = requiring(natsLack);
const log = () => {};
const { signal } = new AbortController();

interface Node extends AsyncDisposable {
  readonly engine: Engine;
  readonly lease: NodeLease;
  readonly events: readonly LeaseEvent[];
}

async function join(
  nats: Nats,
  node: string,
  { keyHash = "key", ...credentials }: { readonly keyHash?: string; user?: string; password?: string } = {},
): Promise<Node> {
  await using resources = new AsyncDisposableStack();
  const options = { address: nats.urls.join(), name: node, log, ...credentials };
  const engine = resources.use(await soon(Engine.connect(options)));
  const bucket = await soon(openBucket(engine.connection, { name: "test", log, signal }));
  const events: LeaseEvent[] = [];
  const lease = resources.use(
    await soon(NodeLease.join({
      node,
      bucket,
      connectivity: engine,
      cluster: { keyHash, partitions: 8 },
      onEvent: (event) => void events.push(event),
      log,
      signal,
    })),
  );
  const kept = resources.move();
  return { engine, lease, events, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Whether one of them was ever told that another is gone, or had to take another incarnation. */
function hasLostAny(nodes: readonly Node[]): boolean {
  return nodes.some(({ lease, events }) =>
    lease.members.some(({ state }) => state === "gone") ||
    events.some((event) => event.type === "cut" || event.type === "resume" && event.wasGone)
  );
}

for (const servers of [1, 3] as const) {
  test(`on ${servers} NATS servers three nodes see each other, and who leaves or is silent is gone`, async () => {
    await using nats = await Nats.start({ servers });
    await using a = await join(nats, "a");
    await using b = await join(nats, "b");
    const c = await join(nats, "c");
    await until(() => [a, b, c].every(({ lease }) => lease.live.join() === "a,b,c"));
    b.lease.own(5, 17);
    await until(() => a.lease.owners[5] === "b" && c.lease.owners[5] === "b");
    await soon(a.lease.drain());
    await until(() => c.lease.live.join() === "b,c");
    // Its socket is closed under it, which is noticed like a death.
    const silentSince = c.lease.members.find(({ node }) => node === "c")!.seenAt;
    await c.engine[Symbol.asyncDispose]();
    const isGone = ({ lease }: Node) =>
      lease.members.some(({ node, state }) => node === "c" && state === "gone");
    await until(() => isGone(a) && isGone(b));
    assert(performance.now() - silentSince >= 3900);
    await c[Symbol.asyncDispose]();
    await using again = await join(nats, "c");
    assert(again.lease.incarnation > c.lease.incarnation);
    await until(() => b.lease.live.join() === "b,c");
    assert(!hasLostAny([b]));
  });
}

test("nobody is taken for dead because a NATS server is killed, whichever it is", async () => {
  await using nats = await Nats.start({ servers: 3 });
  await using a = await join(nats, "a");
  await using b = await join(nats, "b");
  await using c = await join(nats, "c");
  const nodes = [a, b, c];
  await until(() => nodes.every(({ lease }) => lease.live.length === 3));
  // The bucket has been made since the servers were: else the first kill may take one of two that have it.
  await nats.ready();
  const leader = await nats.leaderOf("KV_test");
  for (const server of [leader, ...nats.servers.filter((server) => server !== leader).slice(0, 1)]) {
    const revisions = nodes.map(({ lease }, i) => lease.members[i]!.revision);
    await server.kill();
    // All have renewed several times after the election, and seen that of each other.
    await until(() =>
      nodes.every(({ lease }) =>
        lease.holds && lease.members.every(({ revision }, i) => revision > revisions[i]! + 15)
      )
    );
    assert(!hasLostAny(nodes));
    await server.restart();
    await nats.recovered();
  }
});

test("when all NATS servers are killed and started again all nodes go on", async () => {
  await using nats = await Nats.start({ servers: 3 });
  await using a = await join(nats, "a");
  await using b = await join(nats, "b");
  const nodes = [a, b];
  await until(() => nodes.every(({ lease }) => lease.live.length === 2));
  const before = nodes.map(({ lease }) => lease.incarnation);
  await nats.ready();
  await Promise.all(nats.servers.map((server) => server.kill()));
  await until(() => nodes.every(({ events }) => events.some(({ type }) => type === "cut")));
  assert(nodes.every(({ lease }) => !lease.holds));
  await Promise.all(nats.servers.map((server) => server.restart()));
  await nats.recovered();
  await until(() => nodes.every(({ lease }) => lease.holds && lease.live.length === 2));
  nodes.forEach(({ lease, events }, i) => {
    assert(lease.incarnation > before[i]!);
    const told = events.map(({ type }) => type).filter((type) => type !== "members");
    // On a busy machine they may have had to pause before.
    const cut = told.indexOf("cut");
    assertEquals([told[0], ...told.slice(cut - 1, cut + 2)], ["resume", "pause", "cut", "resume"]);
  });
});

test("a node with another key, and a second one of the same name, are refused", async () => {
  await using nats = await Nats.start();
  await using _a = await join(nats, "a");
  const other = await assertRejects(() => join(nats, "b", { keyHash: "other" }), EngineError);
  assertEquals(other.code, "OTHER_CLUSTER");
  const twin = await assertRejects(() => join(nats, "a"), EngineError);
  assertEquals(twin.code, "NAME_IN_USE");
});

test("a bucket that is none of a cluster is left alone", async () => {
  await using nats = await Nats.start();
  await using engine = await soon(Engine.connect({ address: nats.urls[0]!, name: "a", log }));
  const { Kvm } = await import("@nats-io/kv");
  await new Kvm(engine.connection).create("test");
  const options = { name: "test", log, signal };
  const error = await assertRejects(() => openBucket(engine.connection, options), EngineError);
  assertEquals(error.code, "BUCKET");
});

test("a node whose user may not store its lease says so at once", async () => {
  const config = `authorization { users: [
    { user: all, password: a }
    { user: few, password: b, permissions: { publish: { deny: ["$KV.test.>"] } } }
  ] }
  no_auth_user: all`;
  await using nats = await Nats.start({ config });
  await using _other = await join(nats, "a");
  const error = await assertRejects(() => join(nats, "b", { user: "few", password: "b" }), EngineError);
  assertEquals(error.code, "BUCKET");
  assertEquals(
    error.message,
    "Cannot store anything in the bucket of NATS: this user may not publish to $KV.test.>",
  );
});
