import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { cacheOf } from "./module_cache.ts";

/** ML-KEM-768 by other hands than those that wrote the one in use. */
export const independentMlKem = ml_kem768;

/** Puts the package of {@linkcode independentMlKem} where Node finds it; gives the URL that peers load it from. */
export async function installMlKem(folder: string): Promise<string> {
  const lock = JSON.parse(await Deno.readTextFile(new URL("../../deno.lock", import.meta.url)));
  const names = Object.keys(lock.npm).filter((id) => id.startsWith("@noble/"));
  const packages = names.map((id) => ({
    name: id.slice(0, id.lastIndexOf("@")),
    version: id.split("@").at(-1),
  }));
  const cache = `${await cacheOf(packages.map(({ name }) => name), folder)}/npm`;
  await Deno.mkdir(`${folder}/node_modules/@noble`, { recursive: true });
  for await (const { name: registry } of Deno.readDir(cache)) {
    for (const { name, version } of packages) {
      await Deno.rename(`${cache}/${registry}/${name}/${version}`, `${folder}/node_modules/${name}`);
    }
  }
  return `file://${folder}/node_modules/@noble/post-quantum/ml-kem.js`;
}
