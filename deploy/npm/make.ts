/**
 * Makes the npm package of client and agent: `deno task npm [FILE]`, without FILE `simplexmq-smp.tgz`.
 *
 * `deno pack` alone would take the whole project, allow later versions of what it depends on, and leave the programs
 * `smp` and `smp-agent` to Deno: `program.ts` fits them to Node.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { resolve } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { readTaskArguments } from "../task_arguments.ts";
import { forNode, withoutTypes } from "./program.ts";

const root = new URL("../../", import.meta.url);
const lock: { npm: Record<string, unknown> } = JSON.parse(
  await Deno.readTextFile(new URL("deno.lock", root)),
);
/** What is in the package, beside its licence and its first pages. */
const sources = ["mod.ts", "protocol", "client", "agent", "cli"];
/** The programs, which are packed as if they were exported. */
const programs = {
  "./programs/smp": "./client/main.ts",
  "./programs/smp-agent": "./agent/main.ts",
};
/** What only the programs use, as paths in the package. */
const partsOfPrograms = [
  ...["client", "agent"].flatMap((part) => [`${part}/main.js`, `${part}/main.d.ts`, `${part}/cli`]),
  "agent/admin",
  "agent/service",
  "cli",
];
/** All that the package puts on the path; `smp-server` says that it needs Deno. */
const bin = { "smp": "bin/smp.js", "smp-agent": "bin/smp-agent.js", "smp-server": "bin/smp-server.js" };
const dependencies = { idb: versionOf("idb"), mlkem: versionOf("mlkem") };

/** The version of a package that the lock file has, and the tests run with. */
function versionOf(name: string): string {
  const id = Object.keys(lock.npm).find((id) => id.startsWith(`${name}@`));
  if (id === undefined) throw new Error(`Cannot make the package: deno.lock has no ${name}`);
  return id.slice(name.length + 1);
}

/** What the package exports: all but the server, which uses Deno's own functions, and programs. */
function exportsForNpm(): Record<string, string> {
  const isLibrary = ([name]: readonly [string, string]) => !/^\.\/(server|smp.*)$/.test(name);
  return Object.fromEntries(Object.entries(config.exports).filter(isLibrary));
}

async function copy(from: URL, to: string): Promise<void> {
  if ((await Deno.stat(from)).isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to, { recursive: true });
  for await (const { name } of Deno.readDir(from)) await copy(new URL(`${from}/${name}`), `${to}/${name}`);
}

async function run(command: string, args: readonly string[], cwd: string): Promise<void> {
  const { success } = await new Deno.Command(command, {
    args: [...args],
    cwd,
    stdout: "null",
    stderr: "inherit",
  })
    .spawn().status;
  if (!success) throw new Error(`Cannot make the package: ${command} ${args[0]} failed`);
}

/** Lets `deno pack` make JavaScript and types of the copy in `folder`, and unpacks them into its `package`. */
async function pack(folder: string): Promise<void> {
  const { name, version, license, compilerOptions } = config;
  const imports = Object.fromEntries(
    Object.entries(dependencies).map(([name, version]) => [name, `npm:${name}@${version}`]),
  );
  const exports = { ...exportsForNpm(), ...programs };
  const own = { name, version, license, exports, imports, compilerOptions, lock: false };
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(own));
  // Quiet, because it names every module that it writes no types for: those that no exported type needs.
  const options = ["--quiet", "--allow-dirty", "--no-source-maps", "--output", "packed.tgz"];
  await run(Deno.execPath(), ["pack", ...options], folder);
  await run("tar", ["-xzf", "packed.tgz"], folder);
}

/** Fits a program's modules to Node, and removes their types, which nobody imports. */
async function fit(folder: string, path: string): Promise<void> {
  if (!(await Deno.stat(`${folder}/${path}`)).isFile) {
    for await (const { name } of Deno.readDir(`${folder}/${path}`)) await fit(folder, `${path}/${name}`);
  } else if (path.endsWith(".d.ts")) await Deno.remove(`${folder}/${path}`);
  else {
    const text = await Deno.readTextFile(`${folder}/${path}`);
    await Deno.writeTextFile(`${folder}/${path}`, forNode(text, path));
  }
}

/** Pins what the package depends on, and says what it runs on and what it puts on the path. */
async function amend(path: string): Promise<void> {
  const { dependencies: packed, exports, ...made } = JSON.parse(await Deno.readTextFile(path));
  if (Object.keys(packed).join() !== Object.keys(dependencies).join()) {
    throw new Error(`Cannot make the package: it would depend on ${Object.keys(packed).join(", ")}`);
  }
  for (const name of Object.keys(programs)) delete exports[name];
  const amended = { ...made, exports, bin, engines: { node: ">=20.16" }, dependencies };
  await Deno.writeTextFile(path, `${JSON.stringify(amended, null, 2)}\n`);
}

const help = `deno task npm [FILE]

Makes a package of the client, the agent and the programs smp and smp-agent for Node (docs/platforms.md), by default
simplexmq-smp.tgz.`;
const { positional: [file = "simplexmq-smp.tgz"] } = readTaskArguments({}, { help, most: 1 });
const output = resolve(file);
const folder = await Deno.makeTempDir({ prefix: "smp-npm-" });
try {
  for (const path of [...sources, "LICENSE", "README.md", "SECURITY.md"]) {
    await copy(new URL(path, root), `${folder}/${path}`);
  }
  await pack(folder);
  for (const path of partsOfPrograms) await fit(`${folder}/package`, path);
  const standIn = await Deno.readTextFile(new URL("deploy/npm/deno_on_node.ts", root));
  await Deno.writeTextFile(`${folder}/package/cli/deno_on_node.js`, withoutTypes(standIn));
  await copy(new URL("deploy/npm/bin", root), `${folder}/package/bin`);
  await amend(`${folder}/package/package.json`);
  await run("tar", ["-czf", "amended.tgz", "package"], folder);
  await Deno.copyFile(`${folder}/amended.tgz`, output);
  console.log(`made ${output}: client and agent as a library, the programs smp and smp-agent, no server`);
} finally {
  await Deno.remove(folder, { recursive: true });
}
