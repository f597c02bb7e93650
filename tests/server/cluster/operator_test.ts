import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { openBucket } from "../../../server/cluster/bucket.ts";
import { ClusterStreams } from "../../../server/cluster/cluster_streams.ts";
import { EngineError } from "../../../server/cluster/error.ts";
import { formatLease, type Lease } from "../../../server/cluster/members.ts";
import { ClusterOperator, type ClusterPicture } from "../../../server/cluster/operator.ts";
import { operatorSubject } from "../../../server/cluster/operator_questions.ts";
import { balanced, startNode, type TestNode } from "../../support/cluster_nodes.ts";
import { Nats, natsLack } from "../../support/nats.ts";
import { requiring } from "../../support/requires.ts";
import { type Outcome, run, temporaryFolder } from "../../support/server_process.ts";
import { soon, until } from "../../support/wait.ts";
import { keyOf } from "../../support/test_keys.ts";

/** Of every queue: making one takes longer than most tests. */
const keyPair = await keyOf("client", "sign");

const test = requiring(natsLack);

async function operate(servers: string, args: readonly string[], ini = ""): Promise<Outcome> {
  await using folder = await temporaryFolder();
  if (ini !== "") await Deno.writeTextFile(`${folder.path}/smp-server.ini`, ini, { mode: 0o600 });
  const place = ["--config-dir", folder.path, "--cluster", servers];
  return await run(["cluster", ...args, ...place], { folder: folder.path });
}

/** Starts a node of a version that is older than what has written the logs. */
async function startOld(nats: Nats, name: string): Promise<TestNode> {
  const { open } = ClusterStreams;
  ClusterStreams.open = async (options) => {
    const streams = await open.call(ClusterStreams, options);
    const { log } = streams;
    streams.log = async (partition) => {
      const stream = await log.call(streams, partition);
      stream.get = () => Promise.resolve(new Uint8Array([2]));
      return stream;
    };
    return streams;
  };
  try {
    return await startNode(nats, name, { cluster: "smp" });
  } finally {
    ClusterStreams.open = open;
  }
}

async function picture(servers: string): Promise<ClusterPicture> {
  const { code, stdout, stderr } = await operate(servers, ["status", "--json"]);
  assertEquals([code, stderr], [0, ""]);
  return JSON.parse(stdout);
}

test("an operator sees the cluster, and moves partitions away from a node and back", async () => {
  await using nats = await Nats.start();
  const servers = nats.urls.join();
  await using a = await startNode(nats, "a", { cluster: "smp" });
  await using b = await startNode(nats, "b", { cluster: "smp" });
  await balanced([a, b]);
  await using client = await a.connect();
  await client.createQueue({ keyPair });

  const before = await picture(servers);
  assertEquals(
    before.nodes.map((
      { node, state, partitions, answers, notReady },
    ) => [node, state, partitions, answers, notReady]),
    [["a", "live", 4, true, null], ["b", "live", 4, true, null]],
  );
  assert(before.nodes.every(({ leaseAge }) => leaseAge! >= 0));
  assert(before.partitions.every(({ sequence, epoch, waiting }) => sequence! >= epoch! && waiting !== null));
  assert(before.partitions.some(({ forwarded }) => forwarded > 0));
  const { stdout } = await operate(servers, ["status"]);
  assertStringIncludes(stdout, "cluster smp: 2 of 2 nodes alive, 8 partitions\n");
  const args = [
    "run",
    "--no-prompt",
    "--allow-net",
    "server/main.ts",
    "cluster",
    "status",
    "--cluster",
    servers,
  ];
  const alone = await soon(new Deno.Command(Deno.execPath(), { args, env: { NO_COLOR: "1" } }).output());
  assertEquals(alone.code, 0, new TextDecoder().decode(alone.stderr));

  const drained = await operate(servers, ["drain", "a"]);
  assertEquals([drained.code, drained.stderr], [0, ""]);
  assertStringIncludes(drained.stdout, "a has 0 partitions\n");
  // What was claimed before another look of the others.
  await until(() => b.node.status.partitions.every(({ owner }) => owner?.node === "b"));
  const during = await picture(servers);
  assertEquals(during.nodes.map(({ state, partitions }) => [state, partitions]), [["draining", 0], [
    "live",
    8,
  ]]);
  assert(during.partitions.some(({ ownerChanges }) => ownerChanges! > 0));
  await client.createQueue({ keyPair });

  assertStringIncludes(
    (await operate(servers, ["drain", "b"])).stderr,
    "no other node could take its partitions",
  );
  assertEquals((await operate(servers, ["undrain", "a"])).code, 0);
  await balanced([a, b]);
});

