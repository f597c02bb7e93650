import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { deadline } from "@std/async/deadline";
import config from "../../deno.json" with { type: "json" };
import { installByNpm, installNpmPackage, takeFromCache } from "../support/npm_package.ts";
import { fetchedProgram } from "../support/npx.ts";
import { lackOf, requiring } from "../support/requires.ts";
import { startServer } from "../support/server.ts";
import { temporaryFolder } from "../support/server_process.ts";
import { patience } from "../support/wait.ts";

interface Runtime {
  readonly name: string;
  /** The package that npm has it as. */
  readonly package: string;
  /** What it prints as its version. */
  readonly version: RegExp;
  readonly hasWebSocket: boolean;
  readonly hasSqlite: boolean;
}

const runtimes: readonly Runtime[] = [
  { name: "Node 20", package: "node@20", version: /^v20\./, hasWebSocket: false, hasSqlite: false },
  { name: "Node 22", package: "node@22", version: /^v22\./, hasWebSocket: true, hasSqlite: true },
  { name: "Node 24", package: "node@24", version: /^v24\./, hasWebSocket: true, hasSqlite: true },
  { name: "Bun 1", package: "bun@1", version: /^1\./, hasWebSocket: true, hasSqlite: true },
];

const noWebSocket = "TransportError NETWORK: Cannot connect to ws://127.0.0.1:PORT/: " +
  "there is no WebSocket here; Node has one since version 22";
const noSqlite = "StoreError OPEN: Cannot open alice.db: " +
  "there is no node:sqlite here; Node has it since version 22.13";

/** The file of a runtime that is installed, or that npm has fetched before; `null` when there is none. */
async function executableOf({ package: name, version }: Runtime): Promise<string | null> {
  for (const executable of ["node", await fetchedProgram(name, name.split("@")[0]!)]) {
    try {
      if (executable !== null && version.test(await outputOf(executable, "--version"))) return executable;
    } catch {
      // It is not installed.
    }
  }
  return null;
}

async function outputOf(file: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await new Deno.Command(file, { args: [...args], stderr: "null" }).output();
  return new TextDecoder().decode(stdout).trim();
}

const executables = new Map<Runtime, string | null>();
for (const runtime of runtimes) executables.set(runtime, await executableOf(runtime));

Deno.test("the npm package has client and agent, and depends on idb and mlkem of the tested versions alone", async () => {
  await using folder = await temporaryFolder();
  const place = await installNpmPackage(folder.path);
  const { exports, dependencies, engines, ...made } = JSON.parse(
    await Deno.readTextFile(`${place}/package.json`),
  );
  const notForNode = ["./server", "./smp", "./smp-agent", "./smp-server"];
  assertEquals(
    Object.keys(exports),
    Object.keys(config.exports).filter((name) => !notForNode.includes(name)),
  );
  const lock = JSON.parse(await Deno.readTextFile(new URL("../../deno.lock", import.meta.url)));
  assertEquals(
    Object.entries<string>(dependencies).map((entry) => entry.join("@")),
    Object.keys(lock.npm).filter((id) => /^(idb|mlkem)@/.test(id)),
  );
  assertEquals(Object.keys(made), ["name", "version", "type", "license", "main", "types", "bin"]);
  assertEquals(Object.keys(made.bin), ["smp", "smp-agent", "smp-server"]);
  assertEquals([made.version, made.license, engines], [config.version, config.license, { node: ">=20.16" }]);
  const folders = [];
  for await (const { name, isDirectory } of Deno.readDir(place)) if (isDirectory) folders.push(name);
  assertEquals(folders.sort(), ["agent", "bin", "cli", "client", "protocol"]);
  for (const path of ["client/main.ts", "client/main.d.ts", "agent/cli/send.d.ts", "server"]) {
    await assertRejects(() => Deno.stat(`${place}/${path}`), Deno.errors.NotFound, path);
  }
});

Deno.test("what stands in for Deno has all that the programs of the npm package use of it", async () => {
  await using folder = await temporaryFolder();
  const place = await installNpmPackage(folder.path);
  const used = new Set<string>();
  const look = async (path: string): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(path)) {
      if (isDirectory) await look(`${path}/${name}`);
      if (!name.endsWith(".js") || name === "deno_on_node.js") continue;
      const text = await Deno.readTextFile(`${path}/${name}`);
      assert(
        !/\busing \w+ = /.test(text) || !text.includes("deno_on_node"),
        `${name} has what Node 22 cannot read`,
      );
      if (!/^import .*deno_on_node\.js";$/m.test(text)) continue;
      for (const [found] of text.matchAll(/\bDeno(\.errors)?\.\w+/g)) used.add(found);
    }
  };
  for (const part of ["agent", "cli", "client"]) await look(`${place}/${part}`);
  const { Deno: standIn } = await import("../../deploy/npm/deno_on_node.ts");
  const has = new Set(Object.keys(standIn).map((name) => `Deno.${name}`));
  for (const name of Object.keys(standIn.errors)) has.add(`Deno.errors.${name}`);
  assert(used.size > 15, `${used.size} were found`);
  assertEquals([...used].filter((name) => !has.has(name)), []);
});

