import type { AgentOptions, StreamOffer } from "../../agent/mod.ts";
import type { SmpServer } from "../../server/mod.ts";
import { connectAgents, TestAgent } from "./agent.ts";
import { until } from "./wait.ts";

/** What agents announce that have streams. */
export const sessions = { extensions: ["session1"] };

/** Waits until both sides have replaced the routes that only RSA protected. */
export async function settled(...agents: readonly TestAgent[]): Promise<void> {
  for (const agent of agents) {
    await agent.next("route", ({ direction }) => direction === "receiving");
    await agent.next("route", ({ direction }) => direction === "sending");
  }
}

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
  const alice = await TestAgent.start(server.address, { ...sessions, ...a });
  const bob = await TestAgent.start(server.address, { ...sessions, ...b });
  await connectForStreams(server, alice, bob);
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
