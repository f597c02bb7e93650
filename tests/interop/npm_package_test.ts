import { assert, assertEquals } from "@std/assert";
import { requiring } from "../support/requires.ts";
import { startServer } from "../support/server.ts";
import { temporaryFolder } from "../support/server_process.ts";
import { soon } from "../support/wait.ts";

const root = new URL("../../", import.meta.url).pathname;

interface Runtime {
  readonly name: string;
  /** The package that npm has it as. */
  readonly package: string;
  /** What it prints as its version. */
  readonly version: RegExp;
  readonly hasWebSocket: boolean;
  readonly store: "in memory" | "in SQLite";
}

const runtimes: readonly Runtime[] = [
  { name: "Node 20", package: "node@20", version: /^v20\./, hasWebSocket: false, store: "in memory" },
  { name: "Node 22", package: "node@22", version: /^v22\./, hasWebSocket: true, store: "in SQLite" },
  { name: "Bun 1", package: "bun@1", version: /^1\./, hasWebSocket: true, store: "in SQLite" },
];

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

/** Packs the checkout and unpacks it where Node looks for packages, which need none of their dependencies here. */
async function install(folder: string): Promise<void> {
  const tarball = `${folder}/package.tgz`;
  const packing = await new Deno.Command(Deno.execPath(), {
    args: ["pack", "--quiet", "--allow-dirty", "--no-source-maps", "--output", tarball],
    cwd: root,
  }).output();
  assert(packing.success, new TextDecoder().decode(packing.stderr));
  const target = `${folder}/node_modules/@simplexmq/smp`;
  await Deno.mkdir(target, { recursive: true });
  const args = ["-xzf", tarball, "-C", target, "--strip-components=1"];
  assert((await new Deno.Command("tar", { args }).output()).success);
  await Deno.copyFile(`${root}tests/peers/npm_client.mjs`, `${folder}/npm_client.mjs`);
}

for (const runtime of runtimes) {
  const { name, hasWebSocket, store } = runtime;
  const command = await commandOf(runtime);
  const lack = command === null ? `${name} is not installed, nor kept by npm` : null;
  requiring(lack)(`client and agent work on ${name}, as an npm package`, async () => {
    await using folder = await temporaryFolder();
    await install(folder.path);
    await using server = await startServer();
    const [file, ...args] = [...command!, "npm_client.mjs", server.address, `${server.webSocketPort}`];
    const { success, stdout, stderr } = await soon(
      new Deno.Command(file!, { args, cwd: folder.path }).output(),
    );
    assert(success, new TextDecoder().decode(stderr));
    assertEquals(new TextDecoder().decode(stdout).trim().split("\n"), [
      "hello over TCP",
      ...(hasWebSocket ? ["hello over WebSocket"] : []),
      store,
      "hello from an agent OK",
    ]);
  });
}
