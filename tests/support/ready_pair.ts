import { type AgentStore, MemoryStore, type StoreChange } from "../../agent/mod.ts";
import { MemoryQueueStore, type QueueRecord, type SmpServer } from "../../server/mod.ts";
import { connectAgents, sessions, settled, TestAgent } from "./agent.ts";
import { queuesOf, startServer } from "./server.ts";
import { until } from "./wait.ts";

/** What each of two agents has. */
interface Both<T> {
  readonly alice: T;
  readonly bob: T;
}

/** What two agents with a session have stored when nothing was said yet, and the servers that each receives by. */
interface Ready {
  readonly stores: Both<readonly StoreChange[]>;
  readonly queues: Both<readonly QueueRecord[]>;
  readonly ports: Both<number>;
}

/** Made once: to connect two agents takes ten times as long as to start them again. */
let ready: Promise<Ready> | undefined;

/**
 * Stores of two agents that have a session by two queues of a server, or of one each, alice's of a connection "b" and
 * bob's of "a", and puts the queues there, which may be done once; `null` where they have to connect, as nothing can be
 * put there. The agents have to subscribe.
 */
export async function readyPair(
  servers: SmpServer | Both<SmpServer>,
  { alice = new MemoryStore(), bob = new MemoryStore(), names = ["b", "a"], ports }: {
    readonly alice?: AgentStore | undefined;
    readonly bob?: AgentStore | undefined;
    /** What alice calls bob, and bob alice. */
    readonly names?: readonly [string, string];
    /** The ports by which they reach the servers. @default the servers' own */
    readonly ports?: Both<number>;
  } = {},
): Promise<Both<AgentStore> | null> {
  const own = "alice" in servers ? servers : { alice: servers, bob: servers };
  const stores = { alice: queuesOf(own.alice), bob: queuesOf(own.bob) };
  if (stores.alice === null || stores.bob === null) return null;
  const made = await (ready ??= make());
  for (const record of made.queues.alice) stores.alice.add(record);
  for (const record of made.queues.bob) stores.bob.add(record);
  const to = ports ?? { alice: own.alice.port, bob: own.bob.port };
  const port = new Map([[made.ports.alice, to.alice], [made.ports.bob, to.bob]]);
  await alice.commit(made.stores.alice.map((change) => movedTo(change, { port, alias: names[0] })));
  await bob.commit(made.stores.bob.map((change) => movedTo(change, { port, alias: names[1] })));
  return { alice, bob };
}

async function make(): Promise<Ready> {
  const queues = { alice: new MemoryQueueStore(), bob: new MemoryQueueStore() };
  const stores = { alice: new MemoryStore(), bob: new MemoryStore() };
  await using one = await startServer({ queues: queues.alice });
  await using two = await startServer({ queues: queues.bob });
  await using alice = await TestAgent.start(one.address, { ...sessions, store: stores.alice });
  await using bob = await TestAgent.start(two.address, { ...sessions, store: stores.bob });
  await connectAgents(alice, bob);
  await settled(alice, bob);
  await until(async () =>
    queues.alice.size === 1 && queues.bob.size === 1 &&
    await isAtRest(stores.alice) && await isAtRest(stores.bob) &&
    one.gauges().messages === 0 && two.gauges().messages === 0
  );
  await alice[Symbol.asyncDispose]();
  await bob[Symbol.asyncDispose]();
  return {
    stores: { alice: await changesOf(stores.alice), bob: await changesOf(stores.bob) },
    queues: { alice: [...queues.alice.records()], bob: [...queues.bob.records()] },
    ports: { alice: one.port, bob: two.port },
  };
}

/** Whether nothing is to be sent, and the other side has said that all has come. */
async function isAtRest(store: AgentStore): Promise<boolean> {
  const [connection] = await store.connections();
  const { record: { id }, session } = connection!;
  if (session === null) return false;
  if (session.receiptDue || session.receipted.upTo !== session.lastNumber) return false;
  return (await store.frames(id, 0, 1)).length === 0 && (await store.discarded()).length === 0;
}

/** What is stored; what was told, and is not asked for again, is not. */
async function changesOf(store: AgentStore): Promise<StoreChange[]> {
  const changes: StoreChange[] = [];
  for await (const change of store.snapshot()) if (change.type !== "put event") changes.push(change);
  return changes;
}

/** A copy of what is stored, for servers on other ports, and under another label. */
function movedTo<T>(
  value: T,
  to: { readonly port: ReadonlyMap<number, number>; readonly alias: string },
): T {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return value.slice() as T;
  if (Array.isArray(value)) return value.map((item) => movedTo(item, to)) as T;
  const entries = Object.entries(value).map(([name, item]) => [name, movedTo(item, to)] as const);
  return {
    ...Object.fromEntries(entries),
    ...("keyHash" in value && "port" in value && { port: to.port.get(value.port as number) }),
    ...("alias" in value && { alias: to.alias }),
  } as T;
}
