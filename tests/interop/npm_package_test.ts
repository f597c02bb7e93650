import { assert, assertEquals, assertRejects } from "@std/assert";
import { deadline } from "@std/async/deadline";
import config from "../../deno.json" with { type: "json" };
import { cacheOf } from "../support/module_cache.ts";
import { installNpmPackage } from "../support/npm_package.ts";
import { requiring } from "../support/requires.ts";
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
  { name: "Bun 1", package: "bun@1", version: /^1\./, hasWebSocket: true, hasSqlite: true },
];

const noWebSocket = "TransportError NETWORK: Cannot connect to ws://127.0.0.1:PORT/: " +
  "there is no WebSocket here; Node has one since version 22";
const noSqlite = "StoreError OPEN: Cannot open alice.db: " +
  "there is no node:sqlite here; Node has it since version 22.13";

/** The command line of a runtime that is installed, or that npm has fetched before; `null` when there is none. */
async function commandOf({ package: name, version }: Runtime): Promise<string[] | null> {
  for (const command of [["node"], ["npx", "--offline", "--yes", name]]) {
    const [file, ...args] = command;
    try {
      const { stdout } = await new Deno.Command(file!, { args: [...args, "--version"], stderr: "null" })
        .output();
      if (version.test(new TextDecoder().decode(stdout))) return command;
    } catch {
      // It is not installed.
    }
  }
  return null;
}

/** Puts a package of Deno's cache where Node looks for packages. */
async function install(wanted: string, folder: string): Promise<void> {
  const cache = `${await cacheOf([wanted], folder)}/npm`;
  for await (const { name: registry } of Deno.readDir(cache)) {
    for await (const { name, isDirectory } of Deno.readDir(`${cache}/${registry}/${wanted}`)) {
      if (isDirectory) {
        await Deno.rename(`${cache}/${registry}/${wanted}/${name}`, `${folder}/node_modules/${wanted}`);
      }
    }
  }
}

Deno.test("the npm package has client and agent, and depends on idb and mlkem of the tested versions alone", async () => {
  await using folder = await temporaryFolder();
  const place = await installNpmPackage(folder.path);
  const { exports, dependencies, engines, ...made } = JSON.parse(
    await Deno.readTextFile(`${place}/package.json`),
  );
  const { "./server": _server, ...exported } = config.exports;
  assertEquals(Object.keys(exports), Object.keys(exported));
  const lock = JSON.parse(await Deno.readTextFile(new URL("../../deno.lock", import.meta.url)));
  assertEquals(
    Object.entries<string>(dependencies).map((entry) => entry.join("@")),
    Object.keys(lock.npm).filter((id) => /^(idb|mlkem)@/.test(id)),
  );
  assertEquals(Object.keys(made), ["name", "version", "type", "license", "main", "types"]);
  assertEquals([made.version, made.license, engines], [config.version, config.license, { node: ">=20.16" }]);
  const folders = [];
  for await (const { name, isDirectory } of Deno.readDir(place)) if (isDirectory) folders.push(name);
  assertEquals(folders.sort(), ["agent", "client", "protocol"]);
  for (const program of ["client/main.ts", "client/main.js", "agent/main.ts", "agent/service"]) {
    await assertRejects(() => Deno.stat(`${place}/${program}`), Deno.errors.NotFound);
  }
});

for (const runtime of runtimes) {
  const { name, hasWebSocket, hasSqlite } = runtime;
  const command = await commandOf(runtime);
  const lack = command === null ? `${name} is not installed, nor kept by npm` : null;
  requiring(lack)(`client and agent work on ${name}, as an npm package`, async () => {
    await using folder = await temporaryFolder();
    await installNpmPackage(folder.path);
    await install("mlkem", folder.path);
    if (!hasWebSocket) await install("ws", folder.path);
    await Deno.copyFile(new URL("../peers/npm_client.mjs", import.meta.url), `${folder.path}/npm_client.mjs`);
    await using server = await startServer();
    const [file, ...args] = [...command!, "npm_client.mjs", server.address, `${server.webSocketPort}`];
    const { success, stdout, stderr } = await deadline(
      new Deno.Command(file!, { args, cwd: folder.path }).output(),
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
