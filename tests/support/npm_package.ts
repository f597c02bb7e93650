import { assert } from "@std/assert";

const root = new URL("../../", import.meta.url).pathname;

/** Makes the npm package and unpacks it where Node looks for packages in `folder`; gives the place. */
export async function installNpmPackage(folder: string): Promise<string> {
  const tarball = `${folder}/package.tgz`;
  const task = JSON.parse(await Deno.readTextFile(`${root}deno.json`)).tasks.npm.command as string;
  const packing = await new Deno.Command(Deno.execPath(), {
    args: [...task.split(" ").slice(1), tarball],
    cwd: root,
  }).output();
  assert(packing.success, new TextDecoder().decode(packing.stderr));
  const target = `${folder}/node_modules/@simplexmq/smp`;
  await Deno.mkdir(target, { recursive: true });
  const args = ["-xzf", tarball, "-C", target, "--strip-components=1"];
  assert((await new Deno.Command("tar", { args }).output()).success);
  return target;
}
