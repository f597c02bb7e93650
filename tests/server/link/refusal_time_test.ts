import { assert, assertEquals } from "@std/assert";
import { encodeBase64, randomBytes } from "../../../protocol/mod.ts";
import type { PartitionOwner } from "../../../server/broker/owner.ts";
import { Authorizer } from "../../../server/guard/authorization.ts";
import { Verifier } from "../../../server/guard/verifier.ts";
import { RemoteOwner } from "../../../server/link/remote_owner.ts";
import { MemoryMessageStore, MemoryQueueStore } from "../../../server/store/memory.ts";
import { AliasedOwner } from "../../../server/workers/aliased_owner.ts";
import { type Spread, workerOf } from "../../../server/workers/partition.ts";
import { TestBroker } from "../../support/broker.ts";
import { connectTo, ServedOwner } from "../../support/link.ts";
import { measureProbes, measureRefusals, type Probe, randomSigner } from "../../support/refusal_time.ts";
import { differences } from "../../support/refusal_time_contract.ts";
import { steadyPort } from "../../support/ports.ts";
import { until } from "../../support/wait.ts";

/** A link to an owner. */
async function linkTo(owner: PartitionOwner) {
  const port = steadyPort();
  const served = new ServedOwner(port, owner);
  const remote = new RemoteOwner({
    connect: () => connectTo(port),
    close: () => {},
  });
  await until(() => remote.isLinked);
  return {
    owner: remote,
    async [Symbol.asyncDispose]() {
      await remote[Symbol.asyncDispose]();
      await served[Symbol.asyncDispose]();
    },
  };
}

for (const costs of ["small", "large"] as const) {
  Deno.test(`refusals of another worker take equally long, ${costs} exponents`, async () => {
    await using verifier = new Verifier();
    const rounds = costs === "small" ? 200 : 40;
    const probed = await measureRefusals({
      bits: 2048,
      costs,
      rounds,
      verify: (...work) => verifier.verify(...work),
      through: linkTo,
    });
    assertEquals(differences(probed, rounds), []);
  });
}

Deno.test("over a link refusals without a verification are found", async () => {
  await using verifier = new Verifier();
  const rounds = 40;
  const probed = await measureRefusals({
    bits: 2048,
    costs: "large",
    rounds,
    verify: (...work) => verifier.verify(...work),
    isDefenceless: true,
    through: linkTo,
  });
  assertEquals(differences(probed, rounds).length, 7);
});

const spread: Spread = { workers: 2, partitions: 2 };
const bits = 2048;
/** Milliseconds that a hop to the second worker takes at least, so that it is seen beside whatever else the machine does. */
const hopTime = 5;

/** Random IDs that lead to the first worker. */
function firstIds(count: number): string[] {
  const ids: string[] = [];
  while (ids.length < count) {
    const id = encodeBase64(randomBytes(12));
    if (workerOf(id, spread) === 0) ids.push(id);
  }
  return ids;
}

