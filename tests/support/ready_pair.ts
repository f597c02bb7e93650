import { type AgentStore, MemoryStore, type StoreChange } from "../../agent/mod.ts";
import { MemoryQueueStore, type QueueRecord, type SmpServer } from "../../server/mod.ts";
import { connectAgents, sessions, settled, TestAgent } from "./agent.ts";
import { queuesOf, startServer } from "./server.ts";
import { until } from "./wait.ts";

/** What two agents with a session have stored when nothing was said yet, and their server. */
interface Ready {
  readonly alice: readonly StoreChange[];
  readonly bob: readonly StoreChange[];
  readonly queues: readonly QueueRecord[];
}

/** Made once: to connect two agents takes ten times as long as to start them again. */
let ready: Promise<Ready> | undefined;

/**
 * Stores of two agents that have a session by two queues of a server, alice's of a connection "b" and bob's of "a", and
 * puts the queues there; `null` where they have to connect, as nothing can be put there. The agents have to subscribe.
 */
export async function readyPair(
  server: SmpServer,
  { alice = new MemoryStore(), bob = new MemoryStore(), names = ["b", "a"] }: {
    readonly alice?: AgentStore | undefined;
    readonly bob?: AgentStore | undefined;
    /** What alice calls bob, and bob alice. */
    readonly names?: readonly [string, string];
  } = {},
): Promise<{ readonly alice: AgentStore; readonly bob: AgentStore } | null> {
  const queues = queuesOf(server);
  if (queues === null) return null;
  const made = await (ready ??= make());
  for (const record of made.queues) queues.add(record);
  const { port } = server;
  await alice.commit(made.alice.map((change) => movedTo(change, { port, alias: names[0] })));
  await bob.commit(made.bob.map((change) => movedTo(change, { port, alias: names[1] })));
  return { alice, bob };
}

async function make(): Promise<Ready> {
  const queues = new MemoryQueueStore(), stores = { alice: new MemoryStore(), bob: new MemoryStore() };
  await using server = await startServer({ queues });
  const start = (store: MemoryStore) => TestAgent.start(server.address, { ...sessions, store });
  await using alice = await start(stores.alice);
  await using bob = await start(stores.bob);
  await connectAgents(alice, bob);
  await settled(alice, bob);
  await until(async () =>
    queues.size === 2 && await isAtRest(stores.alice) && await isAtRest(stores.bob) &&
    server.gauges().messages === 0
  );
  await alice[Symbol.asyncDispose]();
  await bob[Symbol.asyncDispose]();
  return {
    alice: await changesOf(stores.alice),
    bob: await changesOf(stores.bob),
    queues: [...queues.records()],
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

/** A copy of what is stored for a server on another port, and under another label. */
function movedTo<T>(value: T, to: { readonly port: number; readonly alias: string }): T {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return value.slice() as T;
  if (Array.isArray(value)) return value.map((item) => movedTo(item, to)) as T;
  const entries = Object.entries(value).map(([name, item]) => [name, movedTo(item, to)] as const);
  const { port, alias } = to;
  return {
    ...Object.fromEntries(entries),
    ...("keyHash" in value && { port }),
    ...("alias" in value && { alias }),
  } as T;
}
