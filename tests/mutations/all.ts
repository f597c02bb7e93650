import { agentMutations } from "./agent.ts";
import { clientMutations } from "./client.ts";
import { clusterMutations } from "./cluster.ts";
import type { Mutation } from "./mutation.ts";
import { protocolMutations } from "./protocol.ts";
import { ratchetMutations } from "./ratchet.ts";
import { serverMutations } from "./server.ts";
import { sessionMutations } from "./session.ts";
import { streamMutations } from "./stream.ts";
import { streamClientMutations } from "./stream_clients.ts";
import { workerMutations } from "./workers.ts";

const root = new URL("../../", import.meta.url).pathname;

/** Every listed way to break the code. */
export const all: readonly Mutation[] = [
  ...agentMutations,
  ...clientMutations,
  ...protocolMutations,
  ...ratchetMutations,
  ...serverMutations,
  ...clusterMutations,
  ...workerMutations,
  ...sessionMutations,
  ...streamMutations,
  ...streamClientMutations,
];

/** Where the list does not fit the code. */
export async function misfitsOf(mutations: readonly Mutation[]): Promise<string[]> {
  const misfits: string[] = [];
  for (const { name, file, from, tests } of mutations) {
    const text = await Deno.readTextFile(root + file).catch(() => "");
    const count = from === "" ? 0 : text.split(from).length - 1;
    if (count !== 1) misfits.push(`${name}: what is to be changed occurs ${count} times in ${file}`);
    for (const test of tests) {
      const isThere = test === "model" || await Deno.stat(root + test).then(() => true, () => false);
      if (!isThere) misfits.push(`${name}: there is no ${test}`);
    }
  }
  return misfits;
}