test("an operator sees which node cannot take a partition, and why", async () => {
  await using nats = await Nats.start();
  const servers = nats.urls.join();
  await using b = await startNode(nats, "b", { cluster: "smp" });
  await balanced([b]);
  await using a = await startOld(nats, "a");
  await until(() => a.node.status.partitions.filter(({ unable }) => unable !== null).length === 4);
  await until(() => b.node.status.partitions.every(({ owner }) => owner?.node === "b"));
  await using client = await a.connect();
  await client.createQueue({ keyPair });
  const { partitions } = await picture(servers);
  const why = "Cannot load the partition: message 1: a batch is of version 2, which is unknown";
  const left = partitions.filter(({ unable }) => unable.length > 0);
  assertEquals(left.map(({ unable }) => unable), Array(4).fill([{ node: "a", why }]));
  const { stdout } = await operate(servers, ["status"]);
  assertStringIncludes(stdout, `\na leaves partition ${left[0]!.partition} to others: ${why}\n`);
  assert(a.lines.some((line) => line.includes(`leaves partition ${left[0]!.partition} to other nodes`)));
});

test("what an operator cannot do is said", async () => {
  await using nats = await Nats.start();
  const servers = nats.urls.join();
  const b = await startNode(nats, "b", { cluster: "smp" });
  await using _a = await startNode(nats, "a", { cluster: "smp" });
  await b.stop();
  for (
    const [args, ini, expected] of [
      [["status"], "[CLUSTER]\nname: other\n", "There is no cluster other at these NATS servers"],
      [["drain", "c"], "", 'There is no node "c" in cluster smp; running: a'],
      [["drain", "b"], "", 'There is no node "b" in cluster smp: it is gone; running: a'],
      [["undrain", "c"], "", 'There is no node "c" in cluster smp'],
    ] as const
  ) {
    const { code, stderr } = await operate(servers, args, ini);
    assertEquals(code, 1);
    assertStringIncludes(stderr, expected);
  }
});

/** A node that renews its lease and takes no partition, until it is disposed. */
async function leaseAlone(
  nats: Nats,
  name: string,
  { owned = new Map(), answers = false }: Partial<Pick<Lease, "owned">> & { readonly answers?: boolean },
) {
  const connection = await nats.connect();
  const { signal } = new AbortController();
  const bucket = await openBucket(connection, { name: "smp", log: () => {}, signal });
  const text = formatLease({
    incarnation: 1,
    process: crypto.randomUUID(),
    state: "live",
    owned,
    unable: new Set(),
  });
  let revision = await bucket.write(`node.${name}`, text, 0) ?? 0;
  let renewing: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    renewing = renewing.then(async () => {
      revision = await bucket.write(`node.${name}`, text, revision) ?? revision;
    }).catch(() => {});
  }, 500);
  if (answers) {
    connection.subscribe(operatorSubject("smp-link.smp", name), {
      callback: (_error, message) => void message.respond("{}"),
    });
  }
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      clearInterval(timer);
      await renewing;
      await connection.close();
    },
  };
}

/** How many partitions a node has. */
function count({ node }: TestNode): number {
  return node.status.partitions.filter(({ own }) => own !== null).length;
}

test("a node keeps its partitions where no other one answers", async () => {
  await using nats = await Nats.start();
  await using a = await startNode(nats, "a", { cluster: "smp" });
  await until(() => count(a) === 8);
  const owned = new Map([0, 1, 2, 3].map((partition) => [partition, 1_000_000]));
  await using _b = await leaseAlone(nats, "b", { owned });
  await until(() => count(a) === 4);
  const { code, stderr } = await operate(nats.urls.join(), ["drain", "a"]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "Cannot drain a: no other node could take its partitions: b does not answer");
  assertEquals(count(a), 4);
});

test("what a node gives away and nobody takes is said, and comes back", async () => {
  await using nats = await Nats.start();
  await using a = await startNode(nats, "a", { cluster: "smp" });
  await until(() => count(a) === 8);
  const owned = new Map([0, 1, 2, 3].map((partition) => [partition, 1_000_000]));
  const b = await leaseAlone(nats, "b", { owned, answers: true });
  await until(() => count(a) === 4);
  const engine = { address: nats.urls.join() };
  await using operator = await ClusterOperator.connect({
    engine,
    cluster: "smp",
    patience: 1_000,
    log: () => {},
  });
  await assertRejects(
    () => operator.drain("a"),
    EngineError,
    "a has no partition any more, but nobody has taken 4 that it had: see who runs, or undrain it",
  );
  assertEquals(count(a), 0);
  await b[Symbol.asyncDispose]();
  await operator.undrain("a");
  await until(() => count(a) === 8);
});

Deno.test("an operator without NATS is told so", async () => {
  const { code, stderr } = await operate("nats://127.0.0.1:1", ["status"]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "Cannot connect to NATS: 127.0.0.1:1: nothing listens there");
});
