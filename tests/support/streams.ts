import type { AgentOptions, AgentStore, StreamOffer } from "../../agent/mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { connectAgents, sessions, settled, TestAgent } from "./agent.ts";
import { readyPair } from "./ready_pair.ts";
import { until } from "./wait.ts";

export { sessions, settled };

/** Connects two agents that have streams, as "b" and "a"; the server has two queues then. */
export async function connectForStreams(server: SmpServer, a: TestAgent, b: TestAgent): Promise<void> {
  await connectAgents(a, b);
  await settled(a, b);
  await until(() => server.gauges().queues === 2);
}

/** Two connected agents. */
export async function streamPair(
  server: SmpServer,
  { a = {}, b = {} }: { readonly a?: Partial<AgentOptions>; readonly b?: Partial<AgentOptions> } = {},
) {
  const stores = await readyPair(server, { alice: a.store, bob: b.store });
  const start = (options: Partial<AgentOptions>, store?: AgentStore) =>
    TestAgent.start(server.address, { ...sessions, ...options, ...store && { store } });
  const alice = await start(a, stores?.alice), bob = await start(b, stores?.bob);
  if (stores === null) await connectForStreams(server, alice, bob);
  else await Promise.all([alice, bob].map(({ agent }) => agent.subscribeAll()));
  return {
    alice,
    bob,
    async [Symbol.asyncDispose]() {
      await Promise.all([alice[Symbol.asyncDispose](), bob[Symbol.asyncDispose]()]);
    },
  };
}

/** The next offer of an agent. */
export async function nextOffer(agent: TestAgent): Promise<StreamOffer> {
  return (await agent.next("stream offered")).offer;
}

/** The code of the error with which a promise rejects. */
export async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  const error = await promise.then(() => null, (error) => error);
  return error instanceof Error && "code" in error ? error.code : error;
}

/** Bytes that are not all the same. */
export function someBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = at * 7 + (at >> 8) + (at >> 16);
  return bytes;
}