/** Two workers, each with secured queues whose sender IDs lead to the first one, which is asked over a link. */
async function aliasedWorkers(
  make: (parts: ConstructorParameters<typeof AliasedOwner>[0]) => PartitionOwner,
) {
  const verifier = new Verifier();
  const authorizer = new Authorizer((...work) => verifier.verify(...work));
  const stores = [0, 1].map(() => ({ queues: new MemoryQueueStore(), messages: new MemoryMessageStore() }));
  const tests = stores.map((stores) => new TestBroker({ ...stores, authorizer }, 1));
  const [own, aliased] = [firstIds(32), firstIds(32)];
  const aliases = new Map<string, string>();
  for (const [worker, senderIds] of [own, aliased].entries()) {
    for (const senderId of senderIds) {
      const id = firstIds(1)[0]!;
      // The second worker's IDs differ in the bit that says whose they are.
      const recipientId = worker === 0 ? id : encodeBase64(flipLast(Uint8Array.fromBase64(id)));
      const { publicKey } = randomSigner(bits, "small");
      await stores[worker]!.queues.create({
        recipientId,
        senderId,
        recipientKey: publicKey,
        senderKey: publicKey,
        suspended: false,
        changedAt: 0,
      });
      if (worker === 1) aliases.set(senderId, recipientId);
    }
  }
  const behind = await linkTo(tests[1]!.router);
  let hops = 0;
  const counted: PartitionOwner = Object.create(behind.owner, {
    submit: {
      value: async (...given: Parameters<PartitionOwner["submit"]>) => {
        hops++;
        await new Promise((resolve) => setTimeout(resolve, hopTime));
        await behind.owner.submit(...given);
      },
    },
    disconnect: {
      value: (...given: Parameters<PartitionOwner["disconnect"]>) => behind.owner.disconnect(...given),
    },
  });
  const between: PartitionOwner = make({
    own: tests[0]!.router,
    queues: stores[0]!.queues,
    aliases,
    others: [counted],
    ownerOf: (id) => workerOf(id, spread) === 0 ? between : counted,
  });
  const link = await linkTo(between);
  return {
    own,
    aliased,
    owner: link.owner,
    hops: () => hops,
    async [Symbol.asyncDispose]() {
      await link[Symbol.asyncDispose]();
      await behind[Symbol.asyncDispose]();
      await verifier[Symbol.asyncDispose]();
    },
  };
}

function flipLast(id: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  id[1]! ^= 1;
  return id;
}

/** Probes of sender IDs: of queues here and elsewhere, of all that exist, and of none that does. */
async function probeAliases(workers: Awaited<ReturnType<typeof aliasedWorkers>>, rounds: number) {
  const { own, aliased, owner } = workers;
  const probe = (group: string, name: string, queueIds: readonly string[]): Probe => ({
    group,
    name,
    command: "SEND",
    isSigned: true,
    queueIds,
  });
  // Which unknown IDs go on to the other worker.
  const unknown = firstIds(64), near: string[] = [], far: string[] = [];
  for (const id of unknown) {
    const before = workers.hops();
    await measureProbes(owner, [probe("", "", [id])], { rounds: 1, bits });
    (workers.hops() > before ? far : near).push(id);
  }
  const probes = [
    probe("all", "wrong key", [...own, ...aliased]),
    probe("all", "unknown", unknown),
    probe("here", "wrong key", own),
    probe("here", "unknown", near),
    probe("elsewhere", "wrong key", aliased),
    probe("elsewhere", "unknown", far.length > 0 ? far : near),
  ];
  return { near, far, found: differences(await measureProbes(owner, probes, { rounds, bits }), rounds) };
}

Deno.test("the time of a refusal does not tell which sender IDs of older logs somebody has", async () => {
  await using workers = await aliasedWorkers((parts) => new AliasedOwner(parts));
  const { near, far, found } = await probeAliases(workers, 100);
  assert(near.length >= 12 && far.length >= 12, `${near.length} and ${far.length}`);
  assertEquals(found, []);
});

Deno.test("a worker that asks others for nothing but what they have is found", async () => {
  await using workers = await aliasedWorkers(({ own, aliases, others }) =>
    Object.create(own, {
      submit: {
        value: (...given: Parameters<PartitionOwner["submit"]>) => {
          const owner = aliases.has(given[1].queueId) ? others[0]! : own;
          return owner.submit(...given);
        },
      },
      disconnect: { value: (...given: Parameters<PartitionOwner["disconnect"]>) => own.disconnect(...given) },
    })
  );
  const { far, found } = await probeAliases(workers, 60);
  assertEquals(far.length, 0);
  // Of all only every second one differs, which chance may hide.
  const certain = found.filter((difference) => !difference.startsWith("all"));
  assertEquals(certain.map((difference) => difference.split(":")[0]), ["elsewhere"], found.join("; "));
});
