import { assert } from "@std/assert";
import { cacheOf } from "./module_cache.ts";

const root = new URL("../../", import.meta.url).pathname;

let packed: Promise<Uint8Array> | undefined;

/** Makes the npm package, once in a test file, and unpacks it where Node looks for packages in `folder`; gives the place. */
export async function installNpmPackage(folder: string): Promise<string> {
  packed ??= pack(`${folder}/package.tgz`);
  const target = `${folder}/node_modules/@simplexmq/smp`;
  await Deno.mkdir(target, { recursive: true });
  await Deno.writeFile(`${folder}/package.tgz`, await packed);
  const args = ["-xzf", `${folder}/package.tgz`, "-C", target, "--strip-components=1"];
  assert((await new Deno.Command("tar", { args }).output()).success);
  return target;
}

/** Has npm install the package into `folder`, without the network; gives where its programs are. */
export async function installByNpm(folder: string): Promise<string> {
  packed ??= pack(`${folder}/package.tgz`);
  await Deno.writeFile(`${folder}/package.tgz`, await packed);
  const overrides: Record<string, string> = {};
  for (const name of ["idb", "mlkem"]) {
    await takeFromCache(name, `${folder}/packages/${name}`);
    overrides[name] = `file:./packages/${name}`;
  }
  await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify({ overrides }));
  const args = ["install", "--offline", "--no-audit", "--no-fund", "./package.tgz"];
  const { success, stderr } = await new Deno.Command("npm", { args, cwd: folder }).output();
  assert(success, new TextDecoder().decode(stderr));
  return `${folder}/node_modules/.bin`;
}

/** Puts a package of Deno's cache at a path. */
export async function takeFromCache(wanted: string, path: string): Promise<void> {
  const scratch = `${path}.cache`;
  await Deno.mkdir(scratch, { recursive: true });
  const cache = `${await cacheOf([wanted], scratch)}/npm`;
  for await (const { name: registry } of Deno.readDir(cache)) {
    for await (const { name, isDirectory } of Deno.readDir(`${cache}/${registry}/${wanted}`)) {
      if (isDirectory) await Deno.rename(`${cache}/${registry}/${wanted}/${name}`, path);
    }
  }
}

async function pack(tarball: string): Promise<Uint8Array> {
  const task = JSON.parse(await Deno.readTextFile(`${root}deno.json`)).tasks.npm.command as string;
  const packing = await new Deno.Command(Deno.execPath(), {
    args: [...task.split(" ").slice(1), tarball],
    cwd: root,
  }).output();
  assert(packing.success, new TextDecoder().decode(packing.stderr));
  return await Deno.readFile(tarball);
}
