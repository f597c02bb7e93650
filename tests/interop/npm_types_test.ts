import { assert, assertEquals } from "@std/assert";
import { deadline } from "@std/async/deadline";
import config from "../../deno.json" with { type: "json" };
import { installNpmPackage } from "../support/npm_package.ts";
import { requiring } from "../support/requires.ts";
import { temporaryFolder } from "../support/server_process.ts";
import { patience } from "../support/wait.ts";

const program = `
import { type Channel, generateKeyPair, SmpClient, TransportError, webSocketTransport } from "@simplexmq/smp";
import { Agent, type AgentEvent } from "@simplexmq/smp/agent";
import { IndexedDbStore } from "@simplexmq/smp/agent/indexeddb";
import { SqliteStore } from "@simplexmq/smp/agent/sqlite";
import * as client from "@simplexmq/smp/client";
import * as protocol from "@simplexmq/smp/protocol";

export const same: typeof client.SmpClient = SmpClient;
export const names: string[] = [...Object.keys(protocol), TransportError.name, IndexedDbStore.name];

export async function receive(address: string, signal: AbortSignal): Promise<Uint8Array> {
  const client = await SmpClient.connect(address, { transport: webSocketTransport, signal });
  const queue = await client.createQueue();
  const { publicKey } = await generateKeyPair("sign");
  await client.secureQueue(queue, publicKey);
  for await (const event of client.events(queue)) if (event.type === "MSG") return event.body;
  throw new Error("there is no message");
}

export async function talk(path: string, onEvent: (event: AgentEvent) => void): Promise<number> {
  const agent = await Agent.start({ servers: ["localhost"], store: await SqliteStore.open(path) });
  const { invitation } = await agent.create("bob");
  await agent.join(invitation, { alias: "alice" });
  for await (const event of agent.events()) onEvent(event);
  return await agent.send("alice", new Uint8Array());
}

// @ts-expect-error: the types are there, so that what is wrong is found.
export const wrong: Promise<number> = SmpClient.connect("localhost");
export type { Channel };
`;

const versions = ["5", "7"];

/** The compiler of a TypeScript that npm has fetched before; `null` when there is none. */
async function compilerOf(version: string): Promise<string | null> {
  const args = ["--offline", "--yes", "--package", `typescript@${version}`, "which", "tsc"];
  try {
    const { success, stdout } = await new Deno.Command("npx", { args, stderr: "null" }).output();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch {
    return null;
  }
}

for (const version of versions) {
  const compiler = await compilerOf(version);
  const lack = compiler === null ? `npm keeps no TypeScript ${version}` : null;
  requiring(lack)(`TypeScript ${version} checks a program that uses the npm package`, async () => {
    await using folder = await temporaryFolder();
    await installNpmPackage(folder.path);
    await Deno.writeTextFile(`${folder.path}/program.ts`, program);
    await Deno.writeTextFile(`${folder.path}/package.json`, JSON.stringify({ type: "module" }));
    const page = await Deno.readTextFile(new URL("../../docs/platforms.md", import.meta.url));
    const documented = /```json\n(.*?)```/s.exec(page)![1]!;
    const { compilerOptions } = JSON.parse(documented);
    const { strict, exactOptionalPropertyTypes } = config.compilerOptions;
    const given = { ...compilerOptions, strict, exactOptionalPropertyTypes, types: [], noEmit: true };
    await Deno.writeTextFile(
      `${folder.path}/tsconfig.json`,
      JSON.stringify({ compilerOptions: given, files: ["program.ts"] }),
    );
    const { success, stdout } = await deadline(
      new Deno.Command(compiler!, { args: ["--project", "."], cwd: folder.path }).output(),
      4 * patience,
    );
    assertEquals(new TextDecoder().decode(stdout), "");
    assert(success);
  });
}