/** Where npm installs the programs, and where they are then. */
let place: Awaited<ReturnType<typeof temporaryFolder>> | undefined;
let programs: Promise<string> | undefined;

Deno.test.beforeAll(async () => {
  place = await temporaryFolder();
});

Deno.test.afterAll(async () => {
  await place?.[Symbol.asyncDispose]();
});

const npmLack = lackOf("npm", "--version");
for (const runtime of runtimes.filter(({ name }) => /Node 2[24]/.test(name))) {
  const executable = executables.get(runtime) ?? null;
  const lack = executable === null ? `${runtime.name} is not installed, nor kept by npm` : null;
  requiring(lack, npmLack)(
    `smp and smp-agent run on ${runtime.name}, as npm installs them`,
    async () => {
      await using folder = await temporaryFolder();
      const B = await (programs ??= installByNpm(place!.path));
      await using server = await startServer();
      const functions = `set -e
        smp() { "$NODE" "$B/smp" "$@"; }
        agent() { "$NODE" "$B/smp-agent" "$@"; }`;
      const env = { A: server.address, B, NODE: executable! };
      const run = async (script: string) => {
        const args = ["-c", `${functions}\n${script}`];
        const options = { args, cwd: folder.path, env, stdin: "null" } as const;
        const { stdout, stderr } = await deadline(new Deno.Command("sh", options).output(), 4 * patience);
        return {
          lines: new TextDecoder().decode(stdout).trim().split("\n"),
          told: new TextDecoder().decode(stderr),
        };
      };
      const talk = await run(`
        smp queue create "$A" --file q.json | sed 's/.*"senderId":"\\([^"]*\\)".*/\\1/' > id
        echo hello | smp queue send "$A" "$(cat id)" > sent
        smp queue receive --file q.json --count 1 | grep -o '"text":.*'
        agent invite bob --wait --db a.db --server "$A" | agent join alice - --db b.db --server "$A"
        agent send bob "hello bob" --db a.db &
        agent receive alice --db b.db
        wait`);
      assertEquals(talk.lines, ['"text":"hello\\n"}', "hello bob"], talk.told);
      assert(!/Warning|\n +at /.test(talk.told), talk.told);
      if (runtime.name !== "Node 22") return;
      const refused = await run(`
        smp queue create "$A" --file q.json || echo "exit $?"
        agent list --db none.db || echo "exit $?"
        agent frobnicate || echo "exit $?"
        agent --db a.db --server "$A" || echo "exit $?"
        "$NODE" "$B/smp-server" start || echo "exit $?"`);
      assertEquals(refused.lines, ["exit 1", "exit 1", "exit 2", "exit 1", "exit 1"], refused.told);
      for (
        const line of [
          "Cannot write q.json: it is there already",
          "There is no none.db",
          "there is no command frobnicate",
          "smp-agent start runs on Deno",
          "smp-server runs on Deno",
        ]
      ) assertStringIncludes(refused.told, line);
    },
  );
}

for (const runtime of runtimes) {
  const { name, hasWebSocket, hasSqlite } = runtime;
  const executable = executables.get(runtime) ?? null;
  const lack = executable === null ? `${name} is not installed, nor kept by npm` : null;
  requiring(lack)(`client and agent work on ${name}, as an npm package`, async () => {
    await using folder = await temporaryFolder();
    await installNpmPackage(folder.path);
    const wanted = hasWebSocket ? ["mlkem"] : ["mlkem", "ws"];
    for (const name of wanted) await takeFromCache(name, `${folder.path}/node_modules/${name}`);
    await Deno.copyFile(new URL("../peers/npm_client.mjs", import.meta.url), `${folder.path}/npm_client.mjs`);
    await using server = await startServer();
    const args = ["npm_client.mjs", server.address, `${server.webSocketPort}`];
    const { success, stdout, stderr } = await deadline(
      new Deno.Command(executable!, { args, cwd: folder.path }).output(),
      4 * patience,
    );
    assert(success, new TextDecoder().decode(stderr));
    assertEquals(new TextDecoder().decode(stdout).trim().split("\n"), [
      "hello over TCP",
      ...(hasWebSocket ? [] : [noWebSocket]),
      "hello over WebSocket",
      ...(hasSqlite ? ["in SQLite"] : [noSqlite, "in memory"]),
      "hello from an agent OK",
    ]);
  });
}

/** What a program with types does with the package. */
const typedProgram = `
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

for (const version of ["5", "7"]) {
  const compiler = await fetchedProgram(`typescript@${version}`, "tsc");
  const lack = compiler === null ? `npm keeps no TypeScript ${version}` : null;
  requiring(lack)(`TypeScript ${version} checks a program that uses the npm package`, async () => {
    await using folder = await temporaryFolder();
    await installNpmPackage(folder.path);
    await Deno.writeTextFile(`${folder.path}/program.ts`, typedProgram);
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
