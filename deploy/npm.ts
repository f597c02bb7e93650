/**
 * Makes the npm package of client and agent: `deno task npm [FILE]`, without FILE `simplexmq-smp.tgz`.
 *
 * `deno pack` alone would take the whole project, and allow later versions of what it depends on.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { resolve } from "node:path";
import config from "../deno.json" with { type: "json" };

const root = new URL("../", import.meta.url);
const lock: { npm: Record<string, unknown> } = JSON.parse(
  await Deno.readTextFile(new URL("deno.lock", root)),
);
/** What is in the package, beside its licence and its first pages. */
const sources = ["mod.ts", "protocol", "client", "agent"];
/** Programs, which need Deno. */
const programs = [
  "client/main.ts",
  "client/cli",
  "agent/main.ts",
  "agent/admin",
  "agent/service",
  "agent/cli",
];
const dependencies = { idb: versionOf("idb"), mlkem: versionOf("mlkem") };

/** The version of a package that the lock file has, and the tests run with. */
function versionOf(name: string): string {
  const id = Object.keys(lock.npm).find((id) => id.startsWith(`${name}@`));
  if (id === undefined) throw new Error(`Cannot make the package: deno.lock has no ${name}`);
  return id.slice(name.length + 1);
}

/** What the package exports: all but the server, which uses Deno's own functions. */
function exportsForNpm(): Record<string, string> {
  const { "./server": _server, ...others } = config.exports;
  return others;
}

async function copy(path: string, folder: string): Promise<void> {
  if (programs.includes(path)) return;
  const source = new URL(path, root);
  if ((await Deno.stat(source)).isFile) return await Deno.copyFile(source, `${folder}/${path}`);
  await Deno.mkdir(`${folder}/${path}`);
  for await (const { name } of Deno.readDir(source)) await copy(`${path}/${name}`, folder);
}

async function run(command: string, args: readonly string[], cwd: string): Promise<void> {
  const { success } = await new Deno.Command(command, { args: [...args], cwd, stdout: "null" }).output();
  if (!success) throw new Error(`Cannot make the package: ${command} ${args[0]} failed`);
}

/** Lets `deno pack` make JavaScript and types of the copy in `folder`, and unpacks them into its `package`. */
async function pack(folder: string): Promise<void> {
  const { name, version, license, compilerOptions } = config;
  const imports = Object.fromEntries(
    Object.entries(dependencies).map(([name, version]) => [name, `npm:${name}@${version}`]),
  );
  const own = { name, version, license, exports: exportsForNpm(), imports, compilerOptions, lock: false };
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(own));
  // Quiet, because it names every module that it writes no types for: those that no exported type needs.
  const options = ["--quiet", "--allow-dirty", "--no-source-maps", "--output", "packed.tgz"];
  await run(Deno.execPath(), ["pack", ...options], folder);
  await run("tar", ["-xzf", "packed.tgz"], folder);
}

/** Pins what the package depends on, and says what it runs on. */
async function amend(path: string): Promise<void> {
  const { dependencies: packed, ...made } = JSON.parse(await Deno.readTextFile(path));
  if (Object.keys(packed).join() !== Object.keys(dependencies).join()) {
    throw new Error(`Cannot make the package: it would depend on ${Object.keys(packed).join(", ")}`);
  }
  const amended = { ...made, engines: { node: ">=20.16" }, dependencies };
  await Deno.writeTextFile(path, `${JSON.stringify(amended, null, 2)}\n`);
}

const output = resolve(Deno.args[0] ?? "simplexmq-smp.tgz");
const folder = await Deno.makeTempDir({ prefix: "smp-npm-" });
try {
  for (const path of [...sources, "LICENSE", "README.md", "SECURITY.md"]) await copy(path, folder);
  await pack(folder);
  await amend(`${folder}/package/package.json`);
  await run("tar", ["-czf", "amended.tgz", "package"], folder);
  await Deno.copyFile(`${folder}/amended.tgz`, output);
  console.log(
    `made ${output} of ${Object.keys(exportsForNpm()).length} modules: client and agent, no server`,
  );
} finally {
  await Deno.remove(folder, { recursive: true });
}
