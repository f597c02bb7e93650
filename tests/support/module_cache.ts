/** Makes a cache of modules (`DENO_DIR`) in `folder` that has of npm only the given packages; gives its place. */
export async function cacheOf(packages: readonly string[], folder: string): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(stdout)) as { readonly npmCache: string };
  await Deno.mkdir(`${folder}/deno/npm`, { recursive: true });
  for await (const { name: registry } of Deno.readDir(npmCache)) {
    for (const name of packages) {
      await Deno.mkdir(`${folder}/deno/npm/${registry}`, { recursive: true });
      // A link would not do: Deno runs a package where it really is.
      await copy(`${npmCache}/${registry}/${name}`, `${folder}/deno/npm/${registry}/${name}`);
    }
  }
  return `${folder}/deno`;
}

async function copy(from: string, to: string): Promise<void> {
  const found = await Deno.stat(from).catch(() => null);
  if (found === null) return;
  if (found.isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to, { recursive: true });
  for await (const { name } of Deno.readDir(from)) await copy(`${from}/${name}`, `${to}/${name}`);
}

/** A cache in `folder` for modules from a port that is never used again, with the npm packages that are there already. */
export async function cacheForSite(folder: string): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const { npmCache } = JSON.parse(new TextDecoder().decode(stdout)) as { readonly npmCache: string };
  await Deno.mkdir(`${folder}/deno`);
  await Deno.symlink(npmCache, `${folder}/deno/npm`);
  return `${folder}/deno`;
}
