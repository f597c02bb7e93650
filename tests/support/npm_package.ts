import { assert } from "@std/assert";

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

async function pack(tarball: string): Promise<Uint8Array> {
  const task = JSON.parse(await Deno.readTextFile(`${root}deno.json`)).tasks.npm.command as string;
  const packing = await new Deno.Command(Deno.execPath(), {
    args: [...task.split(" ").slice(1), tarball],
    cwd: root,
  }).output();
  assert(packing.success, new TextDecoder().decode(packing.stderr));
  return await Deno.readFile(tarball);
}
